"""`ihala access`: keys of parties and people, made and revoked over the API with the admin key.

Rule: a key is printed once and written nowhere; `create` returns only when every service knows it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from ihala_local.api import TIMEOUT, Api, calling
from ihala_local.failures import LocalFailure
from ihala_local.stack import SERVICES

KNOWN_WITHIN_SECONDS = 30
POLL_SECONDS = 0.1


class KeyNotKnown(LocalFailure):
    """A service has not learnt of a key in time."""


async def create(
    endpoints: Mapping[str, Any], role: str, party_id: str | None, desk_ids: Sequence[str], label: str
) -> dict[str, str]:
    """`credential_id` and `key`."""
    body = {"role": role, "party_id": party_id, "desk_ids": list(desk_ids), "label": label}
    async with calling(endpoints, "referral", endpoints["credentials"]["admin"]) as admin:
        made: dict[str, str] = await admin.post("/v1/credentials", body)
    await known_at([endpoints[service] for service in SERVICES], [made["key"]])
    return made


async def revoke(endpoints: Mapping[str, Any], credential_id: str) -> None:
    async with calling(endpoints, "referral", endpoints["credentials"]["admin"]) as admin:
        await admin.delete(f"/v1/credentials/{credential_id}")


async def every_credential(endpoints: Mapping[str, Any]) -> list[dict[str, Any]]:
    async with calling(endpoints, "referral", endpoints["credentials"]["admin"]) as admin:
        return await admin.every("/v1/credentials")


async def known_at(urls: Sequence[str], keys: Sequence[str]) -> None:
    """Returns when each service knows each key; they learn by themselves, from the topic."""
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        try:
            async with asyncio.timeout(KNOWN_WITHIN_SECONDS):
                await asyncio.gather(*(until_all_known(session, url, keys) for url in urls))
        except TimeoutError:
            raise KeyNotKnown(f"a key was not known to every service after {KNOWN_WITHIN_SECONDS} s") from None


async def until_all_known(session: aiohttp.ClientSession, url: str, keys: Sequence[str]) -> None:
    for key in keys:
        api = Api(session, url, key)
        while not await api.knows_key():  # noqa: ASYNC110 (another process learns it)
            await asyncio.sleep(POLL_SECONDS)
