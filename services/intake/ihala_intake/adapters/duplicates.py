"""The keys that find a person again, in PostgreSQL, and the suspicions that wait for a human.

Keys are kept and compared in one statement per flush, under one lock for all copies of the service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from ihala_events.vocabulary import Sex

from ihala_intake.domain.acceptance import NewCase
from ihala_intake.domain.duplicates import YEARS_APART, PersonKeys, is_suspect

WINDOW_DAYS = 90
MOST_COMPARED = 50
"""Of one block, the newest: a very common name must not make an intake slow."""

_KEEP_AND_COMPARE = "SELECT * FROM keep_and_compare($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"


async def keep_and_compare(connection: asyncpg.Connection, new: Sequence[NewCase]) -> dict[UUID, set[UUID]]:
    """Cases of which each new one may be a duplicate. Of two in one flush, only the later is suspected."""
    rows = [
        row for case in new if case.person for row in _rows(case.case_id, case.desk_id, case.received_at, case.person)
    ]
    if not rows:
        return {}
    columns = [list(column) for column in zip(*rows, strict=True)]
    found = await connection.fetch(_KEEP_AND_COMPARE, *columns, WINDOW_DAYS, MOST_COMPARED)
    place = {case.case_id: position for position, case in enumerate(new)}
    persons = {case.case_id: case.person for case in new}
    suspected: dict[UUID, set[UUID]] = {}
    for row in found:
        mine, other = row["case_id"], row["other_case_id"]
        person = persons[mine]
        if person and place.get(other, -1) < place[mine] and is_suspect(person, _keys(row)):
            suspected.setdefault(mine, set()).add(other)
    return suspected


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


async def suspect(connection: asyncpg.Connection, suspected: Mapping[UUID, set[UUID]]) -> None:
    pairs = [(case_id, other) for case_id, others in suspected.items() for other in sorted(others)]
    await connection.executemany("INSERT INTO suspected_duplicate (case_id, other_case_id) VALUES ($1, $2)", pairs)


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


async def hold_answers(
    connection: asyncpg.Connection, answers: Sequence[tuple[tuple[str, str], dict[str, object]]]
) -> None:
    """The answers of held cases, in place of those claimed before the cases were compared."""
    await connection.executemany(
        "UPDATE request SET answer = $3 WHERE credential_id = $1 AND key = $2",
        [(*key, answer) for key, answer in answers],
    )


async def release(connection: asyncpg.Connection, case_id: UUID) -> None:
    await connection.execute("UPDATE case_file SET state = 'submitted' WHERE case_id = $1", case_id)
