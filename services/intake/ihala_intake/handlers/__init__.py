"""What users can do, one use case a file."""
