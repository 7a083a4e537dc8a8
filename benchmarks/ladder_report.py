"""The ladder's part of a report: ours, the floor's and the peer's, each in its turn.

Rule: a system runs alone while it climbs; that they were measured by turns is said only where each had several.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from benchmarks import figures
from benchmarks.extent import Extent
from benchmarks.figures import Figure
from benchmarks.floor.limit import limit_per_second
from benchmarks.ladder import COMMON_RATE, Climb, Rung, climb
from benchmarks.plots import line_plot
from benchmarks.report import Report, table
from benchmarks.rivals import floor, peer
from benchmarks.systems import System, ihala

Climbs = Mapping[str, Sequence[Climb]]
Maker = Callable[[Path], AbstractAsyncContextManager[System]]
MAKERS: Mapping[str, Maker] = {"ihala": ihala, "floor": floor, "peer": peer}
SERVICES = ("intake-1", "referral-1", "notification-1")
# who does the same work in each of the three; the peer's worker routes and tells
CPU_COLUMNS: Mapping[str, Sequence[str]] = {
    "intake": ("intake-1", "accept", "web"),
    "referral": ("referral-1", "route", "worker"),
    "notification": ("notification-1", "notify"),
    "kafka": ("kafka", "redis"),
    "postgres": ("postgres",),
}


async def ladder_part(report: Report, extent: Extent, folder: Path) -> None:
    climbs: dict[str, list[Climb]] = {name: [] for name in MAKERS}
    limits = []
    for turn in range(extent.turns):
        for name, make in MAKERS.items():
            async with make(folder / f"{name}-{turn}") as system:
                climbs[name].append(await climb(system, extent.length, folder / f"{name}-{turn}-load"))
            for each in climbs[name][-1].rungs:
                report.note(f"ladder {turn + 1}, {name} at {each.result.rate:g}/s", each.result)
        limits.append(Figure(await limit_per_second(folder / f"limit-{turn}")))
    knees = {name: figures.mean([each.knee_found for each in of_system]) for name, of_system in climbs.items()}
    report.figures |= {f"knee.{name}": knee for name, knee in knees.items()} | ratios(climbs, knees)
    limit = figures.mean(limits)
    report.figures |= {"limit.per_second": limit, "knee.of_limit": knees["ihala"].over(limit)}
    picture = line_plot("p99 from due to webhook", "intakes/s", "ms", curves(climbs), log_y=True)
    report.add(
        heading(extent),
        report.plot("ladder", picture),
        table(["system", "rate", "p50", "p99", "in hand", *CPU_COLUMNS, "generator", "verdict"], rows_of(climbs)),
        "p50 and p99 from due to webhook, ms. From `intake` to `generator`: CPU ms a referral, with the warm-up's; "
        "of the floor the process that does the same, of the peer web, worker (it routes and tells) and Redis.",
        f"Sustained{', the mean of the turns' if extent.turns > 1 else ''}: "
        + ", ".join(f"{name} {described(knee)}" for name, knee in knees.items())
        + ". At least: the next step was void.",
        f"The limit (a batched write into PostgreSQL beside a hop through Kafka, nothing else): {limit.value:.0f}/s; "
        f"ihala's knee: {described(report.figures['knee.of_limit'], unit=' of it')}.",
    )


def heading(extent: Extent) -> str:
    order = f"{extent.turns} turns of each system" if extent.turns > 1 else "one system after the other, once"
    length = extent.length
    return f"Ladder: ×{length.factor:g}, {length.step:g} s a step after {length.warm_up:g} s, {order}"


def described(figure: Figure, *, unit: str = "/s") -> str:
    return f"void ({figure.void})" if figure.void else f"{figure}{unit}"


def ratios(climbs: Climbs, knees: Mapping[str, Figure]) -> dict[str, Figure]:
    found = {f"knee.of_{name}": knees["ihala"].over(knees[name]) for name in ("floor", "peer")}
    ours, its = (figures.mean(p99s_at_common(climbs[name])) for name in ("ihala", "peer"))
    used = [Figure(each.at_knee.cpu_of(SERVICES)) for each in climbs["ihala"] if each.at_knee]
    return found | {"p99_at_50.of_peer": ours.over(its), "knee.services_cpu_ms": figures.mean(used)}


def p99s_at_common(climbs: Sequence[Climb]) -> list[Figure]:
    rungs = [climbed.at(COMMON_RATE) for climbed in climbs]
    return [Figure(rung.result.ms("due_to_told", "p99"), rung.result.void) for rung in rungs if rung]


def curves(climbs: Climbs) -> dict[str, list[tuple[float, float]]]:
    return {
        f"{name} {turn + 1}": sorted((each.result.rate, each.result.ms("due_to_told", "p99")) for each in climbed.rungs)
        for name, of_system in climbs.items()
        for turn, climbed in enumerate(of_system)
    }


def rows_of(climbs: Climbs) -> list[list[str]]:
    return [
        row_of(f"{name} {turn + 1}", rung)
        for name, several in climbs.items()
        for turn, climbed in enumerate(several)
        for rung in climbed.rungs
    ]


def row_of(name: str, rung: Rung) -> list[str]:
    result = rung.result
    times = [f"{result.ms('due_to_told', percentile):.0f}" for percentile in ("p50", "p99")]
    used = [f"{rung.cpu_of(processes):.2f}" for processes in CPU_COLUMNS.values()]
    return [name, f"{result.rate:g}", *times, str(rung.in_hand), *used, f"{rung.generator_ms:.2f}", rung.verdict]
