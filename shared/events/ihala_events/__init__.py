"""The published contracts of Ihala: events, topics, codes."""
