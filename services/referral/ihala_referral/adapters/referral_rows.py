"""A referral as rows: one in `referral`, one in `attempt` for each agency asked.

The columns stand here once, for reading and for writing.  `tried` and `receipt_at` of an attempt are
other writers' and never written here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.vocabulary import AttemptState, HoldReason, Outcome, PartnerType, ReferralState, Urgency
from ihala_runtime.postgres import Writes, as_rows

from ihala_referral.domain.attempt import Attempt, CaseFile
from ihala_referral.domain.directory import Link
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.routing import Mandate

REFERRAL_COLUMNS = {
    "referral_id": "uuid",
    "case_id": "uuid",
    "case_ref": "text",
    "desk_id": "text",
    "need_id": "uuid",
    "need_code": "text",
    "urgency": "text",
    "state": "text",
    "hold_reason": "text",
    "partner_id": "text",
    "attempt_no": "integer",
    "rule_id": "text",
    "row_id": "text",
    "rule_set_version": "text",
    "received_at": "timestamptz",
    "sent_at": "timestamptz",
    "ack_due": "timestamptz",
    "contact_due": "timestamptz",
    "hard_deadline": "date",
    "contacted_at": "timestamptz",
    "outcome_code": "text",
    "waitlisted_at": "timestamptz",
    "offer_lapses_at": "timestamptz",
    "unanswered": "boolean",
    "details": "jsonb",
    "sequence": "bigint",
    "journey": "text",
    "due_from": "timestamptz",
    "calendar_version": "bigint",
}
ATTEMPT_COLUMNS = {
    "referral_id": "uuid",
    "attempt_no": "integer",
    "partner_id": "text",
    "partner_type": "text",
    "serves": "text",
    "state": "text",
    "reason_code": "text",
    "sent_at": "timestamptz",
    "ack_due": "timestamptz",
    "answered_at": "timestamptz",
    "sent_sequence": "bigint",
    "place_taken_at": "timestamptz",
    "reminded": "boolean",
    "deletion": "text",
    "correction": "text",
    "programme_id": "text",
    "responsible": "boolean",
}


def _upsert(table: str, columns: Mapping[str, str], key: Sequence[str]) -> str:
    """One statement for any number of rows."""
    names, typed = ", ".join(columns), ", ".join(f"{name} {kind}" for name, kind in columns.items())
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns if name not in key)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM json_to_recordset($1::json) AS given ({typed})"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )


_PUT_REFERRALS = _upsert("referral", REFERRAL_COLUMNS, ["referral_id"])
_PUT_ATTEMPTS = _upsert("attempt", ATTEMPT_COLUMNS, ["referral_id", "attempt_no"])


def put_referrals(writes: Writes, referrals: Iterable[Referral], calendar_version: int) -> None:
    """Insert or replace, in the order of their ids.  calendar_version: of the calendar they were counted by."""
    ordered = sorted(referrals, key=lambda each: each.referral_id)
    attempts = [_attempt_row(referral, attempt) for referral in ordered for attempt in referral.attempts]
    writes.add(_PUT_REFERRALS, as_rows(_referral_row(each, calendar_version) for each in ordered))
    if attempts:
        writes.add(_PUT_ATTEMPTS, as_rows(attempts))


def _referral_row(referral: Referral, calendar_version: int) -> dict[str, Any]:
    current = referral.current
    return {
        "referral_id": referral.referral_id,
        "case_id": referral.case.case_id,
        "case_ref": referral.case.case_ref,
        "desk_id": referral.case.desk_id,
        "need_id": referral.need_id,
        "need_code": referral.need_code,
        "urgency": referral.urgency,
        "state": referral.state,
        "hold_reason": referral.hold_reason,
        "partner_id": current.partner_id if current else None,
        "attempt_no": current.attempt_no if current else 0,
        "rule_id": referral.rule_id,
        "row_id": referral.row,
        "rule_set_version": referral.rule_set_version,
        "received_at": referral.received_at,
        "sent_at": referral.sent_at,
        "ack_due": referral.ack_due,
        "contact_due": referral.contact_due,
        "hard_deadline": referral.hard_deadline,
        "contacted_at": referral.contacted_at,
        "outcome_code": referral.outcome_code,
        "waitlisted_at": referral.waitlisted_at,
        "offer_lapses_at": referral.offer_lapses_at,
        "unanswered": referral.awaits_answer,
        "details": _details(referral),
        "sequence": referral.sequence,
        "journey": referral.journey,
        "due_from": referral.due_from or referral.received_at,
        "calendar_version": calendar_version,
    }


def _details(referral: Referral) -> dict[str, Any]:
    """Codes as plain text, which is written several times faster than an enum."""
    mandate = referral.mandate
    return {
        "links": [list(link) for link in referral.links],
        "mandate": {
            "basis_is_best_interest": mandate.basis_is_best_interest,
            "scope_needs": sorted(mandate.scope_needs),
            "emergency_types": sorted(map(str, mandate.emergency_types)),
            "waits": mandate.waits,
            "redirect": mandate.redirect,
            "silent": mandate.silent,
        },
        "requires_confirmation": referral.requires_confirmation,
        "other_staff_confirms": referral.other_staff_confirms,
        "flags": [*map(str, referral.flags)],
        "explanation": referral.explanation,
        "alerts": sorted(map(str, referral.alerts)),
        "last_move": list(referral.last_move) if referral.last_move else None,
    }


def _attempt_row(referral: Referral, attempt: Attempt) -> dict[str, Any]:
    return {
        "referral_id": referral.referral_id,
        "attempt_no": attempt.attempt_no,
        "partner_id": attempt.partner_id,
        "partner_type": attempt.partner_type,
        "serves": attempt.serves,
        "state": attempt.state,
        "reason_code": attempt.reason_code,
        "sent_at": attempt.sent_at,
        "ack_due": attempt.ack_due,
        "answered_at": attempt.answered_at,
        "sent_sequence": attempt.sent_sequence,
        "place_taken_at": attempt.place_taken_at,
        "reminded": attempt.reminded,
        "deletion": attempt.deletion,
        "correction": attempt.correction,
        "programme_id": attempt.programme_id,
        "responsible": attempt.responsible,
    }


async def lock_referrals(
    connection: asyncpg.Connection, referral_ids: Sequence[UUID], case_ids: Sequence[UUID]
) -> list[asyncpg.Record]:
    """The rows of these referrals, and of these cases' referrals, locked in the order of their ids."""
    return await connection.fetch(
        "SELECT * FROM referral WHERE referral_id = ANY($1::uuid[]) OR case_id = ANY($2::uuid[])"
        " ORDER BY referral_id FOR UPDATE",
        referral_ids,
        case_ids,
    )


