"""PostgreSQL, encryption and the group commit."""
