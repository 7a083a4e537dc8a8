"""The whole run: each part on systems of its own, one after the other, each a section of one report.

Rule: whatever is compared is measured in the same run, and what is void is named in the report.
"""

import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import costs, growth, power_loss, recovery, soak
from benchmarks.agencies import agencies_part, partners_part
from benchmarks.backlog import backlog_part
from benchmarks.burst import burst_part
from benchmarks.extent import Extent
from benchmarks.figures import Figure
from benchmarks.framework import framework_part
from benchmarks.intakes import LARGE, TEN_NEEDS
from benchmarks.ladder import one_rung
from benchmarks.ladder_report import ladder_part
from benchmarks.payload import payload_part
from benchmarks.plots import line_plot
from benchmarks.recovery import recovery_part
from benchmarks.report import PERCENTILES, SPANS, Report, span_row, table
from benchmarks.systems import ihala
from benchmarks.tracing import tracing_part
from benchmarks.trouble import trouble_part

QUICK_PARTS = ("costs", "rates", "ladder", "backlog")

Part = Callable[[Report, Extent, Path], Awaitable[None]]


async def run_suite(parts: Sequence[str], extent: Extent, report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="ihala-bench-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another account
        for part in parts:
            print(f"-- {part}", flush=True)
            place = Path(folder) / part
            place.mkdir()
            await PARTS[part](report, extent, place)


async def costs_part(report: Report, _extent: Extent, folder: Path) -> None:
    found = await costs.measured(folder)
    grown = costs.grown(found)
    report.add(
        "Costs a referral that noise does not move",
        table(["", "handled", *costs.ROLES, "all"], costs.rows_of(found)),
        "Less what an idle system does in the same time, which may be more than a busy one does of it.",
        "Grown beyond what is written down: " + ("; ".join(grown) or "nothing") + ".",
    )


async def rates_part(report: Report, extent: Extent, folder: Path) -> None:
    rows = []
    async with ihala(folder / "system") as system:
        report.found("memory.idle_mb", recovery.memory(system))
        for rate in (20.0, 100.0):
            rung = await one_rung(system, rate, extent.length, folder / f"{rate:.0f}")
            report.note(f"{rate:g}/s", rung.result)
            rows += [[f"{rate:g}/s", *span_row(span, rung.result), rung.result.void] for span in SPANS]
            for span, percentile in product(SPANS, ("p50", "p99")):
                name = f"at_{rate:.0f}.{span}.{percentile}"
                report.found(name, rung.result.ms(span, percentile), rung.result.void)
        report.found("memory.loaded_mb", recovery.memory(system))
    report.add("At 20/s and 100/s, ms", table(["rate", "span", *PERCENTILES, "void"], rows))


async def growth_part(report: Report, extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        found = await growth.growth(system, extent.sizes, extent.rate, extent.length, folder / "load")
    for each in found:
        report.note(f"with {each.referrals} referrals known", each.rung.result)
    void = next((each.rung.result.void for each in found if each.rung.result.void), "")
    report.found("growth.slope", growth.slope(found), void)
    points = {"ihala": [(float(each.referrals), each.cpu_ms) for each in found]}
    rows = [
        [
            f"{each.referrals:,}",
            f"{each.cpu_ms:.2f}",
            f"{each.rung.result.ms('due_to_told', 'p99'):.0f}",
            each.rung.result.void,
        ]
        for each in found
    ]
    report.add(
        f"Growth, at {extent.rate:g}/s",
        report.plot("growth", line_plot("CPU a referral", "referrals known", "ms", points)),
        table(["referrals known", "CPU ms, services and PostgreSQL", "p99 ms", "void"], rows),
    )


async def needs_part(report: Report, extent: Extent, folder: Path) -> None:
    """The same number of referrals a second, by intakes of one need, and of ten with long notes and wide consents."""
    async with ihala(folder / "system") as system:
        one = await one_rung(system, extent.rate, extent.length, folder / "one")
        asked: dict[str, Any] = {"intake": LARGE, "webhooks": len(TEN_NEEDS)}
        ten = await one_rung(system, extent.rate / len(TEN_NEEDS), extent.length, folder / "ten", **asked)
    rows = []
    for name, needs, rung in (("one need", 1, one), ("ten needs", len(TEN_NEEDS), ten)):
        report.note(name, rung.result)
        ms = growth.cpu_ms(rung) / needs
        times = [f"{rung.result.ms('due_to_told', p):.0f}" for p in ("p50", "p99")]
        rows.append([name, f"{ms:.2f}", *times, rung.result.void])
    names = [
        "an intake of",
        "CPU ms a referral, services and PostgreSQL",
        "p50 until the last agency is told, ms",
        "p99",
        "void",
    ]
    report.add(f"Needs of an intake, at {extent.rate:g} referrals/s", table(names, rows))


async def power_loss_part(report: Report, extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        pairs = await power_loss.power_loss(system, extent.rate, extent.length, folder)
    for turn, pair in enumerate(pairs, start=1):
        report.note(f"power loss {turn}, on disk", pair.on_disk.result)
        report.note(f"power loss {turn}, not", pair.in_memory.result)
    rows = [
        [f"{turn + 1}", name, *(f"{rung.result.ms('due_to_told', p):.0f}" for p in ("p50", "p99")),
         f"{sum(rung.cpu_ms.values()):.2f}", rung.result.void]
        for turn, pair in enumerate(pairs)
        for name, rung in (("on disk before acknowledged", pair.on_disk), ("not", pair.in_memory))
    ]  # fmt: skip
    names = ["turn", "", "p50, ms", "p99, ms", "CPU ms, all processes", "void"]
    report.add(f"Power-loss mode, at {extent.rate:g}/s", table(names, rows))


async def soak_part(report: Report, extent: Extent, folder: Path) -> None:
    rate = (report.figures.get("knee.ihala", Figure(0)).value or extent.rate / 0.6) * 0.6
    async with ihala(folder / "system") as system:
        found = await soak.soak(system, rate, extent.soak_minutes, folder / "load")
    report.note("soak", found.result)
    memory = {"services": [(each.minutes, each.rss_mb) for each in found.samples]}
    sizes = {
        "WAL written": [(each.minutes, each.wal_mb) for each in found.samples],
        "databases": [(each.minutes, each.tables_mb) for each in found.samples],
    }
    first, last = found.samples[0], found.samples[-1]
    per_referral = (last.tables_mb - first.tables_mb) * 1024 / max(1, last.told - first.told)
    report.add(
        f"Soak: {rate:.0f}/s for {extent.soak_minutes:g} min",
        report.plot("soak-memory", line_plot("Memory of the services", "minutes", "MB", memory)),
        report.plot("soak-sizes", line_plot("Growth on disk", "minutes", "MB", sizes)),
        f"Memory {first.rss_mb:.0f} → {last.rss_mb:.0f} MB; databases {per_referral:.1f} kB a referral; "
        f"p99 {found.result.ms('due_to_told', 'p99'):.0f} ms.",
        f"Void: {found.result.void}." if found.result.void else "No id was lost or doubled.",
    )


PARTS: Mapping[str, Part] = {
    "costs": costs_part,
    "rates": rates_part,
    "ladder": ladder_part,
    "burst": burst_part,
    "backlog": backlog_part,
    "growth": growth_part,
    "agencies": agencies_part,
    "needs": needs_part,
    "payload": payload_part,
    "partners": partners_part,
    "recovery": recovery_part,
    "trouble": trouble_part,
    "tracing": tracing_part,
    "framework": framework_part,
    "power-loss": power_loss_part,
    "soak": soak_part,
}
