"""Calls that nobody should make, drawn from a service's own OpenAPI document, and what became of them.

Three kinds: what the document forbids, what it allows, and both with one value replaced by a nasty one.
Answers are judged one by one; whether refused calls left a trace is judged in groups, by the rows of every table.
A draw is repeatable by its seed.
"""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import asyncpg
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from yarl import URL

AT_ONCE = 8
GROUP = 40
TRIES_OF_A_ROLE = 1
SPOILED = 4
SHARES = {GenerationMode.NEGATIVE: 0.5, GenerationMode.POSITIVE: 0.5}
CANARY = "Canaryvalue"
# Written by clocks, consumers and the relay as well.
NOT_BY_CALLS = frozenset(
    {"outbox", "outbox_refused", "inbox", "unanswered", "reconciled", "parked", "credential", "told"}
)
NASTY: tuple[str, ...] = (  # JSON, as it stands in the body
    "null", "true", "0", "-1", "1e400", "-0.0", "NaN", "Infinity", "9223372036854775808", "9" * 400, "1e-7", "[]", "{}",
    '""', '" "', '"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"', '"\\u202e\\u2066"', '"\\ufffe"', f'"{CANARY}"',
    f'"{CANARY * 900}"', '"1\\n2"', '"\'; DROP TABLE event; --"', '"../../etc/passwd"', '"%00"', '"{{7*7}}"',
    '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2026-02-30"', '"9999-12-31"', '"0001-01-01"',
    '"2026-11-16T10:15:00+99:99"', '"-999999999-01-01"', '"P999999999D"', '"00000000-0000-0000-0000-000000000000"',
    f'{{"{CANARY}": 1}}', '{"": {"": []}}', '{"a": 1, "a": 2}', "[" * 300 + "]" * 300, f"[{'0,' * 5000}0]",
)  # fmt: skip
NASTY_IN_AN_ADDRESS: tuple[str, ...] = (
    "%00", "%FF%FE", "%ED%A0%80", "%0D%0AX:%20y", "..%2F..%2Fetc", "%2e%2e", "%252e", "%20", "%E2%80%AE", "+",
    "a" * 8_000, "-1", "0", "1e999", "9" * 400, "9223372036854775808", "%D9%A3", "NaN", "null", "true", "[]",
    "%27%3B--", "%25s", "2026-02-30", "0001-01-01", "9999-12-31", "0001-01-01T00:00:00%2B23:59", CANARY,
    "9999-12-31T23:59:59-23:59", "00000000-0000-0000-0000-000000000000", "AG-0000-0000", "out-1",
    "out-99999999999999999999", "essp-agd-agadir",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """As it goes over the wire. ``path``: with the query, without the host."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass
class Tally:
    """``findings``: by kind, one call that was answered as none should be."""

    calls: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    refused_groups: int = 0
    findings: dict[str, str] = field(default_factory=dict)

    def find(self, kind: str, call: Call, answer: object) -> None:
        self.findings.setdefault(kind, f"{call.method} {call.path:.300} {call.body!r:.600} -> {answer!s:.600}")

    def __str__(self) -> str:
        found = "\n".join(f"{kind}: {text}" for kind, text in self.findings.items())
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return f"{self.calls} calls ({statuses}), {self.refused_groups} groups left no trace\n{found}"


# --- drawing


@schemathesis.serializer("application/toml")
def _as_it_is(_context: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


def operations(document: dict[str, Any]) -> list[Any]:
    """Everything that the document describes. Raises Exception where it is no good document."""
    results: Any = schemathesis.openapi.from_dict(document).get_all_operations()
    return [result.ok() for result in results]


def drawn(operation: Any, count: int, from_seed: int, known: Mapping[str, str]) -> list[Call]:
    """So many calls of the operation; half of them to what is known to exist, where its path names something."""
    draw = random.Random(f"{from_seed} {operation.label}")
    each = count / (1 + SPOILED)  # to draw one costs more than to send many
    cases = [case for mode, share in SHARES.items() for case in _cases(operation, int(each * share), from_seed, mode)]
    calls = [_call(case, draw, known) for case in cases]
    return [*calls, *(spoiled(call, draw) for call in calls for _ in range(SPOILED))]


def _cases(operation: Any, count: int, from_seed: int, mode: GenerationMode) -> list[Any]:
    cases: list[Any] = []

    @seed(from_seed)
    @settings(
        max_examples=max(count, 1),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def take(case: Any) -> None:
        cases.append(case)

    take()
    return cases


def _call(case: Any, draw: random.Random, known: Mapping[str, str]) -> Call:
    if draw.random() < 0.5:
        case.path_parameters = {**(case.path_parameters or {}), **_existing(case.path, known)}
    prepared: Any = requests.Request(**case.as_transport_kwargs(base_url="http://service")).prepare()
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    headers = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
    if draw.random() < 0.9:
        headers["Idempotency-Key"] = f"{draw.getrandbits(64):x}"
    return Call(prepared.method, prepared.url.removeprefix("http://service"), headers, body)


def _existing(path: str, known: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in known.items() if f"{{{name}}}" in path}


def spoiled(call: Call, draw: random.Random) -> Call:
    """One value of its body, or of its address, replaced by a nasty one."""
    if call.body and draw.random() < 0.8:
        return replace(call, body=_spoiled_body(call.body, draw))
    parts = re.split(r"([/?&=:])", call.path)
    values = [place for place in range(4, len(parts), 2) if parts[place]]  # behind the version
    if values:
        parts[draw.choice(values)] = draw.choice(NASTY_IN_AN_ADDRESS)
    return replace(call, path="".join(parts))


def _spoiled_body(body: bytes, draw: random.Random) -> bytes:
    try:
        value = json.loads(body)
    except ValueError:
        return body
    places = list(_places(value))
    if not places:
        return draw.choice(NASTY).encode()
    holder, name = draw.choice(places)
    holder[name] = mark = f"<{draw.getrandbits(64)}>"
    return json.dumps(value).replace(f'"{mark}"', draw.choice(NASTY)).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield value, name
        yield from _places(value[name])


# --- calling and judging


class Abuser:
    """Calls one service as every role, soon mostly as those that it does not turn away at once."""

    def __init__(
        self, session: aiohttp.ClientSession, base: str, dsn: str, keys: Mapping[str, str], from_seed: int
    ) -> None:
        self.tally = Tally()
        self._session = session
        self._base = base
        self._dsn = dsn
        self._keys = keys
        self._draw = random.Random(from_seed)
        self._turned_away: dict[str, list[bool]] = {}

    async def abuse(self, calls: Sequence[Call]) -> None:
        """Calls of one operation."""
        self._turned_away = {role: [] for role in self._keys}
        connection = await asyncpg.connect(self._dsn)
        try:
            tables = await _tables(connection)
            for start in range(0, len(calls), GROUP):
                await self._group(connection, tables, calls[start : start + GROUP])
        finally:
            await connection.close()

    async def _group(self, connection: asyncpg.Connection, tables: Sequence[str], calls: Sequence[Call]) -> None:
        """A difference counts when it comes again: a consumer may have written as well."""
        before = await _rows(connection, tables)
        statuses = await self._all(calls)
        if any(status < 400 for status in statuses):
            return
        self.tally.refused_groups += 1
        changed = await _changed(connection, tables, before)
        if changed:
            await asyncio.sleep(2)
            before = await _rows(connection, tables)
            statuses = await self._all(calls)
            changed = await _changed(connection, tables, before)
        if changed and all(status >= 400 for status in statuses):
            self.tally.find(f"trace of what was refused: {changed}", calls[0], statuses)

    async def _all(self, calls: Sequence[Call]) -> list[int]:
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(call: Call) -> int:
            async with at_once:
                return await self._one(call)

        return await asyncio.gather(*(one(call) for call in calls))

    async def _one(self, call: Call) -> int:
        role = self._role()
        headers = {**call.headers, "Authorization": f"Bearer {self._keys[role]}"}
        url = URL(self._base + call.path, encoded=True)
        try:
            async with self._session.request(
                call.method, url, headers=headers, data=call.body, allow_redirects=False
            ) as response:
                status, answer, kind = response.status, await response.read(), response.content_type
        except ValueError:
            return 400  # the client itself does not send such a thing
        except aiohttp.ClientError as error:
            self.tally.find(f"no answer: {type(error).__name__}", call, error)
            return 599
        self._turned_away[role].append(status in (401, 403))
        self._judge(call, status, answer, kind)
        return status

    def _role(self) -> str:
        """Every role once, then those that got further; the others now and then."""
        new = [role for role, tries in self._turned_away.items() if len(tries) < TRIES_OF_A_ROLE]
        further = [role for role, tries in self._turned_away.items() if not all(tries)]
        among = new or (further if further and self._draw.random() < 0.95 else list(self._keys))
        return self._draw.choice(among)

    def _judge(self, call: Call, status: int, answer: bytes, kind: str) -> None:
        self.tally.calls += 1
        self.tally.statuses[status] += 1
        if status < 400:
            return
        if status >= 500:
            self.tally.find(f"{status} {call.method} {call.path.partition('?')[0]:.40}", call, answer)
        if kind != "application/problem+json" or json.loads(answer)["status"] != status:
            self.tally.find(f"no problem document {call.method} {status}", call, answer)
        if CANARY.encode() in answer.replace(f"/{CANARY}".encode(), b""):  # a field may be named, not its value
            self.tally.find("a received value is repeated", call, answer)


async def _tables(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    return [row["tablename"] for row in rows if row["tablename"] not in NOT_BY_CALLS]


async def _rows(connection: asyncpg.Connection, tables: Sequence[str]) -> dict[str, int]:
    counted = ", ".join(f'(SELECT count(*) FROM "{name}") AS "{name}"' for name in tables)
    return dict(await connection.fetchrow(f"SELECT {counted}") or {})


async def _changed(connection: asyncpg.Connection, tables: Sequence[str], before: dict[str, int]) -> dict[str, int]:
    after = await _rows(connection, tables)
    return {name: after[name] - before[name] for name in tables if after[name] != before[name]}
