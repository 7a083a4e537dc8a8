"""`python -m ihala_local`: the same as the `ihala` command."""

from ihala_local.cli import app

app()
