"""Load for the fault tests: desks that hand in and ask others, people who change their mind, agencies that answer,
decline or give back; the history of what each was told.

A well-behaved client repeats a request under the same key until it has an answer; nothing here gives up early, so
whatever is missing afterwards was lost by the system.
"""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp import web
from support.fault_history import NO_ANSWER, HandedIn, History, Webhook, requests_of
from support.people import intake_of
from support.system import System

Moves = tuple[tuple[str, dict[str, str]], ...]

COMMUNES = (
    "AGD-AGADIR",
    "AGD-DRARGUA",
    "AGD-AOURIR",
    "INE-INEZGANE",
    "INE-AIT-MELLOUL",
    "INE-DCHEIRA",
    "INE-LQLIAA",
    "INE-TEMSIA",
    "INE-OULAD-DAHOU",
)
AGENCIES = tuple(f"essp-{commune.lower()}" for commune in COMMUNES)
REFUSED_EVERY = 10  # this one of so many intakes is wrong, and must leave no trace
REPEATED_EVERY = 7  # this one is sent once more after its answer
WITHDRAWN_EVERY = 6  # of this one the person takes the consent back, within a moment of the answer
REROUTED_EVERY = 8  # of this one the desk asks another agency, within a moment of its referral
DECLINING = 2  # so many agencies take nothing of which they are asked first
GIVING_BACK = 1  # so many begin with it, and give it back
A_MOMENT_SECONDS = 1.0
PATIENCE_SECONDS = 600.0  # longer than any server is away
CANARY = "Faultcanary"
LEFT_OUT_SECONDS = 30.0
KNOWN_SECONDS = 10.0  # each copy of notification looks for changed endpoints once a second; a busy one later
NOT_AVAILABLE = 503
NOT_NOW = (NOT_AVAILABLE, NO_ANSWER)
RETRY_SECONDS = 0.3
SENT = "ihala.referral.sent.v1"
SERVING: Moves = (("acknowledge", {}), ("accept", {}), ("start", {}), ("close", {"outcome_code": "RECEIVED"}))
DECLINE: Moves = (("decline", {"reason_code": "CAPACITY"}),)
GIVE_BACK: Moves = (*SERVING[:3], ("hand-back", {"reason_code": "CAPACITY"}))


