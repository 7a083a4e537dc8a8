"""The knee: each step of the ladder is 1.25 times the one before, until a system no longer keeps up.

A step is sustained when its p99 from the due instant to the webhook is below 250 ms and what is in hand (accepted, not
yet told: outboxes, topics and queues together) does not grow.  Rule: a void step is said to be void, never a knee, and
a knee below a void step is the least that it may be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Bound, Figure
from benchmarks.load import Load, Step, StepResult, loading
from benchmarks.systems import System, cpu_seconds, rss_mb

FACTOR = 1.25
COMMON_RATE = 50.0  # measured on every system
LEAST_RATE = 5.0
P99_LIMIT_MS = 250.0
HELD_SECONDS = 0.5  # more than so many seconds of intakes in hand when sending ends is a queue that grows
NOISE_STEPS = 2  # so many failed steps in a row end a ladder: one may be a stutter of the machine


@dataclass(frozen=True, slots=True)
class Length:
    """Of one step, in seconds, and how the ladder climbs."""

    warm_up: float
    step: float
    factor: float = FACTOR


LONG, QUICK = Length(30, 60), Length(3, 10, 1.5)


@dataclass(frozen=True, slots=True)
class Rung:
    """What one step found; CPU in ms a referral and memory in MB, by process.  generator_ms: the sink's too."""

    result: StepResult
    in_hand: int
    cpu_ms: Mapping[str, float]
    rss: Mapping[str, float]
    generator_ms: float = 0.0

    def cpu_of(self, processes: Sequence[str]) -> float:
        return sum(self.cpu_ms.get(name, 0.0) for name in processes)

    @property
    def is_sustained(self) -> bool:
        held = self.in_hand <= max(10.0, self.result.rate * HELD_SECONDS)
        return held and not self.result.refused and self.result.ms("due_to_told", "p99") < P99_LIMIT_MS

    @property
    def verdict(self) -> str:
        if self.result.void:
            return f"void: {self.result.void}"
        return "sustained" if self.is_sustained else "not sustained"


@dataclass
class Climb:
    """One ladder of one system."""

    system: str
    rungs: list[Rung] = field(default_factory=list)

    @property
    def knee(self) -> float:
        """The highest sustained rate; 0 when none was."""
        return max((each.result.rate for each in self.rungs if each.is_sustained and not each.result.void), default=0.0)

    @property
    def knee_found(self) -> Figure:
        """What the knee is worth: void where no step counts, a least where the next step is void."""
        above = [each for each in self.rungs if each.result.rate > self.knee]
        following = min(above, key=lambda each: each.result.rate, default=None)
        unknown = following is None or bool(following.result.void)
        if unknown and not self.knee:
            return Figure(0.0, "none sustained, the lowest step void")
        return Figure(self.knee, bound=Bound.AT_LEAST if unknown else Bound.EXACT)

    @property
    def is_far_beyond(self) -> bool:
        """Too late for it to have been a stutter of the machine."""
        return self.rungs[-1].result.ms("due_to_told", "p99") > P99_LIMIT_MS * 8

    def at(self, rate: float) -> Rung | None:
        return next((each for each in self.rungs if each.result.rate == rate), None)

    @property
    def at_knee(self) -> Rung | None:
        return self.at(self.knee)


async def climb(system: System, length: Length, folder: Path) -> Climb:
    """Up from the common rate until it no longer keeps up; down from there when it does not keep up even so."""
    climbed = Climb(system.name)
    failed = await step_on(climbed, system, COMMON_RATE, length, folder)
    rate = COMMON_RATE * length.factor
    while not failed or (climbed.knee and failed < NOISE_STEPS and not climbed.is_far_beyond):
        failed = failed + 1 if await step_on(climbed, system, rate, length, folder) else 0
        rate *= length.factor
    rate = COMMON_RATE / length.factor
    while not climbed.knee and rate > LEAST_RATE:
        await step_on(climbed, system, rate, length, folder)
        rate /= length.factor
    return climbed


async def step_on(climbed: Climb, system: System, rate: float, length: Length, folder: Path) -> int:
    """1 when the system did not keep up."""
    rung = await one_rung(system, round(rate, 1), length, folder / f"{rate:.0f}")
    climbed.rungs.append(rung)
    tell(system.name, rung)
    return 0 if rung.is_sustained else 1


async def one_rung(system: System, rate: float, length: Length, folder: Path, seed: int = 1, **asked: Any) -> Rung:
    """asked: what else the load is told (`Load`)."""
    steps = [Step("warm-up", rate, length.warm_up), Step("step", rate, length.step)]
    async with loading(system, Load(steps, seed, **asked), folder) as running:
        before = cpu_seconds(system.processes())  # to tell a thousand agencies' endpoints where they are is no load
        found = await running.result()
    rss = rss_mb(system.processes())
    used = cpu_seconds(system.processes())
    told = sum(each.told + each.told_slow for each in found.steps) or 1
    cpu_ms = {name: (seconds - before.get(name, 0.0)) * 1000 / told for name, seconds in used.items()}
    sent = sum(each.sent for each in found.steps)
    at_end = next((each for each in running.progress if each.sent >= sent), running.now)
    return Rung(found.step("step"), at_end.in_hand, cpu_ms, rss, found.cpu_seconds * 1000 / told)


def tell(system: str, rung: Rung) -> None:
    result = rung.result
    p50, p99 = (result.ms("due_to_told", each) for each in ("p50", "p99"))
    print(f"{system:6} {result.rate:7.1f}/s  p50 {p50:7.1f} ms  p99 {p99:8.1f} ms  {rung.verdict}", flush=True)
