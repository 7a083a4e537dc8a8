"""Receives intakes from desks and integrators; keeps the vault and the consents."""
