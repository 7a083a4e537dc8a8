"""What a referral costs when there are many already, or many agencies.

Rule: each copy of a referral is whole, in all three databases, with ids of its own; copies of agencies come by the API.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from ihala_local.directory import import_directory

from benchmarks.ladder import Length, Rung, one_rung
from benchmarks.systems import Ihala, told_once

SERVICES = ("intake-1", "referral-1", "notification-1", "postgres")
LEARN_SECONDS = 15.0  # until every service knows the new agencies and is quiet again
COPIED: Mapping[str, Sequence[str]] = {
    "intake": ("case_file", "consent", "addressee", "duplicate_key", "event"),
    "referral": ("case_profile", "referral", "attempt", "event"),
    "notification": ("delivery", "event"),
}
# a value of its own for each copy n; the same seed gives the same id in every table and database
IDS = {
    name: f"(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 9000000000 + n), 12, '0') || '7'"
    f" || substr(md5('{name}' || n), 1, 3) || '8' || substr(md5('{name}' || n), 4, 15))::uuid"
    for name in ("case_id", "referral_id", "need_id", "intake_id", "consent_id", "event_id", "delivery_id")
}
NEW = IDS | {
    "case_ref": "'CP-' || n",
    "aggregate_id": IDS["referral_id"],
    "block": "('x' || substr(md5('block' || n), 1, 15))::bit(60)::bigint",
}


@dataclass(frozen=True, slots=True)
class Grown:
    """What one rate costs with so many referrals known."""

    referrals: int
    rung: Rung

    @property
    def cpu_ms(self) -> float:
        return cpu_ms(self.rung)


def cpu_ms(rung: Rung) -> float:
    """Of the three services and PostgreSQL, by intake."""
    return sum(rung.cpu_ms[name] for name in SERVICES)


async def grow(system: Ihala, start: int, end: int) -> None:
    """Copies number ``start`` to ``end``."""
    for database, tables in COPIED.items():
        connection = await asyncpg.connect(system.superuser_dsn, database=database)
        try:
            await connection.execute("SET session_replication_role = replica")  # rows come whole, in any order
            for table in tables:
                await connection.execute(await copy_statement(connection, table, start, end), timeout=3600)
            await connection.execute("ANALYZE")
        finally:
            await connection.close()


async def copy_statement(connection: asyncpg.Connection, table: str, start: int, end: int) -> str:
    columns = await connection.fetch(
        "SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
        " AND NOT attisdropped AND attidentity = '' AND attgenerated = ''",
        table,
    )
    names = [row["name"] for row in columns]
    values = [NEW.get(name, f"template.{name}") for name in names]
    return (
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)}"
        f" FROM (SELECT * FROM {table} LIMIT 1) AS template, generate_series({start}::bigint, {end - 1}) AS n"
    )


async def growth(system: Ihala, sizes: Sequence[int], rate: float, length: Length, folder: Path) -> list[Grown]:
    """At each size the same load."""
    found, known = [], 0
    await one_rung(system, rate, length, folder / "first")  # leaves rows to copy
    for size in sizes:
        await grow(system, known, size)
        known = size
        found.append(Grown(size, await one_rung(system, rate, length, folder / str(size))))
        print(f"ihala  {size:8} referrals known: {found[-1].cpu_ms:.2f} ms of CPU each", flush=True)
    return found


@dataclass(frozen=True, slots=True)
class Directory:
    """What one rate costs with so many agencies, each of which is asked in its turn."""

    agencies: int
    rung: Rung


async def directories(
    system: Ihala, sizes: Sequence[int], rate: float, length: Length, folder: Path
) -> list[Directory]:
    """At each size the same load; the sample agencies and copies of them."""
    found = []
    for size in sizes:
        sample = told_once()
        copies = copies_of(sample, size)
        await import_directory(system.endpoints, [*sample, *copies], [])
        system.endpoints["credentials"]["partners"].update({each["partner_id"]: "" for each in copies})
        await asyncio.sleep(LEARN_SECONDS)
        found.append(Directory(size, await one_rung(system, rate, length, folder / str(size))))
        print(f"ihala  {size:8} agencies: {sum(found[-1].rung.cpu_ms.values()):.2f} ms of CPU each", flush=True)
    return found


def copies_of(sample: Sequence[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """What the sample lacks of ``size``; there is one coordination cell alone."""
    models = [each for each in sample if each["type"] != "PT-COORD"]
    return [
        models[number % len(models)] | {"partner_id": f"copy-{number}", "parent": None}
        for number in range(size - len(sample))
    ]


def slope(found: Sequence[Grown]) -> float:
    """Of cost over size, both logarithmic, by least squares: 0 when nothing grows."""
    points = [(math.log(each.referrals), math.log(each.cpu_ms)) for each in found]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
