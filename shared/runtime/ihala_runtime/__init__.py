"""What every Ihala service runs on: outbox, inbox, parking, access, telemetry."""
