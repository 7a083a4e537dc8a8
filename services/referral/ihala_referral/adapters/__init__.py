"""The outside world behind the ports: PostgreSQL, Kafka administration, shipped data files."""
