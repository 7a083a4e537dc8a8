"""Many agencies that are asked, some more than others; and some of them that answer late or never.

Rule: a person who names one agency in the consent is sent to that one, so the load over agencies is drawn, not left to
the directory; a message that still waits in the queue of an agency that does not answer is not lost.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
from ihala_events.vocabulary import COMMUNES
from ihala_local.directory import import_directory

from benchmarks.extent import Extent
from benchmarks.figures import Figure
from benchmarks.growth import cpu_ms
from benchmarks.intakes import TEMPLATE
from benchmarks.ladder import Length, Rung, one_rung
from benchmarks.load import Load, Step, StepResult, run_load
from benchmarks.report import Report, table
from benchmarks.systems import Ihala, ihala, rss_mb, told_once

LEARN_SECONDS = 15.0  # until every service knows the new agencies and is quiet again
DRAWN_TURNS = 20_000  # of a load; longer ones begin again
KINDS = (
    ("HEA-PHC", "PT-ESSP"), ("HEA-CHR", "PT-NGO-HEA"), ("SOC-CIV", "PT-NGO-LEG"), ("SOC-FOO", "PT-NGO-SOC"),
    ("SOC-CAS", "PT-EN"), ("SOC-LEG", "PT-CRDH"), ("SOC-EMP", "PT-NGO-SOC"), ("SOC-NFI", "PT-COM"),
)  # fmt: skip
"""A need of an adult, and a type of agency that the rules ask for it."""

AGENCIES = 100  # of which some are slow or dead, each asked as often as the others
LATE_SECONDS, NEVER = 2.0, -1.0
DRAIN_SECONDS = 30.0
SHARES: Mapping[str, tuple[float, float]] = {
    "all healthy": (0, 0),
    "1 % answer after 2 s": (0.01, LATE_SECONDS),
    "10 % answer after 2 s": (0.1, LATE_SECONDS),
    "1 % never answer": (0.01, NEVER),
    "10 % never answer": (0.1, NEVER),
}
"""(share of the agencies, seconds until they answer): the dead come last, what they leave is tried again and again."""

QUEUED = """
SELECT convert_from(body, 'UTF8')::jsonb #>> '{data,case_ref}' AS case_ref
FROM delivery WHERE partner_id = ANY($1) AND channel = 'webhook' AND state = 'pending'
"""


@cache
def models() -> Mapping[str, dict[str, Any]]:
    """A sample agency of each type."""
    return {each["type"]: each for each in told_once()}


@dataclass(frozen=True, slots=True)
class Asked:
    """An agency and what is handed in for it."""

    partner_id: str
    commune: str
    need_code: str
    kind: str

    @property
    def record(self) -> dict[str, Any]:
        own = {"partner_id": self.partner_id, "communes": [self.commune], "need_codes": [self.need_code]}
        return models()[self.kind] | own | {"parent": None}

    @property
    def intake(self) -> dict[str, Any]:
        scope = [{"need_code": self.need_code, "partner_ids": [self.partner_id]}]
        return {
            "commune_code": self.commune,
            "needs": [{"need_code": self.need_code}],
            "consent": TEMPLATE["consent"] | {"scope": scope},
        }


def asked_agencies(count: int) -> list[Asked]:
    """Over communes and needs in turn; the first ones are the same for every count."""
    places = [code for code in sorted(COMMUNES) if COMMUNES[code].is_inside]
    pairs = list(product(KINDS, places))
    chosen = [pairs[number % len(pairs)] for number in range(count)]
    return [Asked(f"asked-{number:04}", place, *kind) for number, (kind, place) in enumerate(chosen)]


def zipf_turns(count: int, exponent: float, seed: int = 1) -> list[int]:
    """Which agency comes when: the k-th is asked in proportion to 1 / k^exponent, with 0 all alike."""
    weights = [1 / rank**exponent for rank in range(1, count + 1)]
    return random.Random(seed).choices(range(count), weights, k=DRAWN_TURNS)


async def introduce(system: Ihala, agencies: Sequence[Asked]) -> None:
    """To the directory, and to who sends webhooks."""
    await import_directory(system.endpoints, [*told_once(), *(each.record for each in agencies)], [])
    system.endpoints["credentials"]["partners"].update({each.partner_id: "" for each in agencies})
    await asyncio.sleep(LEARN_SECONDS)


@dataclass(frozen=True, slots=True)
class Directory:
    """What one rate costs with so many agencies asked."""

    agencies: int
    rung: Rung


async def directories(system: Ihala, extent: Extent, length: Length, folder: Path) -> list[Directory]:
    """With each number of agencies the same load."""
    found = []
    for size in extent.agencies:
        agencies = asked_agencies(size)
        await introduce(system, agencies)
        asked: dict[str, Any] = {"variants": [each.intake for each in agencies], "turns": zipf_turns(size, extent.zipf)}
        found.append(Directory(size, await one_rung(system, extent.rate, length, folder / str(size), **asked)))
        print(f"ihala  {size:8} agencies: {cpu_ms(found[-1].rung):.2f} ms of CPU each", flush=True)
    return found


async def agencies_part(report: Report, extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        found = await directories(system, extent, extent.length, folder / "load")
    p99s = []
    for each in found:
        report.note(f"{each.agencies} agencies", each.rung.result)
        p99s.append(Figure(each.rung.result.ms("due_to_told", "p99"), each.rung.result.void))
    report.figures["agencies.p99_ratio"] = p99s[-1].over(p99s[0])
    names = ["agencies asked", "CPU ms, services and PostgreSQL", "p50 ms", "p99 ms", "void"]
    report.add(
        f"Agencies asked, at {extent.rate:g}/s, Zipf({extent.zipf:g})",
        table(names, [directory_row(each) for each in found]),
        f"Beside the {len(told_once())} of the sample directory, which are not asked.",
    )


def directory_row(found: Directory) -> list[str]:
    result = found.rung.result
    times = [f"{result.ms('due_to_told', percentile):.0f}" for percentile in ("p50", "p99")]
    return [f"{found.agencies:,}", f"{cpu_ms(found.rung):.2f}", *times, result.void]


@dataclass(frozen=True, slots=True)
class Others:
    """What the healthy agencies saw. rss_mb: of the notification service afterwards."""

    name: str
    result: StepResult
    rss_mb: float

    @property
    def p99(self) -> Figure:
        return Figure(self.result.ms("accepted_to_told", "p99"), self.result.void)


async def sick_partners(system: Ihala, extent: Extent, folder: Path) -> list[Others]:
    agencies = asked_agencies(AGENCIES)
    await introduce(system, agencies)
    return [await beside(system, name, agencies, extent, folder / str(number)) for number, name in enumerate(SHARES)]


async def beside(system: Ihala, name: str, agencies: Sequence[Asked], extent: Extent, folder: Path) -> Others:
    share, answer_seconds = SHARES[name]
    sick = [each.partner_id for each in agencies[: round(share * len(agencies))]]
    # a tenth more, since a Poisson count strays and the sick ones' samples are in no latency
    seconds = max(extent.length.step, 1.1 * extent.least_samples / extent.rate / (1 - share))
    load = Load(
        [Step("warm-up", extent.rate, extent.length.warm_up), Step("step", extent.rate, seconds)],
        drain_seconds=DRAIN_SECONDS,
        slow=dict.fromkeys(sick, answer_seconds),
        variants=[each.intake for each in agencies],
    )
    result = (await run_load(system, load, folder)).step("step")
    waiting = await queued(system, sick)
    result.lost_ids = [case_ref for case_ref in result.lost_ids if case_ref not in waiting]
    notification = {"notification": system.processes()["notification-1"]}
    print(f"ihala  {name}: p99 of the others {result.ms('accepted_to_told', 'p99'):.1f} ms", flush=True)
    return Others(name, result, rss_mb(notification)["notification"])


async def queued(system: Ihala, partner_ids: Sequence[str]) -> set[str]:
    """References of the cases of which the agencies are still to be told."""
    connection = await asyncpg.connect(system.superuser_dsn, database="notification")
    try:
        return {row["case_ref"] for row in await connection.fetch(QUEUED, partner_ids)}
    finally:
        await connection.close()


async def partners_part(report: Report, extent: Extent, folder: Path) -> None:
    async with ihala(folder / "system") as system:
        found = await sick_partners(system, extent, folder)
    for each in found:
        report.note(each.name, each.result)
    healthy, *others = found
    ratios = [each.p99.over(healthy.p99) for each in others]
    report.figures["partners.p99_ratio"] = max(ratios, key=lambda each: (bool(each.void), each.value))
    report.found("partners.rss_mb", max(each.rss_mb for each in others) - healthy.rss_mb)
    names = ["agencies", "the others' webhooks", "their p50, ms", "their p99, ms", "notification's MB", "void"]
    heading = f"Slow and dead among {AGENCIES} agencies, each asked alike, at {extent.rate:g}/s"
    report.add(heading, table(names, [others_row(each) for each in found]))


def others_row(found: Others) -> list[str]:
    result = found.result
    times = [f"{result.ms('accepted_to_told', percentile):.0f}" for percentile in ("p50", "p99")]
    return [found.name, str(result.told), *times, f"{found.rss_mb:.0f}", result.void]
