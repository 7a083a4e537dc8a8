"""The keys that find a person again, in PostgreSQL, and the suspicions that wait for a human.

Requests are claimed, keys kept and compared in one statement per flush, under one lock for all copies of the service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.vocabulary import Sex
from ihala_runtime.postgres import Writes
from pydantic_core import to_json

from ihala_intake.adapters.cases import RequestKey
from ihala_intake.domain.acceptance import Accepted, NewCase
from ihala_intake.domain.duplicates import YEARS_APART, PersonKeys, is_suspect

WINDOW_DAYS = 90
MOST_COMPARED = 50
"""Of one block, the newest: a very common name must not make an intake slow."""

_CLAIM_AND_COMPARE = f"SELECT * FROM claim_and_compare({', '.join(f'${number}' for number in range(1, 19))})"
COLUMNS_OF_A_BLOCK = 12


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that would be stored under its key."""

    key: RequestKey
    fingerprint: bytes
    answer: dict[str, Any]
    accepted: Accepted

    @property
    def person(self) -> PersonKeys | None:
        return self.accepted.person if isinstance(self.accepted, NewCase) else None


async def claim_and_compare(
    connection: asyncpg.Connection, claims: Sequence[Claim]
) -> tuple[set[RequestKey], dict[UUID, set[UUID]]]:
    """The keys that were new; by their case, the cases that it may repeat. Claims are given sorted by key.

    Of two in one flush, only the later is suspected.
    """
    blocks = [(place, *row) for place, each in enumerate(claims) for row in _rows_of(each.accepted)]
    found = await connection.fetch(
        _CLAIM_AND_COMPARE,
        [each.key[0] for each in claims],
        [each.key[1] for each in claims],
        [each.fingerprint for each in claims],
        [to_json(each.answer).decode() for each in claims],
        *(zip(*blocks, strict=True) if blocks else [()] * COLUMNS_OF_A_BLOCK),
        WINDOW_DAYS,
        MOST_COMPARED,
    )
    cases = [each.accepted.case_id if isinstance(each.accepted, NewCase) else None for each in claims]
    suspected: dict[UUID, set[UUID]] = {}
    for row in found:
        mine, other, person = cases[row["place"]], row["other_case_id"], claims[row["place"]].person
        if mine and person and other and other not in cases[row["place"] :] and is_suspect(person, _keys(row)):
            suspected.setdefault(mine, set()).add(other)
    return {claims[row["place"]].key for row in found}, suspected


def _rows_of(accepted: Accepted) -> list[tuple[object, ...]]:
    if not isinstance(accepted, NewCase):
        return []
    return _rows(accepted.case_id, accepted.desk_id, accepted.received_at, accepted.person)


def _rows(case_id: UUID, desk_id: str, received_at: datetime, person: PersonKeys | None) -> list[tuple[object, ...]]:
    if person is None:
        return []
    tokens, spelled = _array(person.tokens), _array(person.spelled)
    born = (person.born_from, person.born_to)
    about = (desk_id, received_at, *born, person.sex.value, tokens, spelled, person.phone)
    return [(case_id, block, _least_year(person, block), *about) for block in person.blocks]


def _least_year(person: PersonKeys, block: int) -> int:
    """From which year of birth on cases of a block are compared: those of a name all have one, of a telephone not."""
    return 0 if block == person.phone else person.born_from - YEARS_APART


def _array(hashes: Sequence[int]) -> str:
    """As PostgreSQL writes an array: a list within a list would be sent as one of two dimensions."""
    return "{" + ",".join(map(str, hashes)) + "}"


def _keys(row: asyncpg.Record) -> PersonKeys:
    return PersonKeys(
        blocks=(),
        tokens=tuple(row["tokens"]),
        spelled=tuple(row["spelled"]),
        phone=row["phone"],
        born_from=row["born_from"],
        born_to=row["born_to"],
        sex=Sex(row["sex"]),
    )


async def forget_keys(connection: asyncpg.Connection, case_id: UUID) -> None:
    await connection.execute("DELETE FROM duplicate_key WHERE case_id = $1", case_id)


async def forget_person(connection: asyncpg.Connection, case_id: UUID) -> None:
    """Nothing finds the person again, and nothing says whom they were compared with."""
    await forget_keys(connection, case_id)
    await connection.execute("DELETE FROM suspected_duplicate WHERE case_id = $1 OR other_case_id = $1", case_id)


async def forget_old_keys(connection: asyncpg.Connection, now: datetime) -> None:
    """Outside the window a key finds nobody."""
    await connection.execute(
        "DELETE FROM duplicate_key WHERE received_at < $1::timestamptz - make_interval(days => $2)", now, WINDOW_DAYS
    )


async def renew_keys(
    connection: asyncpg.Connection, case_id: UUID, desk_id: str, received_at: datetime, person: PersonKeys | None
) -> None:
    """After a correction. It suspects nobody anew: the case is in hand already."""
    await forget_keys(connection, case_id)
    await connection.executemany(
        "INSERT INTO duplicate_key VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::bigint[], $9::text::bigint[], $10)",
        [(mine, block, *about) for mine, block, _, *about in _rows(case_id, desk_id, received_at, person)],
    )


def suspect(writes: Writes, suspected: Mapping[UUID, set[UUID]]) -> None:
    pairs = [(case_id, other) for case_id, others in suspected.items() for other in sorted(others)]
    writes.add(
        "INSERT INTO suspected_duplicate (case_id, other_case_id) SELECT * FROM unnest($1::uuid[], $2::uuid[])",
        [case_id for case_id, _ in pairs],
        [other for _, other in pairs],
    )


@dataclass(frozen=True, slots=True)
class Suspected:
    """``decision`` None: still open."""

    other_case_id: UUID
    case_ref: str
    desk_id: str
    decision: str | None


async def suspected_of(connection: asyncpg.Connection, case_id: UUID) -> list[Suspected]:
    rows = await connection.fetch(
        "SELECT other_case_id, case_ref, desk_id, decision FROM suspected_duplicate"
        " JOIN case_file ON case_file.case_id = other_case_id WHERE suspected_duplicate.case_id = $1 ORDER BY case_ref",
        case_id,
    )
    return [Suspected(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Verdict:
    decision: str
    at: datetime
    by: str
    staff_digest: str


async def decide(connection: asyncpg.Connection, case_id: UUID, others: Sequence[UUID], verdict: Verdict) -> None:
    await connection.execute(
        "UPDATE suspected_duplicate SET decision = $3, decided_at = $4, decided_by = $5, staff_digest = $6"
        " WHERE case_id = $1 AND other_case_id = ANY($2)",
        case_id,
        others,
        verdict.decision,
        verdict.at,
        verdict.by,
        verdict.staff_digest,
    )


def hold_answers(writes: Writes, answers: Sequence[tuple[RequestKey, dict[str, Any]]]) -> None:
    """The answers of held cases, in place of those claimed before the cases were compared."""
    writes.add(
        "UPDATE request SET answer = held.answer::jsonb"
        " FROM unnest($1::text[], $2::text[], $3::text[]) AS held (credential_id, key, answer)"
        " WHERE (request.credential_id, request.key) = (held.credential_id, held.key)",
        [credential_id for (credential_id, _), _ in answers],
        [key for (_, key), _ in answers],
        [to_json(answer).decode() for _, answer in answers],
    )


async def release(connection: asyncpg.Connection, case_id: UUID) -> None:
    await connection.execute("UPDATE case_file SET state = 'submitted' WHERE case_id = $1", case_id)
