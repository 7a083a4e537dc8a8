"""What a referral costs when there are many already.

Rule: each copy of a referral is whole: every row that one told referral left in all databases (case, consent, keys,
request, events, inboxes, attempts, timers, delivery) with ids and instants of its own, a week of them behind today.
"""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from benchmarks.ladder import Length, Rung, one_rung
from benchmarks.systems import Ihala

SERVICES = ("intake-1", "referral-1", "notification-1", "postgres")
HISTORY = timedelta(days=8)  # the copies begin so long ago
APART_SECONDS = 0.6  # a million within a week
BY_CASE, BY_REFERRAL = "case_id = '{case_id}'", "referral_id = '{referral_id}'"
BY_KEY = "key IN ('{case_id}', '{referral_id}')"
BY_EVENT = "event_id = ANY('{{{events}}}')"
LEFT_BY_ONE: Mapping[str, Mapping[str, str]] = {
    "intake": {
        "case_file": BY_CASE,
        "consent": BY_CASE,
        "duplicate_key": BY_CASE,
        "addressee": BY_REFERRAL,
        "request": "answer ->> 'case_ref' = '{case_ref}'",
        "event": BY_KEY,
        "inbox": BY_EVENT,
    },
    "intake_keys": {"case_key": BY_CASE},
    "referral": {
        "case_profile": BY_CASE,
        "referral": BY_REFERRAL,
        "attempt": BY_REFERRAL,
        "timer": "aggregate_id = '{referral_id}'",
        "event": BY_KEY,
        "inbox": BY_EVENT,
    },
    "notification": {
        "delivery": BY_REFERRAL,
        "attempt": "delivery_id IN (SELECT delivery_id FROM delivery WHERE referral_id = '{referral_id}')",
        "event": BY_KEY,
        "inbox": BY_EVENT,
    },
}
"""Of each table of a database the rows of one referral."""

IDS = (
    "case_id", "referral_id", "need_id", "intake_id", "consent_id", "event_id", "delivery_id", "aggregate_id",
    "correlation_id", "key",
)  # fmt: skip
STILL_TO_COME = ("ack_due", "contact_due", "due_at")
TOLD_ONE = """
    SELECT referral.case_id::text, referral_id::text, case_ref FROM referral JOIN attempt USING (referral_id)
    WHERE receipt_at IS NOT NULL ORDER BY created_at LIMIT 1
"""


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


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies of one referral, in every database; the same id in the template gives the same id in all of them.

    model: ids of the one that is copied, and of the events that it caused.  begins: when copy number 0 came.
    """

    system: Ihala
    model: Mapping[str, str]
    begins: datetime

    async def copy(self, start: int, end: int) -> None:
        """Copies number ``start`` to ``end``."""
        for database, tables in LEFT_BY_ONE.items():
            async with self._connection(database) as connection:
                await connection.execute("SET session_replication_role = replica")  # rows come whole, in any order
                for table, of_one in tables.items():
                    statement = await self._statement(connection, table, of_one.format(**self.model), start, end)
                    await connection.execute(statement, timeout=3600)

    async def settle(self) -> None:
        """The server has counted them and tidied up, as it does by itself: nothing left of copying is measured."""
        for database in LEFT_BY_ONE:
            async with self._connection(database) as connection:
                await connection.execute("VACUUM ANALYZE", timeout=3600)

    @asynccontextmanager
    async def _connection(self, database: str) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.system.superuser_dsn, database=database)
        try:
            yield connection
        finally:
            await connection.close()

    async def _statement(self, connection: asyncpg.Connection, table: str, of_one: str, start: int, end: int) -> str:
        columns = await connection.fetch(
            "SELECT attname AS name, atttypid = 'timestamptz'::regtype AS is_instant FROM pg_attribute"
            " WHERE attrelid = $1::text::regclass AND attnum > 0"
            " AND NOT attisdropped AND attidentity = '' AND attgenerated = ''",
            table,
        )
        names = ", ".join(column["name"] for column in columns)
        values = ", ".join(self._value(table, column["name"], is_instant=column["is_instant"]) for column in columns)
        return (
            f"INSERT INTO {table} ({names}) SELECT {values}"
            f" FROM (SELECT * FROM {table} WHERE {of_one}) AS template,"
            f" generate_series({start}::bigint, {end - 1}) AS n"
        )

    def _value(self, table: str, name: str, *, is_instant: bool) -> str:
        own = f"template.{name}"
        if name in IDS:
            return self._id(own)
        if is_instant and name not in STILL_TO_COME:
            moved = f"'{self.begins.isoformat()}'::timestamptz + n * interval '{APART_SECONDS} s'"
            return f"CASE WHEN {own} IS NOT NULL THEN {moved} END"
        match name:
            case "case_ref":
                return "'CP-' || n"
            case "answer" if table == "request":
                return f"jsonb_set({own}, '{{case_ref}}', to_jsonb('CP-' || n))"
            case "block":
                return f"('x' || substr(md5({own}::text || n), 1, 15))::bit(60)::bigint"
            case _:
                return own

    def _id(self, own: str) -> str:
        """Ids that tell the time lie in its order, the others anywhere, as in the template."""
        spread = f"md5({own}::text || n)"
        milliseconds = f"{int(self.begins.timestamp() * 1000)} + n * {APART_SECONDS * 1000:.0f}"
        behind_time = f"'7' || substr({spread}, 1, 3) || '8' || substr({spread}, 4, 15)"
        timed = f"lpad(to_hex({milliseconds}), 12, '0') || {behind_time}"
        return f"(CASE WHEN substr({own}::text, 15, 1) = '7' THEN {timed} ELSE {spread} END)::uuid"


async def copier_of(system: Ihala) -> Copier:
    """Of a referral whose agency was told."""
    databases = {name: await asyncpg.connect(system.superuser_dsn, database=name) for name in LEFT_BY_ONE}
    try:
        (model,) = map(dict, await databases["referral"].fetch(TOLD_ONE))
        events = [
            str(row["event_id"])
            for name, tables in LEFT_BY_ONE.items()
            if "event" in tables
            for row in await databases[name].fetch(f"SELECT event_id FROM event WHERE {BY_KEY.format(**model)}")
        ]
    finally:
        for connection in databases.values():
            await connection.close()
    return Copier(system, model | {"events": ",".join(events)}, datetime.now(UTC) - HISTORY)


async def growth(system: Ihala, sizes: Sequence[int], rate: float, length: Length, folder: Path) -> list[Grown]:
    """At each size the same load."""
    found, known = [], 0
    await one_rung(system, rate, length, folder / "first")  # leaves rows to copy
    copier = await copier_of(system)
    for size in sizes:
        await copier.copy(known, size)
        await copier.settle()
        known = size
        found.append(Grown(size, await one_rung(system, rate, length, folder / str(size))))
        print(f"ihala  {size:8} referrals known: {found[-1].cpu_ms:.2f} ms of CPU each", flush=True)
    return found


def slope(found: Sequence[Grown]) -> float:
    """Of cost over size, both logarithmic, by least squares: 0 when nothing grows."""
    points = [(math.log(each.referrals), math.log(each.cpu_ms)) for each in found]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
