"""Answers that cannot be: another's, out of order, too late, after a withdrawal.  Over HTTP and over the agency's topic
each is refused with the same reason, and the referral stays as it was.
"""

import json
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from ihala_events import catalogue
from ihala_events.intake import ConsentWithdrawn
from ihala_runtime.identifiers import uuid7
from support.referral_service import CENTRE, WOMEN, Running, answers, refusal
from support.referral_units import a_profile
from support.referral_world import at
from support.serving import move, try_move
from support.waiting import wait_until


class Wrong(NamedTuple):
    """before: moves of the health centre that come first.  by: who answers then."""

    before: str
    by: str
    response: str
    said: dict[str, Any]
    reason: str
    status: int = 409


CAPACITY = {"reason_code": "CAPACITY"}
WRONG = [
    Wrong("", WOMEN, "accept", {}, "not-found", 404),
    Wrong("", WOMEN, "decline", CAPACITY, "not-found", 404),
    Wrong("", WOMEN, "handover-acceptance", {}, "not-found", 404),
    Wrong("", CENTRE, "start", {}, "illegal-move"),
    Wrong("", CENTRE, "close", {"outcome_code": "RECEIVED"}, "illegal-move"),
    Wrong("", CENTRE, "hand-back", CAPACITY, "illegal-move"),
    Wrong("", CENTRE, "handover", {"partner_id": WOMEN}, "illegal-move"),
    Wrong("accept", CENTRE, "acknowledge", {}, "illegal-move"),
    Wrong("accept", CENTRE, "waitlist", {}, "illegal-move"),
    Wrong("accept", CENTRE, "close", {}, "invalid-input", 422),
    Wrong("accept", CENTRE, "handover", {}, "invalid-input", 422),
    Wrong("accept", CENTRE, "handover", {"partner_id": "cape"}, "partner-not-possible"),
    Wrong("accept", CENTRE, "handover-acceptance", {}, "no-handover"),
    Wrong("accept", CENTRE, "handover-withdrawal", {}, "no-handover"),
    Wrong("accept handover", WOMEN, "accept", {}, "illegal-move"),
    Wrong("accept handover", WOMEN, "close", {"outcome_code": "RECEIVED"}, "illegal-move"),
    Wrong("accept handover handover-withdrawal", WOMEN, "handover-acceptance", {}, "attempt-ended"),
    Wrong("decline", CENTRE, "accept", {}, "attempt-ended"),
    Wrong("accept start close", CENTRE, "hand-back", CAPACITY, "illegal-move"),
    Wrong("accept start close", CENTRE, "contacted", {}, "illegal-move"),
    Wrong("withdrawn", CENTRE, "accept", {}, "attempt-ended"),
    Wrong("withdrawn", CENTRE, "contacted", {}, "attempt-ended"),
    Wrong("accept withdrawn", CENTRE, "close", {"outcome_code": "RECEIVED"}, "attempt-ended"),
    Wrong("accept handover withdrawn", WOMEN, "handover-acceptance", {}, "attempt-ended"),
]
BODIES = {"decline": CAPACITY, "close": {"outcome_code": "RECEIVED"}, "handover": {"partner_id": WOMEN}}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda each: f"{each.response} by {each.by} after {each.before or 'sent'}")
async def test_a_wrong_answer_is_refused_at_both_doors_and_changes_nothing(referral: Running, wrong: Wrong) -> None:
    referral_id = await _begun(referral, wrong.before)
    before = await referral.seen(referral_id), await referral.happened(referral_id)

    client = referral.women if wrong.by == WOMEN else referral.centre
    status, problem = await try_move(client, referral_id, wrong.response, wrong.said)
    answer = {"referral_id": referral_id, "response": wrong.response, **wrong.said}
    request_id = await answers(referral, wrong.by, answer)
    told = await wait_until(lambda: refusal(referral, wrong.by, request_id), within_seconds=30)

    assert (status, problem["type"]) == (wrong.status, f"urn:ihala:problem:{wrong.reason}")
    assert (told or {})["reason"] == wrong.reason
    assert (await referral.seen(referral_id), await referral.happened(referral_id)) == before


async def _begun(referral: Running, moves: str) -> str:
    """A referral of a case received now, sent to the health centre, after these moves."""
    now = json.loads(referral.clock_file.read_text(encoding="utf-8"))["now"]
    profile = a_profile("HEA-MAT", received_at=datetime.fromisoformat(now))
    await referral.tell(catalogue.CASE_SUBMITTED, profile, profile.case_id)
    (made,) = await referral.of_case(profile)
    referral_id: str = made["referral_id"]
    for name in moves.split():
        if name == "withdrawn":
            await _withdraw(referral, profile, referral_id)
        else:
            await move(referral.centre, referral_id, name, BODIES.get(name))
    return referral_id


async def _withdraw(referral: Running, profile: Any, referral_id: str) -> None:
    withdrawn = ConsentWithdrawn(
        case_id=profile.case_id, case_ref=profile.case_ref, consent_id=uuid7(), withdrawn_at=at("2026-11-16 10:20")
    )
    await referral.tell(catalogue.CONSENT_WITHDRAWN, withdrawn, profile.case_id)

    async def is_withdrawn() -> bool:
        return bool((await referral.seen(referral_id))["state"] == "withdrawn")

    await wait_until(is_withdrawn, within_seconds=30)
