"""Deadlines of the running service.  Its clock goes forward alone, for every test that comes behind these."""

from typing import Any

from support.referral_service import CENTRE, WOMEN, Running, answers, receipt_noted
from support.serving import move, try_move
from support.waiting import wait_until


async def test_silence_is_escalated_rerouted_and_the_contact_clock_goes_on(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    await receipt_noted(referral, made, tried=True)

    async def is_rerouted() -> bool:
        return bool((await referral.seen(made["referral_id"]))["attempt_no"] == 2)

    referral.set_clock("2026-11-17T10:15:00+00:00")
    await wait_until(is_rerouted)

    seen = await referral.seen(made["referral_id"])
    assert [each["state"] for each in seen["attempts"]] == ["silent", "offered"]
    assert seen["contact_due"] == "2026-11-19T10:15:00Z"
    assert (await referral.happened(made["referral_id"]))[-4:] == ["deadline-missed", "escalated", "rerouted", "sent"]


async def test_a_handover_nobody_answers_stays_with_the_agency_that_proposed_it(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    referral_id = made["referral_id"]
    await move(referral.centre, referral_id, "accept")
    await move(referral.centre, referral_id, "contacted")
    await answers(referral, CENTRE, {"referral_id": referral_id, "response": "handover", "partner_id": WOMEN})

    async def pending() -> dict[str, Any] | None:
        handover: dict[str, Any] | None = (await referral.seen(referral_id))["handover"]
        return handover

    async def is_over() -> bool:
        return await pending() is None

    proposed = await wait_until(pending) or {}
    referral.set_clock(proposed["ack_due"])
    await wait_until(is_over, 20)

    seen = await referral.seen(referral_id)
    assert (seen["state"], seen["partner_id"]) == ("accepted", CENTRE)
    assert [each["state"] for each in seen["attempts"]] == ["accepted", "silent"]
    assert (await referral.happened(referral_id))[-3:] == ["handover-recalled", "handover-failed", "escalated"]
    assert (await try_move(referral.women, referral_id, "handover-acceptance"))[0] == 409
