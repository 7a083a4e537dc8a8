"""Links that can be slowed and cut: toxiproxy between the services and their two servers.

It is built from Go's module proxy, so the Go toolchain is needed; a test that asks for it fails where there is none.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from ihala_local.ports import new_port
from support.waiting import wait_until

TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
BUILD_SECONDS = 300


@dataclass(frozen=True)
class Links:
    """Proxies by name, each from a port of its own to a server."""

    session: aiohttp.ClientSession
    url: str

    async def add(self, name: str, listen: int, upstream: int) -> None:
        ends = {"listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{upstream}"}
        await self._post("/proxies", {"name": name, **ends})

    async def lead_to(self, name: str, upstream: int) -> None:
        await self._post(f"/proxies/{name}", {"upstream": f"127.0.0.1:{upstream}"})

    async def cut(self, name: str) -> None:
        await self._post(f"/proxies/{name}", {"enabled": False})

    async def mend(self, name: str) -> None:
        await self._post(f"/proxies/{name}", {"enabled": True})

    @asynccontextmanager
    async def poisoned(self, name: str, toxic: str, attributes: Mapping[str, int]) -> AsyncIterator[None]:
        """Both directions suffer from it until the block ends."""
        for stream in ("upstream", "downstream"):
            body = {"name": stream, "type": toxic, "stream": stream, "attributes": dict(attributes)}
            await self._post(f"/proxies/{name}/toxics", body)
        try:
            yield
        finally:
            for stream in ("upstream", "downstream"):
                async with self.session.delete(f"{self.url}/proxies/{name}/toxics/{stream}") as answer:
                    answer.raise_for_status()

    async def _post(self, path: str, body: Any) -> None:
        async with self.session.post(f"{self.url}{path}", json=body) as answer:
            answer.raise_for_status()

    async def _answers(self) -> bool:
        try:
            async with self.session.get(f"{self.url}/version") as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def links(folder: Path) -> AsyncIterator[Links]:
    program = await built(folder)
    port = new_port(set())
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        program, "-host", "127.0.0.1", "-port", str(port), stdout=silent, stderr=silent
    )
    try:
        async with aiohttp.ClientSession() as session:
            given = Links(session, f"http://127.0.0.1:{port}")
            await wait_until(given._answers, 15, "toxiproxy answers")
            yield given
    finally:
        process.terminate()
        await process.wait()


async def built(folder: Path) -> Path:
    go = shutil.which("go")
    assert go, "the tests of slow and cut links need the Go toolchain, to build toxiproxy"
    environment = os.environ | {"GOBIN": str(folder), "GOFLAGS": "-mod=mod"}
    process = await asyncio.create_subprocess_exec(go, "install", TOXIPROXY, env=environment)
    code = await asyncio.wait_for(process.wait(), BUILD_SECONDS)
    assert code == 0, "toxiproxy could not be built"
    return folder / "server"
