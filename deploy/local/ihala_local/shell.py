"""What every command shares: the --state option, the terminal, and how a failure is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ihala_local.console import Console
from ihala_local.failures import LocalFailure

StateFolder = Annotated[Path, typer.Option("--state", metavar="DIR", help="The folder of one local system.")]
console = Console()


@contextmanager
def told_failures() -> Iterator[None]:
    """A failure a person can act on becomes its message and exit code 1."""
    try:
        yield
    except LocalFailure as failure:
        fail(str(failure))
    except BaseExceptionGroup as group:
        known, unknown = group.split(LocalFailure)
        if known is None or unknown is not None:
            raise
        fail(str(first_of(known)))


def first_of(group: BaseExceptionGroup[LocalFailure]) -> LocalFailure:
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def fail(message: str) -> NoReturn:
    console.failure(message)
    raise typer.Exit(1)
