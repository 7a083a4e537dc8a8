"""A machine whose disk refuses fsync, or whose wall clock jumps, for the programs that are started on it.

A library that is preloaded (`bad_machine.c`) does it, so a C compiler is needed; a test that asks for one fails where
there is none.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ihala_local.processes import Program

SOURCE = Path(__file__).with_suffix(".c")


@dataclass(frozen=True)
class BadMachine:
    """folder: readable by every account, since PostgreSQL runs under one of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.folder / "bad_machine.so"), "BAD_MACHINE": str(self.folder)}

    def runs(self, program: Program) -> Program:
        """The program as it is started here."""
        return replace(program, environment={**program.environment, **self.environment})

    @contextmanager
    def refusing_fsync(self) -> Iterator[None]:
        flag = self.folder / "no-fsync"
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()

    def set_clock(self, seconds: int) -> None:
        """So far from the real time, from now on."""
        unfinished = self.folder / "clock.new"
        unfinished.write_text(str(seconds))
        unfinished.rename(self.folder / "clock")


@contextmanager
def bad_machine() -> Iterator[BadMachine]:
    with tempfile.TemporaryDirectory(prefix="bad-machine-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", folder / "bad_machine.so", SOURCE], check=True)
        yield BadMachine(folder)
