"""Pure decisions: what is accepted, and what becomes of it."""