class Copies:
    """The copies of a service in turn, as behind a load balancer: one that gave no answer is left out for a while."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._left_out: dict[str, float] = {}

    def next(self) -> str:
        now = time.monotonic()
        answering = [url for url in self._urls if now > self._left_out.get(url, now - 1)]
        chosen = (answering or self._urls)[0]
        self._urls.remove(chosen)
        self._urls.append(chosen)
        return chosen

    def silent(self, url: str) -> None:
        self._left_out[url] = time.monotonic() + LEFT_OUT_SECONDS


class Load:
    """Everything is drawn from the seed, ids included, so that a run can be repeated."""

    def __init__(self, system: System, session: aiohttp.ClientSession, seed: int) -> None:
        self.history = History()
        self.slow_seconds: dict[str, float] = {}
        self.down: set[str] = set()
        self.clock_is_off_by = timedelta()  # the desks'
        self._system = system
        self._session = session
        self._draw = random.Random(seed)
        unwilling = self._draw.sample(AGENCIES, DECLINING + GIVING_BACK)
        self.declining, self.giving_back = unwilling[:DECLINING], unwilling[DECLINING:]
        self._numbers = count()
        self._answers: set[asyncio.Task[None]] = set()
        self._intakes = Copies(system.urls_of("intake"))
        self._referrals = Copies(system.urls_of("referral"))

    @property
    def _endpoints(self) -> Mapping[str, Any]:
        return self._system.endpoints

    # --- desks

    async def run(self, rate: float, seconds: float) -> None:
        """Hand in at this pace, whatever becomes of those before; returns when each has its answer."""
        await self._at_pace(rate, range(int(rate * seconds)))

    @asynccontextmanager
    async def handing_in(self, rate: float) -> AsyncIterator[None]:
        """The same until the block ends, and each has its answer."""
        over = asyncio.Event()
        handing_in = asyncio.create_task(self._at_pace(rate, iter(over.is_set, True)))
        try:
            yield
            over.set()
            await handing_in
        finally:
            handing_in.cancel()

    async def _at_pace(self, rate: float, times: Iterable[object]) -> None:
        endpoints = self._endpoints
        tasks: list[asyncio.Task[None]] = []
        for _ in times:
            tasks.append(asyncio.create_task(self._hand_in(endpoints, next(self._numbers))))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*tasks)

    async def _hand_in(self, endpoints: Mapping[str, Any], number: int) -> None:
        body, moment = self._intake(number), self._draw.uniform(0, A_MOMENT_SECONDS)
        sent = HandedIn(str(UUID(int=self._draw.getrandbits(128), version=4)), body)
        if number % REFUSED_EVERY == REFUSED_EVERY - 1:
            body["needs"][0]["facts"] = {"no_such_fact": True}
            self.history.refused.append(sent)
            await self._until_answered(endpoints, sent)
            return
        self.history.handed_in.append(sent)
        sent.answer = await self._until_answered(endpoints, sent)
        if number % REPEATED_EVERY == 0:
            sent.answer_again = await self._until_answered(endpoints, sent)
        if number % WITHDRAWN_EVERY == 1 and sent.answer is not None:
            await asyncio.sleep(moment)
            await self._withdraw(endpoints, sent.answer["case_ref"])
        if number % REROUTED_EVERY == REROUTED_EVERY // 2 and sent.answer is not None:
            await self._reroute(endpoints, sent.answer["case_ref"], moment)

    async def _withdraw(self, endpoints: Mapping[str, Any], case_ref: str) -> None:
        headers = {"Authorization": f"Bearer {endpoints['credentials']['desk']}"}
        path = f"/v1/cases/{case_ref}/consent-withdrawal"
        status = await self._until_settled(self._intakes, path, {"staff": "officer-7"}, headers)
        self.history.withdrawn[case_ref] = status

    async def _reroute(self, endpoints: Mapping[str, Any], case_ref: str, moment: float) -> None:
        headers = {"Authorization": f"Bearer {endpoints['credentials']['desk']}", "Idempotency-Key": case_ref}
        referral_id = await self._referral_of(case_ref, headers)
        await asyncio.sleep(moment)
        path = f"/v1/referrals/{referral_id}/reroute"
        status = await self._until_settled(self._referrals, path, {"reason_code": "CAPACITY"}, headers)
        self.history.rerouted[case_ref] = status

    async def _referral_of(self, case_ref: str, headers: Mapping[str, str]) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                status, page = await self._ask("GET", self._referrals, f"/v1/referrals?case_ref={case_ref}", headers)
                if status == 200 and page["items"]:
                    return str(page["items"][0]["referral_id"])
                await asyncio.sleep(RETRY_SECONDS)

    def _intake(self, number: int) -> dict[str, Any]:
        letters = "".join(self._draw.choices("bdfgklmnrstz", k=12)).title()
        name = {"script": "Latn", "value": f"{CANARY} {letters} Example", "role": "full"}
        commune = COMMUNES[number % len(COMMUNES)]
        phone = f"+2126000{number % 100_000:05d}"
        received_at = (datetime.now(UTC) + self.clock_is_off_by).isoformat()
        return intake_of("HEA-PHC", "PT-ESSP", commune=commune, names=[name], phone=phone, received_at=received_at)

    async def _until_answered(self, endpoints: Mapping[str, Any], sent: HandedIn) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {endpoints['credentials']['desk']}", "Idempotency-Key": sent.key}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                status, answer = await self._ask("POST", self._intakes, "/v1/intakes", headers, sent.body)
                sent.statuses.append(status)
                if status == 201:
                    return answer
                if 400 <= status < 500:
                    return None
                await asyncio.sleep(RETRY_SECONDS)

    async def _until_settled(self, copies: Copies, path: str, body: Any, headers: Mapping[str, str]) -> int:
        """The status, once it is another than to come again."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                status, _ = await self._ask("POST", copies, path, headers, body)
                if status not in NOT_NOW:
                    return status
                await asyncio.sleep(RETRY_SECONDS)

    async def _ask(
        self, method: str, copies: Copies, path: str, headers: Mapping[str, str], body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        copy = copies.next()
        try:
            async with self._session.request(method, f"{copy}{path}", json=body, headers=headers) as response:
                if response.status == NOT_AVAILABLE and "Retry-After" not in response.headers:
                    self.history.unadvised.append(f"{method} {path}")
                return response.status, await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
            copies.silent(copy)
            return NO_ANSWER, {}

    # --- agencies

    async def receive(self, request: web.Request) -> web.Response:
        """An agency's webhook: noted as it comes; who is asked deals with it after the answer."""
        partner_id = request.match_info["partner_id"]
        raw = await request.read()
        if partner_id in self.down:
            return web.Response(status=503)
        hook = webhook_of(partner_id, request.headers["webhook-id"], raw)
        first = hook.webhook_id not in {each.webhook_id for each in self.history.webhooks}
        self.history.webhooks.append(hook)
        await asyncio.sleep(self.slow_seconds.get(partner_id, _thinks_seconds(hook.referral_id)))
        hook.answered = time.time()
        if first and hook.type == SENT:
            task = asyncio.create_task(self._deal_with(hook))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
        return web.Response(status=204)

    async def _deal_with(self, asked: Webhook) -> None:
        for move, body in self._moves_of(asked):
            if await self._move(asked, move, body) != 200:
                return

    def _moves_of(self, asked: Webhook) -> Moves:
        if asked.attempt_no == 1 and asked.partner_id in self.declining:
            return DECLINE
        return GIVE_BACK if asked.attempt_no == 1 and asked.partner_id in self.giving_back else SERVING

    async def _move(self, asked: Webhook, move: str, body: Any) -> int:
        headers = {
            "Authorization": f"Bearer {self._endpoints['credentials']['partners'][asked.partner_id]}",
            "Idempotency-Key": f"{asked.referral_id}-{asked.attempt_no}-{move}",
        }
        status = await self._until_settled(self._referrals, f"/v1/referrals/{asked.referral_id}/{move}", body, headers)
        self.history.moves[asked.referral_id, asked.attempt_no, move] = status
        return status

    async def read_texts(self) -> None:
        """What the gateway was asked to tell persons."""
        async with self._session.get(f"{self._endpoints['sandbox_partner']}/received-messages") as answer:
            self.history.texts = requests_of(await answer.json())

    @property
    def agencies_answering(self) -> int:
        return len(self._answers)

    async def agencies_finished(self) -> None:
        while self._answers:
            await asyncio.gather(*self._answers)

    async def point_agencies_here(self, base: str) -> None:
        headers = {"Authorization": f"Bearer {self._endpoints['credentials']['admin']}"}
        for partner_id in AGENCIES:
            url = f"{self._endpoints['notification']}/v1/endpoints/{partner_id}"
            async with self._session.put(url, json={"url": f"{base}/{partner_id}"}, headers=headers) as response:
                response.raise_for_status()
        await asyncio.sleep(KNOWN_SECONDS)


def webhook_of(partner_id: str, webhook_id: str, raw: bytes) -> Webhook:
    body = json.loads(raw)
    data, digest = body["data"], hashlib.sha256(raw).hexdigest()
    return Webhook(webhook_id, partner_id, body["type"], data["referral_id"], data["attempt_no"], digest, time.time())


def _thinks_seconds(referral_id: str) -> float:
    """How long its agency takes to answer: long enough for every second one that its person may withdraw meanwhile."""
    return 0.4 * (int(referral_id[-1], 16) % 2)


@asynccontextmanager
async def load_on(system: System, seed: int) -> AsyncIterator[Load]:
    """Desks and agencies of this system; the agencies' webhooks arrive in the test's own process."""
    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        load = Load(system, session, seed)
        app = web.Application()
        app.router.add_post("/{partner_id}", load.receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await load.point_agencies_here(f"http://127.0.0.1:{runner.addresses[0][1]}")
            yield load
        finally:
            await runner.cleanup()
