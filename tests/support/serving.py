"""A service served in the test's own process on a free port, with real servers behind it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import uvicorn
from ihala_events.access import CredentialChanged, Role
from ihala_runtime.access import key_hash, new_key, store_credential
from ihala_runtime.postgres import Database
from ihala_runtime.service import KEPT_SECONDS, Parts, build_app
from support.waiting import wait_until


@asynccontextmanager
async def served(parts: Parts) -> AsyncIterator[str]:
    """Base URL of the running service; it is stopped as SIGTERM would stop it."""
    config = uvicorn.Config(build_app(parts), log_config=None, lifespan="on", timeout_keep_alive=KEPT_SECONDS)
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listening]))
        await wait_until(lambda: server.started or task.done(), within_seconds=30)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, 30)


async def a_key(database: Database, role: Role, party_id: str | None = None, *desk_ids: str) -> str:
    """A key that the service of this database knows, as if it had come by the topic."""
    credential_id, key = new_key()
    record = CredentialChanged(
        credential_id=credential_id,
        sha256=key_hash(key),
        role=role,
        party_id=party_id,
        desk_ids=list(desk_ids),
        created_at=datetime.now(UTC),
    )
    async with database.connection() as connection:
        await store_credential(connection, record)
    return key


class Client:
    """Calls one service with one key."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str) -> None:
        self._session = session
        self._base = base
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(
        self, method: str, path: str, body: Any = None, raw: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """(status, JSON, headers without regard to case). Header names are written with ``_`` for ``-``."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        content: dict[str, Any] = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        async with self._session.request(
            method, self._base + path, headers={**self._headers, **given}, **content
        ) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def page(self, path: str) -> tuple[int, str, Mapping[str, str]]:
        """(status, text, headers) of what is meant for people."""
        async with self._session.get(self._base + path, headers=self._headers) as response:
            return response.status, await response.text(), response.headers

    async def knows_key(self) -> bool:
        status, _, _ = await self.call("GET", "/v1/whoami")
        return status == 200


async def move(client: Client, referral_id: str, name: str, body: Any = None) -> dict[str, Any]:
    """The referral after the caller's move; AssertionError with the problem when it was refused."""
    status, answer = await try_move(client, referral_id, name, body)
    assert status == 200, answer
    return answer


async def try_move(client: Client, referral_id: str, name: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """(status, the referral or the problem)"""
    path = f"/v1/referrals/{referral_id}/{name}"
    status, answer, _ = await client.call("POST", path, body or {}, Idempotency_Key=str(uuid4()))
    return status, answer
