"""The people of a running system: a desk, agencies, an operator, each calling with its own key."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
from support.serving import Client, move, try_move
from support.system import System
from support.waiting import wait_until

DESK = {"desk_id": "baom-agadir", "staff": ["officer-7"], "languages": [{"tag": "fr", "level": "good"}]}


@dataclass(frozen=True)
class People:
    """``endpoints``: what ``up`` wrote."""

    session: aiohttp.ClientSession
    endpoints: Mapping[str, Any]

    def as_role(self, role: str, service: str = "referral") -> Client:
        return Client(self.session, self.endpoints[service], self.endpoints["credentials"][role])

    def agency(self, partner_id: str, service: str = "referral") -> Client:
        return Client(self.session, self.endpoints[service], self.endpoints["credentials"]["partners"][partner_id])

    async def hand_in(self, intake: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """The desk's intake, accepted; AssertionError with the problem otherwise."""
        desk = self.as_role("desk", "intake")
        status, answer, _ = await desk.call("POST", "/v1/intakes", intake, Idempotency_Key=key or str(uuid4()))
        assert status == 201, answer
        return answer

    async def referrals(self, case_ref: str) -> list[dict[str, Any]]:
        _, answer, _ = await self.as_role("desk").call("GET", f"/v1/referrals?case_ref={case_ref}")
        items: list[dict[str, Any]] = answer.get("items", [])
        return items

    async def referral(self, referral_id: str) -> dict[str, Any]:
        _, answer, _ = await self.as_role("desk").call("GET", f"/v1/referrals/{referral_id}")
        return answer

    async def routed(self, case_ref: str, count: int = 1, within_seconds: float = 30) -> list[dict[str, Any]]:
        """The case's referrals, once there are so many and each is sent or held."""

        async def done() -> list[dict[str, Any]] | None:
            found = await self.referrals(case_ref)
            moved = [each for each in found if each["state"] != "proposed" or each["hold_reason"]]
            return found if len(found) == count == len(moved) else None

        found = await wait_until(done, within_seconds, f"{case_ref} is routed")
        return found or []

    async def webhooks(self, referral_id: str) -> list[dict[str, Any]]:
        """What the sandbox partner received for a referral."""
        url = f"{self.endpoints['sandbox_partner']}/received"
        async with self.session.get(url, params={"referral_id": referral_id}) as answer:
            received: list[dict[str, Any]] = await answer.json()
        return received

    async def told(self, referral_id: str, *events: str, within_seconds: float = 30) -> list[dict[str, Any]]:
        """The referral's webhooks, once there is one, and one of each of these events; what was tried otherwise."""
        wanted = {f"ihala.referral.{event}.v1" for event in events}

        async def received() -> list[dict[str, Any]]:
            found = await self.webhooks(referral_id)
            return found if wanted <= {webhook["type"] for webhook in found if webhook["verified"]} else []

        try:
            return await wait_until(received, within_seconds, f"{events or 'a webhook'} of {referral_id}")
        except AssertionError as late:
            operator = self.as_role("operator", "notification")
            _, tried, _ = await operator.call("GET", f"/v1/deliveries?referral_id={referral_id}")
            raise AssertionError(f"{late}\n{tried}") from None

    async def messages(self, case_ref: str) -> list[dict[str, Any]]:
        """What the gateway took for the person of this case."""
        async with self.session.get(f"{self.endpoints['sandbox_partner']}/received-messages") as answer:
            return [message for message in await answer.json() if case_ref in message["text"]]

    async def messaged(self, case_ref: str, count: int = 1, within_seconds: float = 30) -> list[dict[str, Any]]:
        async def so_many() -> list[dict[str, Any]] | None:
            found = await self.messages(case_ref)
            return found if len(found) >= count else None

        return await wait_until(so_many, within_seconds, f"{count} messages about {case_ref}") or []

    async def tasks(self, case_ref: str) -> list[dict[str, Any]]:
        """What the desk is to tell the person of this case."""
        _, answer, _ = await self.as_role("desk", "notification").call("GET", "/v1/tasks?limit=200")
        return [task for task in answer["items"] if task["case_ref"] == case_ref]

    async def move(self, agency: str, referral_id: str, name: str, body: Any = None) -> dict[str, Any]:
        return await move(self.agency(agency), referral_id, name, body)

    async def try_move(self, agency: str, referral_id: str, name: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        return await try_move(self.agency(agency), referral_id, name, body)

    async def behave(self, partner_id: str, mode: str, seconds: float | None = None) -> None:
        """How the sandbox partner answers for this agency from now on."""
        url = f"{self.endpoints['sandbox_partner']}/behaviour/{partner_id}"
        async with self.session.put(url, json={"mode": mode, "seconds": seconds}) as answer:
            assert answer.ok


@asynccontextmanager
async def people_of(system: System) -> AsyncIterator[People]:
    timeout = aiohttp.ClientTimeout(total=30)
    each_its_own = aiohttp.TCPConnector(force_close=True)  # commands between two calls outlast an idle connection
    async with aiohttp.ClientSession(timeout=timeout, connector=each_its_own) as session:
        yield People(session, system.endpoints)


def intake_of(need_code: str, *types: str, commune: str = "AGD-AGADIR", **changes: Any) -> dict[str, Any]:
    """A grown-up's intake with one need and a consent for these types of agency."""
    scope = [{"need_code": need_code, "partner_types": list(types)}]
    return {
        **DESK,
        "received_at": datetime.now(UTC).isoformat(),
        "commune_code": commune,
        "age_band": "25-59",
        "needs": [{"need_code": need_code, "facts": changes.pop("facts", None)}],
        "safe_contact": {"channel": "SMS", "language": "fr"},
        "consent": {"text_version": "2026-11", "lang": "fr", "mode": "oral", "basis": "CONSENT", "scope": scope},
        **changes,
    }
