"""Keeps the programs of one `up` running: starts, waits, restarts what dies, stops in order.

Rule: until the system is ready a program that ends is a failure, named with the last lines of its log;
afterwards it is restarted, each time a little later, for as long as `up` runs.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ihala_local.failures import LocalFailure
from ihala_local.processes import Folders, Lifeline, Program, RunningProgram, last_lines, start

POLL_SECONDS = 0.1
RESTART_DELAYS_SECONDS = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
KILLED = 128 + signal.SIGKILL  # from outside: waiting longer would not make it better
STEADY_AFTER_SECONDS = 60.0  # a program that ran so long starts again from the first delay

Tell = Callable[[str], None]
Ready = Callable[[], Awaitable[bool]]


class ProgramFailed(LocalFailure):
    """A program ended, or stayed silent, while the system started."""

    def __init__(self, name: str, what: str, log: Sequence[str]) -> None:
        quoted = "".join(f"\n  {line}" for line in log) or "\n  (it wrote nothing)"
        super().__init__(f"{name} {what}. The last lines of its log:{quoted}")
        self.name = name


@dataclass(slots=True)
class Kept:
    """A program, its present run, and how often it had to be started again lately."""

    program: Program
    run: RunningProgram
    deaths: int = 0
    start_again_at: float | None = None  # time.monotonic(); None while it runs


class Supervisor:
    """Owns every program of one `up`. Not shared between tasks but for `watch`."""

    def __init__(self, folders: Folders, tell: Tell) -> None:
        self._folders = folders
        self._tell = tell
        self._lifeline = Lifeline()
        self._kept: dict[str, Kept] = {}

    @property
    def names(self) -> list[str]:
        return list(self._kept)

    def start(self, program: Program) -> None:
        self._kept[program.name] = Kept(program, start(program, self._folders, self._lifeline))

    async def until_ready(self, name: str, ready: Ready, within_seconds: float) -> None:
        """Waits for the program to answer; ProgramFailed when it ends or the time does."""
        deadline = time.monotonic() + within_seconds
        while not await ready():
            code = self._kept[name].run.exit_code()
            if code is not None:
                raise self._failure(name, f"ended with code {code} while it started")
            if time.monotonic() > deadline:
                raise self._failure(name, f"was not ready after {within_seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)

    def _failure(self, name: str, what: str) -> ProgramFailed:
        return ProgramFailed(name, what, last_lines(self._folders.log_of(name)))

    async def watch(self) -> None:
        """Restarts what dies, until cancelled."""
        while True:
            for kept in self._kept.values():
                self._look_after(kept)
            await asyncio.sleep(POLL_SECONDS)

    def _look_after(self, kept: Kept) -> None:
        if kept.start_again_at is None:
            self._note_death(kept)
        elif time.monotonic() >= kept.start_again_at:
            kept.run = start(kept.program, self._folders, self._lifeline)
            kept.start_again_at = None

    def _note_death(self, kept: Kept) -> None:
        code = kept.run.exit_code()
        if code is None:
            return
        kept.run.sweep()
        steady = time.monotonic() - kept.run.started_at > STEADY_AFTER_SECONDS
        kept.deaths = 1 if steady or code == KILLED else kept.deaths + 1
        delay_seconds = RESTART_DELAYS_SECONDS[min(kept.deaths, len(RESTART_DELAYS_SECONDS)) - 1]
        kept.start_again_at = time.monotonic() + delay_seconds
        self._tell(f"{kept.program.name} ended with code {code}; starting it again in {delay_seconds:g} s")

    async def replace(self, programs: Iterable[Program]) -> None:
        """Stops each program and starts it anew with other orders."""
        wanted = list(programs)
        await self.stop([program.name for program in wanted])
        for program in wanted:
            self.start(program)

    async def stop(self, names: Iterable[str]) -> None:
        """Stops these together and returns when all have ended."""
        stopping = [self._kept.pop(name) for name in names if name in self._kept]
        for kept in stopping:
            kept.run.ask_to_stop()
        await asyncio.gather(*(asyncio.to_thread(kept.run.wait) for kept in stopping))

    def leave_nothing(self, folders: Sequence[Path]) -> None:
        """For an ephemeral system: its folders go even when this process is killed."""
        self._lifeline.sweep_after_us(folders, self._folders.run)

    def abandon(self) -> None:
        """Lets go of everything at once: each wrapper stops its own child within seconds."""
        self._lifeline.cut()