async def lock_free_referrals(
    connection: asyncpg.Connection, referral_ids: Sequence[UUID], _case_ids: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Those of these that nobody else has locked; another copy of the service works on the others."""
    return await connection.fetch(
        "SELECT * FROM referral WHERE referral_id = ANY($1::uuid[]) ORDER BY referral_id FOR UPDATE SKIP LOCKED",
        referral_ids,
    )


async def read_referrals(connection: asyncpg.Connection, referral_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    return await connection.fetch(
        "SELECT * FROM referral WHERE referral_id = ANY($1::uuid[]) ORDER BY referral_id", referral_ids
    )


async def read_attempts(connection: asyncpg.Connection, referral_ids: Sequence[UUID]) -> dict[UUID, list[Attempt]]:
    rows = await connection.fetch(
        "SELECT * FROM attempt WHERE referral_id = ANY($1::uuid[]) ORDER BY referral_id, attempt_no", referral_ids
    )
    attempts: dict[UUID, list[Attempt]] = {}
    for row in rows:
        attempts.setdefault(row["referral_id"], []).append(_attempt(row))
    return attempts


def _attempt(row: asyncpg.Record) -> Attempt:
    return Attempt(
        attempt_no=row["attempt_no"],
        partner_id=row["partner_id"],
        partner_type=PartnerType(row["partner_type"]),
        serves=row["serves"],
        sent_at=row["sent_at"],
        ack_due=row["ack_due"],
        sent_sequence=row["sent_sequence"],
        state=AttemptState(row["state"]),
        reason_code=row["reason_code"],
        answered_at=row["answered_at"],
        place_taken_at=row["place_taken_at"],
        reminded=row["reminded"],
        deletion=row["deletion"],
        correction=row["correction"],
        programme_id=row["programme_id"],
        tried=row["tried"],
        responsible=row["responsible"],
    )


def referral_of(row: asyncpg.Record, case: CaseFile, attempts: list[Attempt]) -> Referral:
    details = row["details"]
    mandate = details["mandate"]
    return Referral(
        referral_id=row["referral_id"],
        case=case,
        need_id=row["need_id"],
        need_code=row["need_code"],
        urgency=Urgency(row["urgency"]),
        state=ReferralState(row["state"]),
        hold_reason=HoldReason(row["hold_reason"]) if row["hold_reason"] else None,
        rule_id=row["rule_id"],
        row=row["row_id"],
        rule_set_version=row["rule_set_version"],
        links=tuple(Link(*link) for link in details["links"]),
        mandate=Mandate(
            basis_is_best_interest=mandate["basis_is_best_interest"],
            scope_needs=frozenset(mandate["scope_needs"]),
            emergency_types=frozenset(PartnerType(kind) for kind in mandate["emergency_types"]),
            waits=mandate["waits"],
            redirect=mandate["redirect"],
            silent=mandate.get("silent", True),  # of a referral from before this was kept: rather told nothing
        ),
        requires_confirmation=details["requires_confirmation"],
        other_staff_confirms=details["other_staff_confirms"],
        flags=tuple(details["flags"]),
        explanation=details["explanation"],
        received_at=row["received_at"],
        ack_due=row["ack_due"],
        contact_due=row["contact_due"],
        hard_deadline=row["hard_deadline"],
        sent_at=row["sent_at"],
        contacted_at=row["contacted_at"],
        outcome_code=Outcome(row["outcome_code"]) if row["outcome_code"] else None,
        due_from=row["due_from"],
        waitlisted_at=row["waitlisted_at"],
        offer_lapses_at=row["offer_lapses_at"],
        alerts=frozenset(details["alerts"]),
        last_move=tuple(details["last_move"]) if details["last_move"] else None,
        attempts=attempts,
        sequence=row["sequence"],
        journey=row["journey"],
    )
