"""What tracing costs: the same load with no journey traced, a tenth of them and all, by turns.

Rule: the tax is of the services' CPU a referral, of which the knee is the inverse; the receiver of the spans stands
elsewhere in a deployment and is not in it.
"""

from pathlib import Path

from benchmarks import figures
from benchmarks.extent import Extent
from benchmarks.figures import Figure
from benchmarks.ladder import Rung, one_rung
from benchmarks.ladder_report import SERVICES
from benchmarks.report import Report, table
from benchmarks.systems import ihala

SHARES = ("0", "0.1", "1")
TURNS = 2


async def tracing_part(report: Report, extent: Extent, folder: Path) -> None:
    found: dict[str, list[Rung]] = {share: [] for share in SHARES}
    for turn in range(TURNS):
        for share in SHARES:
            place = folder / f"{turn}-{share}"
            async with ihala(place / "system", {"OTEL_TRACES_SAMPLER_ARG": share}) as system:
                found[share].append(await one_rung(system, extent.rate, extent.length, place / "load"))
            report.note(f"tracing {share}, turn {turn + 1}", found[share][-1].result)
    used = {share: figures.mean([services_cpu(rung) for rung in rungs]) for share, rungs in found.items()}
    ratio = used["0.1"].over(used["0"])
    report.found("tracing.tax", ratio.value * 100 - 100, ratio.void)
    names = ["traced", "turn", "services' CPU ms", "receiver's CPU ms", "p50 ms", "p99 ms", "void"]
    rows = [row_of(share, turn, rung) for share, rungs in found.items() for turn, rung in enumerate(rungs, start=1)]
    report.add(f"Tracing, at {extent.rate:g}/s, {TURNS} turns", table(names, rows))


def services_cpu(rung: Rung) -> Figure:
    return Figure(rung.cpu_of(SERVICES), rung.result.void)


def row_of(share: str, turn: int, rung: Rung) -> list[str]:
    used = [f"{rung.cpu_of(processes):.2f}" for processes in (SERVICES, ("traces",))]
    times = [f"{rung.result.ms('due_to_told', percentile):.0f}" for percentile in ("p50", "p99")]
    return [f"{float(share):.0%}", str(turn), *used, *times, rung.result.void]
