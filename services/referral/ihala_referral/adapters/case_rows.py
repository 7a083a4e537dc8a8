"""A case as a row: pseudonymous, and blank after an erasure.

What routing read of it, facts among it, is kept for trying other rules on it, until the person takes a consent back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.intake import RoutingProfile
from ihala_events.vocabulary import ConsentBasis, PartnerType
from ihala_runtime.postgres import Writes, as_rows
from pydantic_core import to_json

from ihala_referral.domain.attempt import CaseFile
from ihala_referral.domain.case import Consent, ScopeEntry, consent_of


@dataclass(frozen=True, slots=True)
class NewCase:
    """commune_code, age_band, sex: for counting alone.  profile: JSON, as it was routed."""

    file: CaseFile
    commune_code: str
    age_band: str
    sex: str
    profile: str
    routed_at: datetime


NOT_KEPT = {"recorded_by", "household"}  # routing reads neither


def new_case(profile: RoutingProfile, routed_at: datetime) -> NewCase:
    file = CaseFile(
        case_id=profile.case_id,
        case_ref=profile.case_ref,
        desk_id=profile.desk_id,
        languages=tuple(profile.language_tags),
        interpreter_needed=profile.interpreter_needed,
        consent=consent_of(profile.consent),
        recorded_by=frozenset(profile.recorded_by),
        in_household=bool(profile.household),
    )
    kept = profile.model_dump_json(exclude=NOT_KEPT, exclude_none=True)
    return NewCase(file, profile.commune_code, profile.age_band, profile.sex, kept, routed_at)


def insert_cases(writes: Writes, cases: Iterable[NewCase]) -> None:
    writes.add(_INSERT, as_rows(map(_row, sorted(cases, key=lambda each: each.file.case_id))))


def _row(case: NewCase) -> dict[str, Any]:
    return {
        "case_id": case.file.case_id,
        "case_ref": case.file.case_ref,
        "desk_id": case.file.desk_id,
        "commune_code": case.commune_code,
        "age_band": case.age_band,
        "sex": case.sex,
        "language_tags": case.file.languages,
        "interpreter_needed": case.file.interpreter_needed,
        "recorded_by": sorted(case.file.recorded_by),
        "consent": _consent_json(case.file.consent),
        "profile": case.profile,
        "routed_at": case.routed_at,
    }


_INSERT = """
INSERT INTO case_profile (case_id, case_ref, desk_id, commune_code, age_band, sex, language_tags, interpreter_needed,
    recorded_by, consent, profile, routed_at)
SELECT case_id, case_ref, desk_id, commune_code, age_band, sex, language_tags, interpreter_needed,
    recorded_by, consent, profile::jsonb, routed_at
FROM json_to_recordset($1::json) AS given (case_id uuid, case_ref text, desk_id text, commune_code text, age_band text,
    sex text, language_tags jsonb, interpreter_needed boolean, recorded_by jsonb, consent jsonb, profile text,
    routed_at timestamptz)
"""


async def read_cases(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> dict[UUID, CaseFile]:
    rows = await connection.fetch(
        "SELECT p.*, EXISTS (SELECT FROM household_link l WHERE p.case_id IN (l.case_id, l.other_case_id))"
        " AS in_household FROM case_profile p WHERE case_id = ANY($1::uuid[])",
        case_ids,
    )
    return {row["case_id"]: _file(row) for row in rows}


async def put_consent(connection: asyncpg.Connection, case_id: UUID, consent: Consent) -> None:
    await connection.execute("UPDATE case_profile SET consent = $2 WHERE case_id = $1", case_id, _consent_json(consent))


async def put_languages(connection: asyncpg.Connection, file: CaseFile) -> None:
    await connection.execute(
        "UPDATE case_profile SET language_tags = $2::text::jsonb, interpreter_needed = $3 WHERE case_id = $1",
        file.case_id,
        _text(file.languages),
        file.interpreter_needed,
    )


async def blank_case(connection: asyncpg.Connection, case_id: UUID) -> None:
    """Keep the ids and the prefecture; what was known of the person goes."""
    await connection.execute(
        "UPDATE case_profile SET commune_code = split_part(commune_code, '-', 1), age_band = NULL, sex = NULL,"
        " language_tags = '[]', recorded_by = '[]', consent = jsonb_build_object('basis', consent->'basis',"
        " 'scope', '[]'::jsonb), profile = NULL, routed_at = NULL, erased_at = clock_timestamp() WHERE case_id = $1",
        case_id,
    )


async def forget_profiles(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> None:
    """No other rules are tried on these cases any more."""
    await connection.execute(
        "UPDATE case_profile SET profile = NULL, routed_at = NULL WHERE case_id = ANY($1::uuid[])", case_ids
    )


def _file(row: asyncpg.Record) -> CaseFile:
    return CaseFile(
        case_id=row["case_id"],
        case_ref=row["case_ref"],
        desk_id=row["desk_id"],
        languages=tuple(row["language_tags"]),
        interpreter_needed=row["interpreter_needed"],
        consent=_consent(row["consent"]),
        recorded_by=frozenset(row["recorded_by"]),
        in_household=row["in_household"],
    )


def _text(value: Any) -> str:
    return to_json(value).decode()


def _consent_json(consent: Consent) -> dict[str, Any]:
    """Codes as plain text, which is written several times faster than an enum."""
    scope = [[entry.need_code, [*map(str, entry.partner_types)], entry.partner_ids] for entry in consent.scope]
    return {"basis": str(consent.basis), "scope": scope}


def _consent(stored: dict[str, Any]) -> Consent:
    return Consent(
        ConsentBasis(stored["basis"]),
        tuple(
            ScopeEntry(code, tuple(PartnerType(kind) for kind in kinds), tuple(ids))
            for code, kinds, ids in stored["scope"]
        ),
    )
