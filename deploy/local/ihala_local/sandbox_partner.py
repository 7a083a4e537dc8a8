"""The sample directory's agencies, played by one small server that checks every webhook like a stranger.

It verifies with the public `standardwebhooks` library and never with our own signer: if both had the same
mistake, a test against our own code would not see it. It keeps ids, types and times, never a body, and only
the most recent receipts.

Run: `python -m ihala_local.sandbox_partner`
    IHALA_SANDBOX_HOST, IHALA_SANDBOX_PORT   where it listens (127.0.0.1, 8090)
    IHALA_SANDBOX_SECRETS                    JSON file {"<partner_id>": "whsec_…"}, read again when it changes

It plays the gateway for messages to persons too (`sandbox_gateway.py`).

A receipt is kept for what was answered: 200 when the signature is right, 401 when it is not (`verified`
false). A webhook refused by the behaviour `down` or `flapping` was not received and leaves no receipt.
"""

import asyncio
import json
import logging
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from ihala_local.sandbox_gateway import SandboxGateway

log = logging.getLogger("ihala.sandbox_partner")

MAX_RECEIPTS = 50_000
MAX_PARTNERS_WITH_A_BEHAVIOUR = 1_000
MAX_BODY_BYTES = 64 * 1024
SLOW_ANSWER_SECONDS = 2.0
FLAPPING_PERIOD_SECONDS = 5.0
LONGEST_BEHAVIOUR_SECONDS = 3_600.0
RECEIPTS_IN_AN_UNFILTERED_ANSWER = 200


class Mode(StrEnum):
    OK = "ok"
    SLOW = "slow"
    DOWN = "down"
    FLAPPING = "flapping"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a partner's endpoint answers.

    seconds: `slow` answers after so long (2 s); `down` lasts so long (until changed);
    `flapping` is up, then down, so long each (5 s).
    """

    mode: Mode = Mode.OK
    seconds: float | None = None
    since_seconds: float = 0.0

    def is_down(self, now_seconds: float) -> bool:
        elapsed = now_seconds - self.since_seconds
        match self.mode:
            case Mode.DOWN:
                return self.seconds is None or elapsed < self.seconds
            case Mode.FLAPPING:
                return int(elapsed / (self.seconds or FLAPPING_PERIOD_SECONDS)) % 2 == 1
            case Mode.OK | Mode.SLOW:
                return False

    def delay_seconds(self) -> float:
        if self.mode is not Mode.SLOW:
            return 0.0
        return SLOW_ANSWER_SECONDS if self.seconds is None else self.seconds


@dataclass(frozen=True, slots=True)
class Receipt:
    """One webhook that was answered with 200 or 401."""

    webhook_id: str
    partner_id: str
    type: str
    referral_id: str | None
    received_at: datetime
    verified: bool
    traceparent: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "webhook_id": self.webhook_id,
            "partner_id": self.partner_id,
            "type": self.type,
            "referral_id": self.referral_id,
            "received_at": self.received_at.isoformat().replace("+00:00", "Z"),
            "verified": self.verified,
            "traceparent": self.traceparent,
        }


class Receipts:
    """The most recent receipts, in order of arrival, and those of one referral."""

    def __init__(self, limit: int = MAX_RECEIPTS) -> None:
        self._limit = limit
        self._all: deque[Receipt] = deque()
        self._of_referral: dict[str | None, deque[Receipt]] = {}

    def add(self, receipt: Receipt) -> None:
        if len(self._all) >= self._limit:
            self._forget_oldest()
        self._all.append(receipt)
        self._of_referral.setdefault(receipt.referral_id, deque()).append(receipt)

    def of_referral(self, referral_id: str) -> list[Receipt]:
        return list(self._of_referral.get(referral_id, ()))

    def latest(self, count: int = RECEIPTS_IN_AN_UNFILTERED_ANSWER) -> list[Receipt]:
        return list(self._all)[-count:]

    def __len__(self) -> int:
        return len(self._all)

    def _forget_oldest(self) -> None:
        oldest = self._all.popleft()
        siblings = self._of_referral[oldest.referral_id]
        siblings.popleft()
        if not siblings:
            del self._of_referral[oldest.referral_id]


class Secrets:
    """The secret of each partner, from a file another process writes."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read_mark: tuple[int, int, int] | None = None
        self._verifiers: dict[str, Webhook] = {}

    def verifier(self, partner_id: str) -> Webhook | None:
        self._read_when_changed()
        return self._verifiers.get(partner_id)

    def _read_when_changed(self) -> None:
        mark = self._mark()
        if mark is None or mark == self._read_mark:
            return
        try:
            self._verifiers = {partner: Webhook(secret) for partner, secret in self._load().items()}
            self._read_mark = mark
        except (OSError, ValueError):
            log.warning("the secrets file cannot be read yet; the last good one stays")

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat() if self._path else None
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else None

    def _load(self) -> Mapping[str, str]:
        secrets = json.loads(self._path.read_bytes()) if self._path else {}
        if not isinstance(secrets, dict):
            raise ValueError("the secrets file must hold one JSON object")
        if not all(isinstance(secret, str) and secret.removeprefix("whsec_") for secret in secrets.values()):
            raise ValueError("every secret must be a text that is not empty")
        return secrets


