"""An agency says where it listens: register, rotate the secret, try it out."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from ihala_events.wire import rfc3339
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Work

from ihala_notification.domain.attempt import AttemptResult
from ihala_notification.domain.endpoint import Endpoint
from ihala_notification.domain.signing import SignatureKind, SigningKey, webhook_headers
from ihala_notification.domain.webhook_address import AddressPolicy

TEST_TYPE = "ihala.endpoint.test.v1"


class EndpointStore(Protocol):
    async def register(self, work: Work, partner_id: str, url: str, signature: SignatureKind) -> bool: ...

    async def add_key(self, work: Work, partner_id: str, key: SigningKey, overlap_seconds: float) -> None: ...

    async def lock(self, work: Work, partner_id: str) -> SignatureKind | None: ...

    async def keys_in_use(self, work: Work, partner_id: str) -> int: ...

    async def answered_well(self, work: Work, partner_id: str) -> None: ...


class Sender(Protocol):
    async def post(self, address: str, headers: Mapping[str, str], body: bytes) -> AttemptResult: ...


MOST_KEYS = 8
"""Each signs every message until its overlap ends: more would outgrow what servers take as a header."""


class TooManyKeys(Exception):
    """So many keys were made of late that another has to wait until an overlap ends."""


async def _check_room(store: EndpointStore, work: Work, partner_id: str) -> None:
    if await store.keys_in_use(work, partner_id) >= MOST_KEYS:
        raise TooManyKeys


@dataclass(frozen=True, slots=True)
class RegisterEndpoint:
    """The address is checked by shape here, and at every connection by what it leads to."""

    store: EndpointStore
    policy: AddressPolicy
    overlap_seconds: float

    async def __call__(self, work: Work, partner_id: str, url: str, signature: SignatureKind) -> SigningKey | None:
        """The new key, when one was made. Raises AddressRefused, TooManyKeys."""
        self.policy.check_url(url)
        if not await self.store.register(work, partner_id, url, signature):
            return None
        await _check_room(self.store, work, partner_id)
        key = SigningKey.new(signature)
        await self.store.add_key(work, partner_id, key, self.overlap_seconds)
        return key


@dataclass(frozen=True, slots=True)
class RotateSecret:
    """A new key signs at once; the old ones go on signing for the overlap."""

    store: EndpointStore
    overlap_seconds: float

    async def __call__(self, work: Work, partner_id: str) -> SigningKey | None:
        """None when the agency has no endpoint. Raises TooManyKeys."""
        signature = await self.store.lock(work, partner_id)
        if signature is None:
            return None
        await _check_room(self.store, work, partner_id)
        await _check_room(self.store, work, partner_id)
        key = SigningKey.new(signature)
        await self.store.add_key(work, partner_id, key, self.overlap_seconds)
        return key


@dataclass(frozen=True, slots=True)
class TryEndpoint:
    """Sends a signed message about nobody, at once and once."""

    sender: Sender

    async def __call__(self, endpoint: Endpoint) -> tuple[UUID, AttemptResult]:
        message_id = uuid7()
        message = {"type": TEST_TYPE, "id": str(message_id), "time": rfc3339(datetime.now(UTC)), "data": {}}
        body = json.dumps(message, separators=(",", ":")).encode()
        headers = webhook_headers(str(message_id), body, endpoint.keys, int(time.time()))
        return message_id, await self.sender.post(endpoint.url, headers, body)
