"""A routing answer in the words of the contract: what `POST /v1/routing/explain` shows and a referral keeps.

Codes are plain text here: as JSON an enum costs ten times as much, and a referral keeps dozens of them.
"""

from collections.abc import Collection, Sequence
from typing import Any

from ihala_events.wire import rfc3339

from ihala_referral.domain.choice import Candidate
from ihala_referral.domain.directory import Bypassed
from ihala_referral.domain.routing import Routed


def explained(routed: Sequence[Routed]) -> dict[str, Any]:
    """routed: empty when the person refused."""
    state = "submitted" if routed else "information_only"
    return {"state": state, "referrals": [explained_referral(each) for each in routed]}


def explained_referral(routed: Routed) -> dict[str, Any]:
    return {
        "need_code": routed.need.code,
        "added_by": routed.need.added_by,
        "urgency": routed.urgency,
        "urgency_default": routed.urgency_default,
        "rule_id": routed.rule_id,
        "row": routed.row,
        "rule_set_version": routed.rule_set_version,
        "state": routed.state,
        "hold_reason": routed.hold_reason,
        "partner_chain": explained_chain(routed.choice.candidates, routed.together),
        "ack_due": rfc3339(routed.ack_due),
        "contact_due": rfc3339(routed.contact_due),
        "hard_deadline": routed.hard_deadline.isoformat() if routed.hard_deadline else None,
        "requires_confirmation": routed.requires_confirmation,
        "offers": list(routed.offers),
        "flags": list(routed.flags),
        "notify": {"person": routed.notify.person, "partner": routed.notify.partner},
        "explanation": {"passed_over": explained_bypassed(routed.bypassed)},
    }


def explained_bypassed(bypassed: Sequence[Bypassed]) -> list[dict[str, Any]]:
    """Agencies of the rule's types that were no candidates."""
    return [
        {"reason": str(each.reason), "count": each.count, "partner_ids": list(each.partner_ids)} for each in bypassed
    ]


def explained_chain(candidates: Sequence[Candidate], together: Collection[str]) -> list[dict[str, Any]]:
    """together: agencies that have the same need for another member of the household."""
    return [_explained_candidate(candidate, together) for candidate in candidates]


def _explained_candidate(candidate: Candidate, together: Collection[str]) -> dict[str, Any]:
    partner_id, _, programme_id = candidate.link
    shown = {
        "partner_id": partner_id,
        "partner_type": str(candidate.partner_type),
        "chosen": candidate.chosen,
        "why": str(candidate.why),
    }
    if programme_id:
        shown["programme_id"] = programme_id
    if partner_id in together:
        shown["together"] = True
    return shown
