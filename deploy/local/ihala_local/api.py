"""The little of the system's HTTP API that the `ihala` command itself uses.

Rule: a refusal is told in the words of its problem document; a key or a secret is never part of a message.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from ihala_local.failures import LocalFailure

TIMEOUT = aiohttp.ClientTimeout(total=30)


class Refused(LocalFailure):
    """A service answered with an error."""

    def __init__(self, status: int, what: str, problem: Mapping[str, Any]) -> None:
        errors = "".join(f"\n  {error.get('pointer')}: {error.get('message')}" for error in problem.get("errors", []))
        super().__init__(f"{what}: {status} {problem.get('title', '')} {problem.get('detail', '')}{errors}".rstrip())
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """Calls one service with one key."""

    session: aiohttp.ClientSession
    base_url: str
    key: str

    async def get(self, path: str, **query: str) -> Any:
        return await self._call("GET", path, query=query)

    async def post(self, path: str, body: object, **headers: str) -> Any:
        return await self._call("POST", path, body=body, headers=headers)

    async def put(self, path: str, body: object) -> Any:
        return await self._call("PUT", path, body=body)

    async def put_text(self, path: str, text: str) -> Any:
        return await self._call("PUT", path, text=text)

    async def delete(self, path: str) -> Any:
        return await self._call("DELETE", path)

    async def every(self, path: str, **query: str) -> list[Any]:
        """All items of a list, page by page."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, limit="200", **query, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return items

    async def knows_key(self) -> bool:
        """Whether the service has learnt of our key."""
        try:
            await self.get("/v1/whoami")
        except (Refused, aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        text: str | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        request = self.session.request(
            method,
            self.base_url + path,
            json=body,
            data=text,
            params=query,
            headers={"Authorization": f"Bearer {self.key}", **(headers or {})},
        )
        async with request as answer:
            if answer.ok:
                return await answer.json() if answer.status != 204 else None
            raise Refused(answer.status, f"{method} {path}", await problem_of(answer))


@asynccontextmanager
async def calling(
    endpoints: Mapping[str, Any], service: str, key: str, limit: aiohttp.ClientTimeout = TIMEOUT
) -> AsyncIterator[Api]:
    """A service of the running system, called with this key."""
    async with aiohttp.ClientSession(timeout=limit) as session:
        yield Api(session, endpoints[service], key)


async def problem_of(answer: aiohttp.ClientResponse) -> Mapping[str, Any]:
    if answer.content_type != "application/problem+json":
        return {"title": (await answer.text())[:200]}
    content: Mapping[str, Any] = await answer.json(content_type=None)
    return content
