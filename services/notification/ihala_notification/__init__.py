"""Tells agencies; retries; never decides."""
