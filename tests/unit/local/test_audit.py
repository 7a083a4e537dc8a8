"""`ihala audit verify` tells in a line what the intake service found."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from ihala_local.audit import TrailBroken, verify


@asynccontextmanager
async def answering(answer: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """endpoints of an intake service that gives this answer."""

    async def found(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer the-key"
        return web.json_response(answer)

    app = web.Application()
    app.router.add_get("/v1/audit/verify", found)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield {"intake": f"http://{host}:{port}", "credentials": {"protection": "the-key"}}
    await runner.cleanup()


async def test_a_trail_that_holds_is_told_with_its_end() -> None:
    async with answering({"holds": True, "rows": 12, "head": "ab" * 32, "broken": None}) as endpoints:
        assert await verify(endpoints) == f"12 rows hold, head {'ab' * 32}"


async def test_a_broken_one_is_a_failure_that_names_the_row() -> None:
    broken = {"row": 7, "fault": "altered"}
    async with answering({"holds": False, "rows": None, "head": None, "broken": broken}) as endpoints:
        with pytest.raises(TrailBroken, match="audit row 7 is altered"):
            await verify(endpoints)
