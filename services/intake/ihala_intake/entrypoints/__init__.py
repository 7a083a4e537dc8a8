"""Doors: HTTP and topics. An entrypoint owns the transaction."""
