"""Cases, consents and given answers in PostgreSQL. Everything here runs in the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.intake import ConsentRequest, ConsentScope
from ihala_events.vocabulary import ConsentBasis
from ihala_runtime.postgres import Writes, as_rows

from ihala_intake.domain.acceptance import NewCase

RequestKey = tuple[str, str]
"""(credential or party, idempotency key)"""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    fingerprint: bytes
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CaseFile:
    case_id: UUID
    intake_id: UUID
    case_ref: str
    desk_id: str
    integrator_id: str | None
    state: str
    received_at: datetime
    sequence: int
    journey: str | None
    needs: list[dict[str, str]]
    sealed: bytes
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent in force, or the last one. ``withdrawn_needs``: taken back one by one."""

    consent_id: UUID
    basis: ConsentBasis
    scope: list[ConsentScope]
    text_version: str
    lang: str
    mode: str
    recorded_at: datetime
    withdrawn_at: datetime | None
    withdrawn_needs: list[str]

    def holds_for(self, need_code: str) -> bool:
        return self.withdrawn_at is None and need_code not in self.withdrawn_needs


async def given_answers(connection: asyncpg.Connection, keys: Sequence[RequestKey]) -> dict[RequestKey, GivenAnswer]:
    rows = await connection.fetch(
        "SELECT request.* FROM request JOIN unnest($1::text[], $2::text[]) AS wanted (credential_id, key)"
        " USING (credential_id, key)",
        [credential_id for credential_id, _ in keys],
        [key for _, key in keys],
    )
    return {(row["credential_id"], row["key"]): GivenAnswer(row["fingerprint"], row["answer"]) for row in rows}


async def forget_answers(connection: asyncpg.Connection, keep_days: int) -> None:
    await connection.execute("DELETE FROM request WHERE created_at < now() - make_interval(days => $1)", keep_days)


_INSERT_CASES = """
INSERT INTO case_file (case_id, intake_id, case_ref, desk_id, integrator_id, state, received_at, journey, needs,
    sealed, sequence)
SELECT case_id, intake_id, case_ref, desk_id, integrator_id, state, received_at, journey, needs, sealed, 1
FROM json_to_recordset($1::json) AS given (case_id uuid, intake_id uuid, case_ref text, desk_id text,
    integrator_id text, state text, received_at timestamptz, journey text, needs jsonb, sealed bytea)
"""

_INSERT_CONSENTS = """
INSERT INTO consent (consent_id, case_id, text_version, lang, mode, basis, scope, recorded_at)
SELECT consent_id, case_id, text_version, lang, mode, basis, scope, recorded_at
FROM json_to_recordset($1::json) AS given (consent_id uuid, case_id uuid, text_version text, lang text, mode text,
    basis text, scope jsonb, recorded_at timestamptz)
"""


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A new case as it is stored. ``journey``: the traceparent of the request that brought it."""

    case: NewCase
    sealed: bytes
    journey: str | None


def insert_cases(writes: Writes, rows: Sequence[CaseRow]) -> None:
    """New cases and their consents."""
    if rows:
        writes.add(_INSERT_CASES, as_rows(map(_case_row, rows)))
        writes.add(_INSERT_CONSENTS, as_rows(map(_first_consent_row, rows)))


def _case_row(row: CaseRow) -> dict[str, object]:
    case = row.case
    return {
        "case_id": case.case_id,
        "intake_id": case.intake_id,
        "case_ref": case.case_ref,
        "desk_id": case.desk_id,
        "integrator_id": case.integrator_id,
        "state": case.state,
        "received_at": case.received_at,
        "journey": row.journey,
        "needs": case.needs,
        "sealed": f"\\x{row.sealed.hex()}",
    }


def _first_consent_row(row: CaseRow) -> dict[str, object]:
    return _consent_row(row.case.consent_id, row.case.case_id, row.case.consent, row.case.received_at)


def _consent_row(consent_id: UUID, case_id: UUID, given: ConsentRequest, at: datetime) -> dict[str, object]:
    return {
        "consent_id": consent_id,
        "case_id": case_id,
        "text_version": given.text_version,
        "lang": given.lang,
        "mode": given.mode,
        "basis": given.basis,
        "scope": given.scope,
        "recorded_at": at,
    }


async def replace_consent(
    connection: asyncpg.Connection, case_id: UUID, consent_id: UUID, given: ConsentRequest, at: datetime
) -> None:
    """The new consent is the one in force; the old one is kept as history."""
    await connection.execute(
        "UPDATE consent SET replaced_at = $2 WHERE case_id = $1 AND replaced_at IS NULL", case_id, at
    )
    await connection.execute(_INSERT_CONSENTS, as_rows([_consent_row(consent_id, case_id, given, at)]))


async def withdraw_consent(
    connection: asyncpg.Connection, consent_id: UUID, need_codes: list[str] | None, at: datetime
) -> None:
    """need_codes None: all of it."""
    if need_codes is None:
        await connection.execute("UPDATE consent SET withdrawn_at = $2 WHERE consent_id = $1", consent_id, at)
    else:
        await connection.execute(
            "UPDATE consent SET withdrawn_needs = ARRAY(SELECT DISTINCT unnest(withdrawn_needs || $2::text[]))"
            " WHERE consent_id = $1",
            consent_id,
            need_codes,
        )


async def case_ids(
    connection: asyncpg.Connection, case_refs: Sequence[str], desk_ids: Sequence[str]
) -> Mapping[str, UUID]:
    """Case ids by reference, of these desks alone."""
    rows = await connection.fetch(
        "SELECT case_ref, case_id FROM case_file WHERE case_ref = ANY($1) AND desk_id = ANY($2)", case_refs, desk_ids
    )
    return {row["case_ref"]: row["case_id"] for row in rows}


async def find_case(connection: asyncpg.Connection, case_ref: str, *, lock: bool = False) -> CaseFile | None:
    row = await connection.fetchrow(
        "SELECT case_id, intake_id, case_ref, desk_id, integrator_id, state, received_at, sequence, journey, needs,"
        f" sealed, erased_at FROM case_file WHERE case_ref = $1{' FOR UPDATE' if lock else ''}",
        case_ref,
    )
    return None if row is None else CaseFile(**row)


async def replace_file(connection: asyncpg.Connection, case_id: UUID, sealed: bytes) -> None:
    await connection.execute("UPDATE case_file SET sealed = $2 WHERE case_id = $1", case_id, sealed)


async def next_sequence(connection: asyncpg.Connection, case_id: UUID) -> int:
    """Count one more event of the case, whose row is locked by this."""
    sequence: int = await connection.fetchval(
        "UPDATE case_file SET sequence = sequence + 1 WHERE case_id = $1 RETURNING sequence", case_id
    )
    return sequence


async def current_consent(connection: asyncpg.Connection, case_id: UUID) -> Consent | None:
    row = await connection.fetchrow(
        "SELECT consent_id, basis, scope, text_version, lang, mode, recorded_at, withdrawn_at, withdrawn_needs"
        " FROM consent WHERE case_id = $1 AND replaced_at IS NULL",
        case_id,
    )
    if row is None:
        return None
    scope = [ConsentScope.model_validate(entry, strict=False) for entry in row["scope"]]
    return Consent(**{**row, "basis": ConsentBasis(row["basis"]), "scope": scope})
