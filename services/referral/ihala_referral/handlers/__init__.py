"""What users and other services can do here: one use case per file."""
