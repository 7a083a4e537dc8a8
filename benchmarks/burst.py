"""How many intakes a second are accepted, durably, when far more come at once than can be.

Rule: what was accepted in the burst is all told afterwards, however long it takes; only what was lost voids it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.extent import Extent
from benchmarks.figures import Bound
from benchmarks.load import Load, Step, StepResult, Told, journal_of, run_load
from benchmarks.report import Report, table
from benchmarks.systems import ihala

RATE = 2000.0  # more than the goal
WARM_UP = Step("warm-up", 20, 5)
DRAIN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Burst:
    """accepted_seconds: from the first request to the last 201."""

    result: StepResult
    accepted_seconds: float

    @property
    def per_second(self) -> float:
        return self.result.accepted / self.accepted_seconds


def duration_of(journal: Sequence[Told]) -> float:
    return max(each.accepted or 0.0 for each in journal) - min(each.started for each in journal)


async def burst_part(report: Report, extent: Extent, folder: Path) -> None:
    steps = [WARM_UP, Step("burst", RATE, extent.burst_seconds)]
    async with ihala(folder / "system") as system:
        found = await run_load(system, Load(steps, drain_seconds=DRAIN_SECONDS, journal=True), folder / "load")
    journal = journal_of(folder / "load")[found.step("warm-up").sent :]
    burst = Burst(found.step("burst"), duration_of(journal))
    result = burst.result
    report.note_with_faults("burst", result)
    late = bool(result.void) and not result.lost
    bound = Bound.AT_LEAST if late else Bound.EXACT  # who sends late is accepted late
    report.found("burst.accepted", burst.per_second, f"{result.lost} lost" if result.lost else "", bound)
    row = [str(result.sent), str(result.accepted), str(sum(result.refused.values())), f"{burst.accepted_seconds:.1f}"]
    report.add(
        f"A burst of {RATE:g}/s for {extent.burst_seconds:g} s",
        table(["sent", "accepted", "refused", "seconds", "201s a second"], [[*row, f"{burst.per_second:.0f}"]]),
        "From the first request to the last 201, with routing and telling at work behind it on the same cores.",
    )
