"""The whole run: each part on systems of its own, one after the other, each a section of one report.

Rule: whatever is compared is measured by turns in the same run, and what is void is named in the report.
"""

import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import backlog, costs, growth, partners, power_loss, recovery, soak
from benchmarks.intakes import LARGE, TEN_NEEDS
from benchmarks.ladder import COMMON_RATE, LONG, QUICK, Climb, Length, Rung, climb, one_rung
from benchmarks.load import StepResult
from benchmarks.plots import line_plot
from benchmarks.report import Report, table
from benchmarks.rivals import floor, peer
from benchmarks.systems import System, ihala

SERVICES = ("intake-1", "referral-1", "notification-1")
SPANS = ("due_to_accepted", "accepted_to_told", "due_to_told")
PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
NAMES = {"due_to_accepted": "due → 201", "accepted_to_told": "accepted → webhook", "due_to_told": "due → webhook"}


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a run may take. soak_minutes: 0 leaves it out."""

    length: Length
    turns: int
    backlog: Sequence[int]
    sizes: Sequence[int]
    agencies: Sequence[int] = (75, 1_000)
    rate: float = 50.0
    soak_minutes: float = 0


FULL = Extent(LONG, 2, (10_000, 50_000), (1_000, 10_000, 100_000, 1_000_000), soak_minutes=30)
SHORT = Extent(QUICK, 1, (1_000,), (1_000, 10_000))
QUICK_PARTS = ("costs", "rates", "ladder", "backlog")

Part = Callable[[Report, Extent, Path], Awaitable[None]]
Maker = Callable[[Path], AbstractAsyncContextManager[System]]
MAKERS: Mapping[str, Maker] = {"ihala": ihala, "floor": floor, "peer": peer}


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
    names = sorted({*found["serial"], *found["backlog"]})
    rows = [[name, *(f"{found[way].get(name, 0.0):.2f}" for way in ("serial", "backlog"))] for name in names]
    grown = costs.grown(found)
    report.add(
        "Costs a referral that noise does not move",
        table(["", "one by one", "200 in batches"], rows),
        "Grown beyond what is written down: " + ("; ".join(grown) or "nothing") + ".",
    )


async def rates_part(report: Report, extent: Extent, folder: Path) -> None:
    rows = []
    async with ihala(folder / "system") as system:
        report.figures["memory.idle_mb"] = recovery.memory(system)
        for rate in (20.0, 100.0):
            rung = await one_rung(system, rate, extent.length, folder / f"{rate:.0f}")
            note(report, f"{rate:g}/s", rung.result)
            rows += [span_row(f"{rate:g}/s", span, rung.result) for span in SPANS]
            for span in SPANS:
                for percentile in ("p50", "p99"):
                    report.figures[f"at_{rate:.0f}.{span}.{percentile}"] = rung.result.ms(span, percentile)
        report.figures["memory.loaded_mb"] = recovery.memory(system)
    report.add("At 20/s and 100/s, ms", table(["rate", "span", *PERCENTILES], rows))


def span_row(name: str, span: str, result: StepResult) -> list[str]:
    return [name, NAMES[span], *(f"{result.ms(span, percentile):.1f}" for percentile in PERCENTILES)]


async def ladder_part(report: Report, extent: Extent, folder: Path) -> None:
    climbs: dict[str, list[Climb]] = {name: [] for name in MAKERS}
    for turn in range(extent.turns):
        for name, make in MAKERS.items():
            async with make(folder / f"{name}-{turn}") as system:
                climbs[name].append(await climb(system, extent.length, folder / f"{name}-{turn}-load"))
    for name, of_system in climbs.items():
        for each in (rung for climbed in of_system for rung in climbed.rungs):
            note(report, f"ladder, {name} at {each.result.rate:g}/s", each.result)
    knees = {name: mean([each.knee for each in of_system]) for name, of_system in climbs.items()}
    report.figures |= {f"knee.{name}": knee for name, knee in knees.items()}
    report.figures |= ratios(climbs, knees)
    picture = line_plot("p99 from due to webhook", "intakes/s", "ms", curves(climbs), log_y=True)
    report.add(
        f"Ladder: ×{extent.length.factor:g}, {extent.length.step:g} s a step, by turns",
        report.plot("ladder", picture),
        table(["system", "rate", "p50", "p99", "in hand", "services' CPU ms", "verdict"], ladder_rows(climbs)),
        "Sustained: " + ", ".join(f"{name} {knee:.0f}/s" for name, knee in knees.items()) + ".",
    )


def ratios(climbs: Mapping[str, Sequence[Climb]], knees: Mapping[str, float]) -> dict[str, float]:
    found = {f"knee.of_{name}": knees["ihala"] / knees[name] for name in ("floor", "peer") if knees[name]}
    ours, its = (mean(p99s_at_common(climbs[name])) for name in ("ihala", "peer"))
    if ours and its:
        found["p99_at_50.of_peer"] = ours / its
    rungs = [each.at_knee for each in climbs["ihala"]]
    used = [sum(rung.cpu_ms[name] for name in SERVICES) for rung in rungs if rung]
    return found | ({"knee.services_cpu_ms": mean(used)} if used else {})


def p99s_at_common(climbs: Sequence[Climb]) -> list[float]:
    rungs = [climbed.at(COMMON_RATE) for climbed in climbs]
    return [rung.result.ms("due_to_told", "p99") for rung in rungs if rung]


def curves(climbs: Mapping[str, Sequence[Climb]]) -> dict[str, list[tuple[float, float]]]:
    return {
        f"{name} {turn + 1}": sorted((each.result.rate, each.result.ms("due_to_told", "p99")) for each in climbed.rungs)
        for name, of_system in climbs.items()
        for turn, climbed in enumerate(of_system)
    }


def ladder_rows(climbs: Mapping[str, Sequence[Climb]]) -> list[list[str]]:
    return [ladder_row(name, rung) for name, several in climbs.items() for climbed in several for rung in climbed.rungs]


def ladder_row(name: str, rung: Rung) -> list[str]:
    result = rung.result
    used = sum(ms for process, ms in rung.cpu_ms.items() if process not in ("kafka", "postgres", "traces"))
    times = [f"{result.ms('due_to_told', percentile):.0f}" for percentile in ("p50", "p99")]
    return [name, f"{result.rate:g}", *times, str(rung.in_hand), f"{used:.2f}", rung.verdict]


async def backlog_part(report: Report, extent: Extent, folder: Path) -> None:
    found = []
    async with ihala(folder / "system") as system:
        for count in extent.backlog:
            for service in ("referral", "notification"):
                found.append(await backlog.catch_up(system, service, count, folder / f"{service}-{count}"))
                print(f"ihala  {service} catches up at {found[-1].per_second:.0f}/s", flush=True)
    for each in found:
        report.figures[f"catch_up.{each.service}"] = each.per_second
        report.voids += [f"catch-up of {each.service}: {each.void}"] if each.void else []
    report.figures["catch_up.intake_p99_ratio"] = max(e.intake_p99_meanwhile / e.intake_p99_before for e in found)
    rows = [
        [e.service, str(e.events), f"{e.seconds:.1f}", f"{e.per_second:.0f}", f"{e.intake_p99_before:.0f}",
         f"{e.intake_p99_meanwhile:.0f}"]
        for e in found
    ]  # fmt: skip
    names = ["service", "referrals", "seconds", "a second", "intake p99 before, ms", "and meanwhile"]
    report.add("Catching up while 50/s come in", table(names, rows))


async def growth_part(report: Report, extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        found = await growth.growth(system, extent.sizes, extent.rate, extent.length, folder / "load")
    for each in found:
        note(report, f"with {each.referrals} referrals known", each.rung.result)
    report.figures["growth.slope"] = growth.slope(found)
    points = {"ihala": [(float(each.referrals), each.cpu_ms) for each in found]}
    rows = [
        [f"{each.referrals:,}", f"{each.cpu_ms:.2f}", f"{each.rung.result.ms('due_to_told', 'p99'):.0f}"]
        for each in found
    ]
    report.add(
        f"Growth, at {extent.rate:g}/s",
        report.plot("growth", line_plot("CPU a referral", "referrals known", "ms", points)),
        table(["referrals known", "CPU ms, services and PostgreSQL", "p99 ms"], rows),
    )


async def agencies_part(report: Report, extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        found = await growth.directories(system, extent.agencies, extent.rate, extent.length, folder / "load")
    for each in found:
        note(report, f"with {each.agencies} agencies", each.rung.result)
    used = [growth.cpu_ms(each.rung) for each in found]
    p99s = [each.rung.result.ms("due_to_told", "p99") for each in found]
    report.figures["agencies.p99_ratio"] = p99s[-1] / p99s[0]
    rows = [
        [f"{each.agencies:,}", f"{ms:.2f}", *(f"{each.rung.result.ms('due_to_told', p):.0f}" for p in ("p50", "p99"))]
        for each, ms in zip(found, used, strict=True)
    ]
    names = ["agencies", "CPU ms, services and PostgreSQL", "p50 ms", "p99 ms"]
    report.add(f"Agencies in the directory, at {extent.rate:g}/s", table(names, rows))


async def needs_part(report: Report, extent: Extent, folder: Path) -> None:
    """The same number of referrals a second, by intakes of one need, and of ten with long notes and wide consents."""
    async with ihala(folder / "system") as system:
        one = await one_rung(system, extent.rate, extent.length, folder / "one")
        asked: dict[str, Any] = {"intake": LARGE, "webhooks": len(TEN_NEEDS)}
        ten = await one_rung(system, extent.rate / len(TEN_NEEDS), extent.length, folder / "ten", **asked)
    rows = []
    for name, needs, rung in (("one need", 1, one), ("ten needs", len(TEN_NEEDS), ten)):
        note(report, name, rung.result)
        ms = growth.cpu_ms(rung) / needs
        rows.append([name, f"{ms:.2f}", *(f"{rung.result.ms('due_to_told', p):.0f}" for p in ("p50", "p99"))])
    names = [
        "an intake of",
        "CPU ms a referral, services and PostgreSQL",
        "p50 until the last agency is told, ms",
        "p99",
    ]
    report.add(f"Needs of an intake, at {extent.rate:g} referrals/s", table(names, rows))


async def partners_part(report: Report, extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        found = await partners.slow_partners(system, extent.rate, extent.length.step, folder)
    healthy, *sick = found
    for each in found:
        note(report, each.name, each.result)
    p99 = healthy.result.ms("accepted_to_told", "p99")
    report.figures["partners.p99_ratio"] = max(each.result.ms("accepted_to_told", "p99") for each in sick) / p99
    report.figures["partners.rss_mb"] = max(each.rss_mb for each in sick) - healthy.rss_mb
    rows = [
        [e.name, *(f"{e.result.ms('accepted_to_told', p):.0f}" for p in ("p50", "p99")), f"{e.rss_mb:.0f}"]
        for e in found
    ]
    names = ["agencies", "others' p50, ms", "others' p99, ms", "notification's MB"]
    report.add(f"Slow and dead agencies, at {extent.rate:g}/s", table(names, rows))


async def recovery_part(report: Report, _extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        found = await recovery.recovery(system, folder)
    report.voids += [f"kill -9 of {each.service}: {each.void}" for each in found if each.void]
    report.figures["recovery.ready"] = max(each.ready for each in found)
    report.figures["recovery.flowing"] = max(each.flowing for each in found)
    rows = [[each.service, f"{each.ready:.1f}", f"{each.flowing:.1f}"] for each in found]
    report.add("After a kill -9, at 20/s", table(["service", "ready, s", "flowing, s"], rows))


async def power_loss_part(report: Report, extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        pairs = await power_loss.power_loss(system, extent.rate, extent.length, folder)
    for each in (rung for pair in pairs for rung in (pair.on_disk, pair.in_memory)):
        note(report, "power loss", each.result)
    rows = [
        [f"{turn + 1}", name, *(f"{rung.result.ms('due_to_told', p):.0f}" for p in ("p50", "p99")),
         f"{sum(rung.cpu_ms.values()):.2f}"]
        for turn, pair in enumerate(pairs)
        for name, rung in (("on disk before acknowledged", pair.on_disk), ("not", pair.in_memory))
    ]  # fmt: skip
    names = ["turn", "", "p50, ms", "p99, ms", "CPU ms, all processes"]
    report.add(f"Power-loss mode, at {extent.rate:g}/s", table(names, rows))


async def soak_part(report: Report, extent: Extent, folder: Path) -> None:
    rate = report.figures.get("knee.ihala", extent.rate / 0.6) * 0.6
    async with ihala(folder / "system") as system:
        found = await soak.soak(system, rate, extent.soak_minutes, folder / "load")
    note(report, "soak", found.result)
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
    )


def note(report: Report, name: str, result: StepResult) -> None:
    """Counts its ids, and says so when it is void."""
    report.count_ids(result.lost, result.doubled)
    if result.void:
        report.voids.append(f"{name}: {result.void}")


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


PARTS: Mapping[str, Part] = {
    "costs": costs_part,
    "rates": rates_part,
    "ladder": ladder_part,
    "backlog": backlog_part,
    "growth": growth_part,
    "agencies": agencies_part,
    "needs": needs_part,
    "partners": partners_part,
    "recovery": recovery_part,
    "power-loss": power_loss_part,
    "soak": soak_part,
}
