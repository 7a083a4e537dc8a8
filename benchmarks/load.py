"""One load on one system: runs the generator, points the webhooks at its sink, reads what it found.

Rule: a step with a lost or doubled id, or with a late generator, is void and says why; nobody reads its figures as
a result.  Milliseconds everywhere, at percentiles "p50" to "max".
"""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ihala_local.ports import new_port
from pydantic import BaseModel

from benchmarks.intakes import BY_COMMUNE, TEMPLATE
from benchmarks.systems import System

SOURCE = Path(__file__).with_name("generator")
OWN_LAG_LIMIT_MS = 5.0
FIRST = ("nice", "-n", "-10")  # as if on a machine of its own; where that is not permitted it says so and goes on
DRAIN_SECONDS = 60.0
BUILD_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of the schedule; rate in intakes per second."""

    name: str
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """slow: agency → seconds until it answers, below zero never.  webhooks: how many each intake causes.

    variants: what differs between intakes.  turns: which of them comes when, over and over; by default one by one.
    journal: the instants of each request are kept (`journal_of`).
    """

    steps: Sequence[Step]
    seed: int = 1
    drain_seconds: float = DRAIN_SECONDS
    slow: Mapping[str, float] = field(default_factory=dict)
    intake: Mapping[str, Any] = field(default_factory=lambda: TEMPLATE)
    webhooks: int = 1
    variants: Sequence[Mapping[str, Any]] = BY_COMMUNE
    turns: Sequence[int] = ()
    journal: bool = False


class StepResult(BaseModel):
    """What became of one step. Webhooks of slow agencies are counted apart and are in no latency.

    lost_ids: references that were accepted and of which not every webhook came.  folder: of its raw data.
    """

    name: str
    rate: float
    seconds: float
    sent: int
    accepted: int
    told: int
    told_slow: int
    lost_ids: list[str]
    doubled: int
    refused: dict[str, int]
    latencies_ms: dict[str, dict[str, float]]
    folder: Path | None = None

    @property
    def lost(self) -> int:
        return len(self.lost_ids)

    def ms(self, span: str, percentile: str) -> float:
        return self.latencies_ms[span][percentile]

    @property
    def void(self) -> str:
        """Why it does not count; empty when it does."""
        reasons = []
        if self.lost:
            reasons.append(f"{self.lost} lost")
        if self.doubled:
            reasons.append(f"{self.doubled} doubled")
        if self.ms("own_lag", "p99") > OWN_LAG_LIMIT_MS:
            reasons.append(f"generator late by {self.ms('own_lag', 'p99'):.1f} ms at p99")
        return ", ".join(reasons)


class LoadResult(BaseModel):
    """cpu_seconds: what sending and receiving took, of all steps."""

    steps: list[StepResult]
    cpu_seconds: float

    def step(self, name: str) -> StepResult:
        return next(each for each in self.steps if each.name == name)


class Progress(BaseModel):
    """Counts since the load began."""

    seconds: float
    sent: int
    accepted: int
    told: int

    @property
    def in_hand(self) -> int:
        """Accepted, no webhook yet: all that waits in outboxes, topics and queues."""
        return self.accepted - self.told


@dataclass
class RunningLoad:
    """A load under way."""

    folder: Path
    process: asyncio.subprocess.Process
    progress: list[Progress] = field(default_factory=list)

    async def follow(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.progress.append(Progress.model_validate_json(line))

    @property
    def now(self) -> Progress:
        return self.progress[-1] if self.progress else Progress(seconds=0, sent=0, accepted=0, told=0)

    def enough(self) -> None:
        """No more is sent; what was sent is waited for as ever."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGUSR1)

    async def result(self) -> LoadResult:
        """When it has ended by itself."""
        if await self.process.wait() != 0:
            raise RuntimeError(f"the generator ended with {self.process.returncode}; see {self.folder}")
        found = LoadResult.model_validate_json((self.folder / "result.json").read_bytes())
        for step in found.steps:
            step.folder = self.folder
        return found


@asynccontextmanager
async def loading(system: System, load: Load, folder: Path) -> AsyncIterator[RunningLoad]:
    """Starts it; the block steers the system meanwhile. Left early, the load ends with it."""
    folder.mkdir(parents=True, exist_ok=True)
    port = new_port(set())
    await system.send_webhooks_to(f"http://127.0.0.1:{port}")
    orders = folder / "orders.json"
    orders.touch(mode=0o600)
    orders.write_text(json.dumps(orders_of(system, load, port)))
    command = (*FIRST, *await generator_command(), str(orders), str(folder))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    running = RunningLoad(folder, process)
    follower = asyncio.create_task(running.follow())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await follower
        orders.unlink()  # it holds a key


async def run_load(system: System, load: Load, folder: Path) -> LoadResult:
    async with loading(system, load, folder) as running:
        return await running.result()


def orders_of(system: System, load: Load, port: int) -> dict[str, Any]:
    return {
        "submit_url": system.submit_url,
        "key": system.key,
        "sink_port": port,
        "steps": [asdict(step) for step in load.steps],
        "seed": load.seed,
        "drain_seconds": load.drain_seconds,
        "variants": [dict(each) for each in load.variants],
        "turns": list(load.turns or range(len(load.variants))),
        "intake": dict(load.intake),
        "webhooks": load.webhooks,
        "slow": dict(load.slow),
        "journal": load.journal,
    }


class Told(NamedTuple):
    """One request: when it was sent, accepted and told, by the machine's clock in seconds; None: never."""

    started: float
    accepted: float | None
    told: float | None


def journal_of(folder: Path) -> list[Told]:
    """In the order sent."""
    lines = (folder / "journal.csv").read_text().splitlines()[1:]
    instants = [[float(each) if each else None for each in line.split(",")] for line in lines]
    return [Told(started, accepted, told) for started, accepted, told in instants if started]


async def generator_command() -> Sequence[str]:
    """Go's, built once for this source; Python's where Go is not installed."""
    go = shutil.which("go")
    if go is None:
        return sys.executable, str(SOURCE / "generator.py")
    program = cache() / f"generator-{fingerprint()}"
    if not program.exists():
        await build(go, program)
    return (str(program),)


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ihala"


def fingerprint() -> str:
    files = sorted(each for each in SOURCE.iterdir() if each.suffix in (".go", ".mod", ".sum"))
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:12]


async def build(go: str, program: Path) -> None:
    unfinished = program.with_suffix(f".{os.getpid()}")
    program.parent.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(go, "build", "-o", str(unfinished), ".", cwd=SOURCE)
    if await asyncio.wait_for(process.wait(), BUILD_SECONDS) != 0:
        raise RuntimeError("the generator could not be built; without Go in PATH the slower one of Python is used")
    unfinished.rename(program)
