"""The sandbox partner over HTTP: what an agency's endpoint would answer."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from ihala_local.sandbox_partner import SandboxPartner, Secrets
from standardwebhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()
BODY = json.dumps(
    {"type": "ihala.referral.sent.v1", "id": "m1", "data": {"referral_id": "r1", "case_ref": "AG-1"}}
).encode()

Client = TestClient[Any, Any]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"p1": SECRET, "p2": OTHER_SECRET}))
    async with TestClient(TestServer(SandboxPartner(Secrets(path)).app())) as client:
        yield client


def signed(secret: str = SECRET, body: bytes = BODY, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("m1", at, body.decode()),
    }


async def receipts(client: Client) -> list[dict[str, Any]]:
    answer = await client.get("/received", params={"referral_id": "r1"})
    found: list[dict[str, Any]] = await answer.json()
    return found


async def test_a_well_signed_webhook_is_verified_and_listed(client: Client) -> None:
    answer = await client.post("/hook/p1", data=BODY, headers=signed() | {"traceparent": "00-ab-cd-01"})

    assert answer.status == 200
    (receipt,) = await receipts(client)
    received_at = receipt.pop("received_at")
    assert datetime.fromisoformat(received_at) > datetime.now(UTC) - timedelta(minutes=1)
    assert receipt == {
        "webhook_id": "m1",
        "partner_id": "p1",
        "type": "ihala.referral.sent.v1",
        "referral_id": "r1",
        "verified": True,
        "traceparent": "00-ab-cd-01",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(OTHER_SECRET),
        signed(at=datetime.now(UTC) - timedelta(minutes=10)),
        signed(body=b"{}"),
        signed() | {"webhook-signature": "v1"},
        signed() | {"webhook-signature": "v1,%%%"},
    ],
)
async def test_a_wrong_signature_is_answered_401_and_listed_as_not_verified(
    client: Client, headers: dict[str, str]
) -> None:
    answer = await client.post("/hook/p1", data=BODY, headers=headers)

    assert answer.status == 401
    assert [receipt["verified"] for receipt in await receipts(client)] == [False]


async def test_a_signature_for_one_partner_is_worth_nothing_at_another(client: Client) -> None:
    answer = await client.post("/hook/p2", data=BODY, headers=signed())

    assert answer.status == 401


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"null", b'{"data": 3}', b"{"])
async def test_a_body_that_is_no_message_is_refused_calmly(client: Client, body: bytes) -> None:
    answer = await client.post("/hook/p1", data=body, headers=signed())

    assert answer.status == 401


async def test_an_endpoint_that_is_down_answers_503_and_receives_nothing(client: Client) -> None:
    changed = await client.put("/behaviour/p1", json={"mode": "down"})

    answer = await client.post("/hook/p1", data=BODY, headers=signed())

    assert (changed.status, answer.status, await receipts(client)) == (200, 503, [])

    await client.put("/behaviour/p1", json={"mode": "ok"})
    assert (await client.post("/hook/p1", data=BODY, headers=signed())).status == 200


@pytest.mark.parametrize(
    "wanted", [None, [], {}, {"mode": "odd"}, {"mode": "slow", "seconds": -1}, {"mode": "ok", "x": 1}]
)
async def test_an_unknown_behaviour_is_refused(client: Client, wanted: object) -> None:
    answer = await client.put("/behaviour/p1", json=wanted)

    assert answer.status == 422


async def test_a_body_over_the_limit_is_refused(client: Client) -> None:
    answer = await client.post("/hook/p1", data=b"x" * 70_000, headers=signed())

    assert answer.status == 413


async def test_it_says_that_it_lives(client: Client) -> None:
    assert [(await client.get(path)).status for path in ("/live", "/ready")] == [200, 200]


SMS = {"to": "+212600000042", "text": "Ihala : AG-1", "reference": "m-1"}
BEARER = {"Authorization": "Bearer any"}


async def test_the_gateway_takes_a_message_once_and_lists_it(client: Client) -> None:
    answers = [await client.post("/gateway/sms", json=SMS, headers=BEARER) for _ in range(2)]
    await client.post("/gateway/whatsapp", json=SMS | {"reference": "m-2"}, headers=BEARER)

    listed = await (await client.get("/received-messages", params={"reference": "m-1"})).json()
    assert [answer.status for answer in answers] == [202, 202]
    assert [{name: each[name] for name in SMS} for each in listed] == [SMS]
    assert [len(each["requested_at"]) for each in listed] == [2]
    every = await (await client.get("/received-messages")).json()
    assert [each["channel"] for each in every] == ["sms", "whatsapp"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [({}, SMS, 401), (BEARER, {"to": "+212600000042"}, 422), (BEARER, {**SMS, "text": 1}, 422), (BEARER, [], 422)],
    ids=["no key", "fields missing", "no text", "no object"],
)
async def test_the_gateway_refuses_what_is_no_message(
    client: Client, headers: dict[str, str], body: Any, status: int
) -> None:
    answer = await client.post("/gateway/sms", json=body, headers=headers)

    assert answer.status == status
    assert await (await client.get("/received-messages")).json() == []
