"""The outside: PostgreSQL, HTTP to agencies, keys on disk."""
