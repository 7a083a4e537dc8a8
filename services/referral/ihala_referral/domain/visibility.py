"""Who may see a referral, and how much of it.

An agency sees what it was asked for and no other's attempts; a restricted need and what gives it away are masked
for everyone but the addressed agency and the staff who work with the case (P07, P11).  Only that staff sees that
there is a household, or that the case once resembled another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ihala_events.access import Role
from ihala_events.vocabulary import RESTRICTED_NEEDS, masked
from ihala_events.wire import rfc3339

from ihala_referral.domain.attempt import Attempt
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.routing import ReferralFlag

STAFF = frozenset({Role.DESK, Role.PROTECTION})
EVERY_DESK = frozenset({Role.OPERATOR, Role.PROTECTION})


@dataclass(frozen=True, slots=True)
class Viewer:
    """party_id: of an agency.  desk_ids: of a desk."""

    role: Role
    party_id: str | None = None
    desk_ids: frozenset[str] = frozenset()


def may_see(viewer: Viewer, referral: Referral) -> bool:
    match viewer.role:
        case Role.DESK:
            return referral.case.desk_id in viewer.desk_ids
        case Role.AGENCY:
            return viewer.party_id is not None and referral.was_asked(viewer.party_id)
        case role:
            return role in EVERY_DESK


def shown(referral: Referral, viewer: Viewer, trace_id: str | None, waiting_position: int | None) -> dict[str, Any]:
    """The referral in the words of the contract.  waiting_position: in the agency's list, from 1."""
    attempts = [each for each in referral.attempts if viewer.role is not Role.AGENCY or _is_own(each, viewer)]
    current = referral.current
    addressed = next((each for each in (current, referral.handover) if each is not None and each in attempts), None)
    knows = _knows_the_need(referral, viewer)
    veiled = _is_secret(referral) and not knows
    return {
        "referral_id": str(referral.referral_id),
        "case_id": str(referral.case.case_id),
        "case_ref": referral.case.case_ref,
        "need_id": str(referral.need_id),
        "need_code": referral.need_code if knows else masked(referral.need_code),
        "urgency": referral.urgency,
        "state": referral.state,
        "hold_reason": referral.hold_reason,
        "partner_id": addressed.partner_id if addressed else None,
        "partner_type": addressed.partner_type if addressed and not veiled else None,
        "attempt_no": addressed.attempt_no if addressed else len(referral.attempts),
        "attempts": [_shown_attempt(each, veiled=veiled) for each in attempts],
        "handover": _shown_handover(referral, viewer),
        "rule_id": None if veiled else referral.rule_id,
        "row": None if veiled else referral.row,
        "rule_set_version": referral.rule_set_version,
        "explanation": None if veiled or viewer.role is Role.AGENCY else _shown_explanation(referral, viewer),
        "flags": [] if veiled else [flag for flag in referral.flags if _may_see_flag(flag, viewer)],
        "received_at": rfc3339(referral.received_at),
        "sent_at": rfc3339(referral.sent_at) if referral.sent_at else None,
        "ack_due": rfc3339(referral.ack_due),
        "contact_due": rfc3339(referral.contact_due),
        "hard_deadline": referral.hard_deadline.isoformat() if referral.hard_deadline else None,
        "contacted_at": rfc3339(referral.contacted_at) if referral.contacted_at else None,
        "outcome_code": referral.outcome_code,
        "waiting_position": waiting_position,
        "trace_id": trace_id,
    }


def _is_secret(referral: Referral) -> bool:
    """The need is restricted, or its agencies are asked as those of one that is: a child alone who goes to school."""
    codes = {referral.need_code, *(link.serves for link in referral.links)}
    return not RESTRICTED_NEEDS.isdisjoint(codes)


def _shown_explanation(referral: Referral, viewer: Viewer) -> dict[str, Any]:
    """Without what tells of a household or of a restricted cause, but to the staff."""
    if viewer.role in STAFF or not referral.explanation:
        return referral.explanation
    cause = referral.explanation["added_by"]
    chain = [
        {name: each[name] for name in each if name != "together"} for each in referral.explanation["partner_chain"]
    ]
    return referral.explanation | {"added_by": cause and masked(cause), "partner_chain": chain}


def _knows_the_need(referral: Referral, viewer: Viewer) -> bool:
    """The addressed agency, one that is asked to take over, and the staff who confirm."""
    if viewer.role is Role.AGENCY:
        return _is_a_side(referral, viewer)
    return viewer.role in STAFF


def _may_see_flag(flag: str, viewer: Viewer) -> bool:
    return flag != ReferralFlag.SIBLINGS_SPLIT or viewer.role in STAFF


def seen_by(viewer: Viewer, items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a timeline: an agency sees its own attempts, not what came before it or passed without it."""
    return [item for item in items if viewer.role is not Role.AGENCY or item["partner_id"] == viewer.party_id]


def _is_a_side(referral: Referral, viewer: Viewer) -> bool:
    return any(each is not None and _is_own(each, viewer) for each in (referral.holder, referral.handover))


def _shown_handover(referral: Referral, viewer: Viewer) -> dict[str, Any] | None:
    """A proposed handover, for its two sides and for staff."""
    giver, proposed = referral.holder, referral.handover
    if giver is None or proposed is None or (viewer.role is Role.AGENCY and not _is_a_side(referral, viewer)):
        return None
    return {
        "from_partner_id": giver.partner_id,
        "to_partner_id": proposed.partner_id,
        "proposed_at": rfc3339(proposed.sent_at),
        "ack_due": rfc3339(proposed.ack_due),
    }


def _is_own(attempt: Attempt, viewer: Viewer) -> bool:
    return attempt.partner_id == viewer.party_id


def _shown_attempt(attempt: Attempt, *, veiled: bool) -> dict[str, Any]:
    return {
        "attempt_no": attempt.attempt_no,
        "partner_id": attempt.partner_id,
        "state": attempt.state,
        "reason_code": attempt.reason_code,
        "sent_at": rfc3339(attempt.sent_at),
        "ack_due": rfc3339(attempt.ack_due),
        "answered_at": rfc3339(attempt.answered_at) if attempt.answered_at else None,
        "programme_id": None if veiled else attempt.programme_id,
    }
