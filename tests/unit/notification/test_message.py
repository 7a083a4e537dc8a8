"""What an agency is told: whitelisted, masked, always the same bytes under the same id."""

import json
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ihala_events.referral import ReferralEvent
from ihala_events.vocabulary import LANGUAGES, NEEDS, RESTRICTED_NEEDS
from ihala_notification.domain.message import EVERY_ATTEMPT, Links, attempts_over, body, delivery_id
from support.notification import a_referral_event

EVENT_ID = UUID("01930000-0000-7000-8000-000000000001")
REFERRAL_ID = UUID("01930000-0000-7000-8000-0000000000aa")
SENT_AT = datetime(2026, 11, 16, 10, 15, 0, tzinfo=UTC)
LINKS = Links("http://intake.example/", "http://referral.example")
SENT = "ihala.referral.sent.v1"


def written(event: ReferralEvent) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(body(event, SENT, SENT_AT, EVENT_ID, LINKS))
    return message


def test_a_message_holds_what_the_contract_lists_and_nothing_else() -> None:
    message = written(a_referral_event(hard_deadline=date(2027, 1, 19)))

    assert message == {
        "type": "ihala.referral.sent.v1",
        "id": "01930000-0000-7000-8000-000000000001",
        "time": "2026-11-16T10:15:00Z",
        "data": {
            "referral_id": "01930000-0000-7000-8000-0000000000aa",
            "case_ref": "AG-7K3F-9QXY",
            "attempt_no": 1,
            "need_code": "HEA-MAT",
            "urgency": "U2",
            "ack_due": "2026-11-17T10:15:00Z",
            "contact_due": "2026-11-19T10:15:00Z",
            "hard_deadline": "2027-01-19",
            "language_tags": ["wo", "fr"],
            "interpreter_needed": False,
            "links": {
                "disclosure": "http://intake.example/v1/cases/AG-7K3F-9QXY/disclosure"
                "?referral_id=01930000-0000-7000-8000-0000000000aa",
                "referral": "http://referral.example/v1/referrals/01930000-0000-7000-8000-0000000000aa",
            },
        },
    }


@pytest.mark.parametrize("need_code", ["HEA-INF", "HEA-SRV", "SOC-CPU", "SOC-CPR", "SOC-GBV", "SOC-VOT"])
def test_a_restricted_need_reads_restricted(need_code: str) -> None:
    event = a_referral_event(need_code=need_code)

    raw = body(event, SENT, SENT_AT, EVENT_ID, LINKS)

    assert json.loads(raw)["data"]["need_code"] == "RESTRICTED"
    assert need_code.encode() not in raw


@given(st.sampled_from(sorted(NEEDS)), st.lists(st.sampled_from(sorted(LANGUAGES)), max_size=5), st.booleans())
def test_a_message_stays_under_four_kilobytes_and_masks(need: str, tags: list[str], interpreter: bool) -> None:
    event = a_referral_event(need_code=need, language_tags=tags, interpreter_needed=interpreter)

    raw = body(event, SENT, SENT_AT, EVENT_ID, LINKS)

    assert len(raw) < 4_096
    assert (need.encode() in raw) is (need not in RESTRICTED_NEEDS)


def test_the_same_event_told_to_the_same_agency_has_the_same_id() -> None:
    mine = delivery_id(EVENT_ID, "essp-agadir")

    assert mine == delivery_id(EVENT_ID, "essp-agadir")
    assert mine.version == 5
    assert mine != delivery_id(EVENT_ID, "essp-inezgane")
    assert mine != delivery_id(REFERRAL_ID, "essp-agadir")


@pytest.mark.parametrize(
    ("event_type", "over"),
    [
        ("sent", 1),
        ("declined", 2),
        ("recalled", 2),
        ("closed", 2),
        ("withdrawn", 2),
        ("deletion-requested", EVERY_ATTEMPT),
        ("rerouted", None),
        ("acknowledged", None),
        ("accepted", None),
        ("reminder", None),
        ("escalated", None),
        ("consent-needed", None),
    ],
)
def test_an_event_says_which_attempts_ask_nothing_any_more(event_type: str, over: int | None) -> None:
    event = a_referral_event(attempt_no=2)

    assert attempts_over(event, f"ihala.referral.{event_type}.v1") == over
