"""`ihala demo`: sample intakes on their way to the agency's verified webhook and to their outcome.

It plays desk and agencies over the API alone, as people would; whether a webhook's signature is right is the
sandbox partner's judgement. The cases are data (demo_cases.json): invented people, real codes. Rule: whatever it
shows was read back from the system.
"""

import asyncio
import json
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

import aiohttp

from ihala_local.api import TIMEOUT, Api
from ihala_local.failures import LocalFailure
from ihala_local.stack import SERVICES
from ihala_local.test_clock import as_text

WITHIN_SECONDS = 30
TRACE_SECONDS = 10  # services send their spans every few seconds
POLL_SECONDS = 0.05
MOVES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("acknowledge", {}),
    ("accept", {}),
    ("start", {}),
    ("close", {"outcome_code": "RECEIVED"}),
)

Tell = Callable[[str], None]


class DemoFailed(LocalFailure):
    """Something that should have happened did not, in time."""


@dataclass(frozen=True, slots=True)
class Journey:
    """One referral from the desk to its outcome, as the system tells it."""

    case_name: str
    referral: Mapping[str, Any]
    timeline: list[Mapping[str, Any]]
    webhooks: list[Mapping[str, Any]]

    @property
    def all_verified(self) -> bool:
        return bool(self.webhooks) and all(webhook["verified"] for webhook in self.webhooks)


def demo_cases() -> list[dict[str, Any]]:
    content = files("ihala_local").joinpath("demo_cases.json").read_text(encoding="utf-8")
    cases: list[dict[str, Any]] = json.loads(content)
    return cases


async def run(endpoints: Mapping[str, Any], now: datetime, tell: Tell) -> list[Journey]:
    """Every case's journeys, in the order of the cases. now: the system's own time."""
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        demo = Demo(session, endpoints, tell)
        submitted = await demo.submit_all(demo_cases(), now)
        return [journey for name, case_ref in submitted.items() for journey in await demo.play(name, case_ref)]


async def spans_by_service(endpoints: Mapping[str, Any], trace_id: str) -> dict[str, int]:
    """How many spans of one trace each service told, once all three did. Empty with a collector of somebody else."""
    if endpoints["otlp"] != endpoints["traces"]:
        return {}
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        deadline = time.monotonic() + TRACE_SECONDS
        counts = await counted(session, f"{endpoints['traces']}/api/traces/{trace_id}")
        while len(counts) < len(SERVICES) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            counts = await counted(session, f"{endpoints['traces']}/api/traces/{trace_id}")
    return counts


async def counted(session: aiohttp.ClientSession, url: str) -> dict[str, int]:
    async with session.get(url) as answer:
        traces = (await answer.json())["data"] if answer.ok else []
    return Counter(trace["processes"][span["processID"]]["serviceName"] for trace in traces for span in trace["spans"])


@dataclass(frozen=True, slots=True)
class Demo:
    """Desk and agencies, played."""

    session: aiohttp.ClientSession
    endpoints: Mapping[str, Any]
    tell: Tell

    async def submit_all(self, cases: list[dict[str, Any]], now: datetime) -> dict[str, str]:
        """case_ref by the case's name."""
        submitted: dict[str, str] = {}
        people = invented_family()
        for case in cases:
            intake = people(case["intake"]) | {"received_at": as_text(now), "household": household_of(case, submitted)}
            answer = await self._desk("intake").post("/v1/intakes", intake, **{"Idempotency-Key": str(uuid.uuid4())})
            submitted[case["name"]] = answer["case_ref"]
            self.tell(f"{case['name']}: {case['story']} → {answer['case_ref']}")
        return submitted

    async def play(self, name: str, case_ref: str) -> list[Journey]:
        referrals = await self._until(f"{case_ref} is routed", lambda: self._routed(case_ref))
        return [await self._journey(name, referral) for referral in referrals]

    async def _routed(self, case_ref: str) -> list[dict[str, Any]]:
        """The case's referrals once each of them is sent or held."""
        listed: list[dict[str, Any]] = await self._desk("referral").every("/v1/referrals", case_ref=case_ref)
        waiting = [each for each in listed if each["state"] == "proposed" and each["hold_reason"] is None]
        return [] if waiting else listed

    async def _journey(self, name: str, referral: Mapping[str, Any]) -> Journey:
        referral_id = referral["referral_id"]
        if referral["state"] == "sent":
            await self._until(f"the webhook of {referral_id}", lambda: self._received(referral_id))
            await self._answer(referral)
        desk = self._desk("referral")
        final: dict[str, Any] = await desk.get(f"/v1/referrals/{referral_id}")
        timeline = await desk.get(f"/v1/referrals/{referral_id}/timeline")
        return Journey(
            case_name=name,
            referral=final,
            timeline=timeline["items"],
            webhooks=await self._received(referral_id),
        )

    async def _answer(self, referral: Mapping[str, Any]) -> None:
        """What the agency does: reads the person's details, then reports step by step."""
        key = self.endpoints["credentials"]["partners"].get(referral["partner_id"])
        if key is None:
            raise DemoFailed(f"there is no key of {referral['partner_id']}: the demo plays the sample agencies only")
        agency = Api(self.session, self.endpoints["referral"], key)
        intake = Api(self.session, self.endpoints["intake"], key)
        await intake.get(f"/v1/cases/{referral['case_ref']}/disclosure", referral_id=referral["referral_id"])
        for move, body in MOVES:
            path = f"/v1/referrals/{referral['referral_id']}/{move}"
            await agency.post(path, dict(body), **{"Idempotency-Key": str(uuid.uuid4())})

    async def _received(self, referral_id: str) -> list[Mapping[str, Any]]:
        url = f"{self.endpoints['sandbox_partner']}/received"
        async with self.session.get(url, params={"referral_id": referral_id}) as answer:
            received: list[Mapping[str, Any]] = await answer.json()
        return received

    def _desk(self, service: str) -> Api:
        return Api(self.session, self.endpoints[service], self.endpoints["credentials"]["desk"])

    async def _until(self, what: str, found: Callable[[], Any]) -> Any:
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                while not (answer := await found()):  # noqa: ASYNC110 (other processes work)
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise DemoFailed(f"not within {WITHIN_SECONDS} s: {what}") from None
        return answer


def invented_family() -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Another family name at each run: the same people again would be held as possible duplicates."""
    family = "Example" + "".join(secrets.choice("bdfgklmnrst") + secrets.choice("aiu") for _ in range(4))

    def named(intake: Mapping[str, Any]) -> dict[str, Any]:
        names = [{**name, "value": name["value"].replace("Example", family)} for name in intake.get("names") or []]
        return {**intake, "names": names}

    return named


def household_of(case: Mapping[str, Any], submitted: Mapping[str, str]) -> list[dict[str, str]]:
    linked = case["linked_to"]
    return [{"case_ref": submitted[linked["case"]], "relation": linked["relation"]}] if linked else []