def _described(body: bytes) -> tuple[str, str | None]:
    """Type and referral of a message; empty and None when it has none."""
    try:
        message = json.loads(body)
        data = message.get("data") or {}
        referral_id = data.get("referral_id")
        return str(message.get("type", "")), None if referral_id is None else str(referral_id)
    except (ValueError, AttributeError):
        return "", None


def _is_verified(verifier: Webhook | None, body: bytes, headers: Mapping[str, str]) -> bool:
    if verifier is None:
        return False
    try:
        verifier.verify(body, dict(headers), json_parse=False)
    except Exception:  # the library raises ValueError and binascii.Error too, for a signature it cannot read
        return False
    return True


@dataclass(slots=True)
class SandboxPartner:
    """The routes; state lives in `receipts`, `secrets` and `behaviours`."""

    secrets: Secrets
    receipts: Receipts = field(default_factory=Receipts)
    behaviours: OrderedDict[str, Behaviour] = field(default_factory=OrderedDict)
    gateway: SandboxGateway = field(default_factory=SandboxGateway)
    monotonic_seconds: Callable[[], float] = time.monotonic

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/hook/{partner_id}", self.hook)
        app.router.add_get("/received", self.received)
        app.router.add_put("/behaviour/{partner_id}", self.behave)
        self.gateway.add_routes(app)
        app.router.add_get("/live", _alive)
        app.router.add_get("/ready", _alive)
        return app

    async def hook(self, request: web.Request) -> web.Response:
        partner_id = request.match_info["partner_id"]
        body = await request.read()
        behaviour = self.behaviours.get(partner_id, Behaviour())
        if behaviour.is_down(self.monotonic_seconds()):
            return web.Response(status=503)
        receipt = self._receipt(partner_id, body, request.headers)
        self.receipts.add(receipt)
        if delay := behaviour.delay_seconds():
            await asyncio.sleep(delay)
        return web.Response(status=200 if receipt.verified else 401)

    async def received(self, request: web.Request) -> web.Response:
        referral_id = request.query.get("referral_id")
        found = self.receipts.latest() if referral_id is None else self.receipts.of_referral(referral_id)
        return web.json_response([receipt.as_json() for receipt in found])

    async def behave(self, request: web.Request) -> web.Response:
        try:
            wanted = _behaviour(json.loads(await request.read()), self.monotonic_seconds())
        except ValueError as refusal:
            return web.json_response({"title": str(refusal), "status": 422}, status=422)
        partner_id = request.match_info["partner_id"]
        self.behaviours.pop(partner_id, None)
        self.behaviours[partner_id] = wanted
        if len(self.behaviours) > MAX_PARTNERS_WITH_A_BEHAVIOUR:
            self.behaviours.popitem(last=False)
        return web.json_response({"partner_id": partner_id, "mode": wanted.mode, "seconds": wanted.seconds})

    def _receipt(self, partner_id: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
        type_, referral_id = _described(body)
        return Receipt(
            webhook_id=headers.get("webhook-id", ""),
            partner_id=partner_id,
            type=type_,
            referral_id=referral_id,
            received_at=datetime.now(UTC),
            verified=_is_verified(self.secrets.verifier(partner_id), body, headers),
            traceparent=headers.get("traceparent"),
        )


def _behaviour(wanted: object, now_seconds: float) -> Behaviour:
    if not isinstance(wanted, dict) or wanted.keys() - {"mode", "seconds"}:
        raise ValueError("an object with mode and seconds is expected")
    if wanted.get("mode") not in list(Mode):
        raise ValueError("mode: ok, slow, down or flapping is expected")
    return Behaviour(Mode(wanted["mode"]), _seconds(wanted.get("seconds")), now_seconds)


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("seconds: a number or null is expected")
    if not 0 < value <= LONGEST_BEHAVIOUR_SECONDS:
        raise ValueError(f"seconds: above 0 and at most {LONGEST_BEHAVIOUR_SECONDS:g} is expected")
    return float(value)


async def _alive(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    secrets_file = os.environ.get("IHALA_SANDBOX_SECRETS")
    partner = SandboxPartner(Secrets(Path(secrets_file) if secrets_file else None))
    host = os.environ.get("IHALA_SANDBOX_HOST", "127.0.0.1")
    port = int(os.environ.get("IHALA_SANDBOX_PORT", "8090"))
    web.run_app(partner.app(), host=host, port=port, print=None, access_log=None, shutdown_timeout=2.0)


if __name__ == "__main__":
    main()
