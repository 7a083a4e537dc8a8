"""Owns the life of a referral: directory, routing, states, clocks."""
