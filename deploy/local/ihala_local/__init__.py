"""The whole system on one machine and the ihala command."""
