"""The whole system as people run it: `ihala up` and the other commands, each as a process of its own.

A test that only looks may share a system (`tests/end_to_end/conftest.py`); one that breaks things starts its own.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from ihala_local import postgres

UP_SECONDS = 180
COMMAND_SECONDS = 120


class CommandFailed(AssertionError):
    """A command ended with another code than 0."""


@dataclass(frozen=True, slots=True)
class System:
    """One local system, by its state folder.  environment: of every command on it, beside that of the test."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def up(self, *options: str) -> str:
        """Starts it, or finds it running, and answers what it printed. It stays until `down`."""
        return self.ihala("up", "--detach", *options, within_seconds=UP_SECONDS)

    def down(self) -> None:
        self.ihala("down")

    def end(self) -> None:
        """Down if it is up, killed if it does not go; for the end of a test."""
        self.run("down")
        for process in self.processes():
            process.kill()
        postgres.forget_data(self.folder / "postgres")  # elsewhere, when root runs the tests

    def ihala(self, *words: str, within_seconds: float = COMMAND_SECONDS) -> str:
        """The command's standard output."""
        done = self.run(*words, within_seconds=within_seconds)
        if done.returncode != 0:
            raise CommandFailed(f"ihala {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def run(self, *words: str, within_seconds: float = COMMAND_SECONDS) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "ihala_local", *words, "--state", str(self.folder)],
            env={**os.environ, **self.environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=within_seconds,
            check=False,
        )

    @property
    def endpoints(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "endpoints.json").read_text())
        return content

    def urls_of(self, service: str) -> list[str]:
        """Every copy of it."""
        ports: dict[str, int] = json.loads((self.folder / "ports.json").read_text())
        return [f"http://127.0.0.1:{port}" for name, port in ports.items() if name.startswith(f"{service}-")]

    def status(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.ihala("status", "--json"))
        return content

    def pid_of(self, name: str) -> int:
        """The program's own process; `up` for the one that keeps the others."""
        if name == "up":
            supervision: dict[str, Any] = json.loads((self.folder / "up.json").read_text())
            return int(supervision["pid"])
        return int((self.folder / "run" / f"{name}.pid").read_text())

    def living_pid_of(self, name: str) -> int | None:
        """None while it is between two lives."""
        try:
            return self.pid_of(name)
        except (FileNotFoundError, ValueError):
            return None

    def kill(self, name: str) -> None:
        """As a power cut would: no clean-up."""
        self.signal(name, signal.SIGKILL)

    def signal(self, name: str, number: signal.Signals) -> None:
        """To the program's own process, if there is one at the moment."""
        with suppress(ProcessLookupError):
            os.kill(self.pid_of(name), number)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this system: programs, wrappers, `up`, and the sweeper of an ephemeral one."""
        return [process for process in psutil.process_iter() if names(self.folder, command_of(process))]

    def programs(self) -> list[psutil.Process]:
        """Of these only what serves somebody: the sweeper leaves last."""
        return [process for process in self.processes() if not names(Path("sweeper.py"), command_of(process))]


@contextmanager
def running(folder: Path, *options: str, environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[System]:
    """A system that was started with these options of `ihala up`; ended afterwards, whatever is left of it."""
    system = System(folder, environment)
    try:
        system.up(*options)
        yield system
    finally:
        system.end()


StartSystem = Callable[..., System]
"""Options of `ihala up` in, a running system of the test's own out."""


def command_of(process: psutil.Process) -> Sequence[str]:
    try:
        return [*process.cmdline(), *(f"{name}={value}" for name, value in process.environ().items())]
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return []


def names(folder: Path, words: Sequence[str]) -> bool:
    return any(str(folder) in word for word in words)
