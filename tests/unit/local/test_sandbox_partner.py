"""The sandbox partner's memory and behaviours, without a server."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ihala_local.sandbox_partner import Behaviour, Mode, Receipt, Receipts, Secrets

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def a_receipt(webhook_id: str = "w1", referral_id: str | None = "r1") -> Receipt:
    return Receipt(webhook_id, "espp-agadir", "ihala.referral.sent.v1", referral_id, datetime.now(UTC), True, None)


def test_receipts_of_one_referral_come_in_order_of_arrival() -> None:
    receipts = Receipts()
    for receipt in (a_receipt("a"), a_receipt("b", "r2"), a_receipt("c")):
        receipts.add(receipt)

    assert [r.webhook_id for r in receipts.of_referral("r1")] == ["a", "c"]


def test_the_oldest_receipt_is_forgotten_when_the_memory_is_full() -> None:
    receipts = Receipts(limit=2)
    for name in ("a", "b", "c"):
        receipts.add(a_receipt(name, f"referral-{name}"))

    assert [r.webhook_id for r in receipts.latest()] == ["b", "c"]
    assert receipts.of_referral("referral-a") == []
    assert len(receipts) == 2


@pytest.mark.parametrize(
    ("behaviour", "elapsed_seconds", "down"),
    [
        (Behaviour(Mode.OK), 0, False),
        (Behaviour(Mode.SLOW, 3), 0, False),
        (Behaviour(Mode.DOWN), 9_999, True),
        (Behaviour(Mode.DOWN, 10), 9.9, True),
        (Behaviour(Mode.DOWN, 10), 10, False),
        (Behaviour(Mode.FLAPPING), 4.9, False),
        (Behaviour(Mode.FLAPPING), 5.1, True),
        (Behaviour(Mode.FLAPPING), 10.1, False),
        (Behaviour(Mode.FLAPPING, 1), 1.5, True),
    ],
)
def test_a_behaviour_says_when_the_endpoint_is_down(behaviour: Behaviour, elapsed_seconds: float, down: bool) -> None:
    assert behaviour.is_down(elapsed_seconds) is down


def test_only_a_slow_endpoint_waits_before_it_answers() -> None:
    assert [Behaviour(mode, 3).delay_seconds() for mode in Mode] == [0.0, 3.0, 0.0, 0.0]
    assert Behaviour(Mode.SLOW).delay_seconds() == 2.0


def test_secrets_are_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    secrets = Secrets(path)
    assert secrets.verifier("p1") is None

    path.write_text(json.dumps({"p1": SECRET}))
    assert secrets.verifier("p1") is not None

    path.write_text(json.dumps({"p2": SECRET, "p3": SECRET}))
    assert secrets.verifier("p1") is None
    assert secrets.verifier("p3") is not None


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"p1": ""}', '{"p1": 5}', '{"p1": "whsec_"}'])
def test_a_half_written_secrets_file_leaves_the_last_good_one(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"p1": SECRET}))
    secrets = Secrets(path)
    assert secrets.verifier("p1") is not None

    path.write_text(broken)

    assert secrets.verifier("p1") is not None
