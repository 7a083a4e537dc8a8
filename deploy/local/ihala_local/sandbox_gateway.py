"""An SMS and WhatsApp gateway for trying it out: takes messages, keeps the most recent in memory, sends nothing.

`POST /gateway/{sms|whatsapp} {to, text, reference}` with any bearer; one `reference` is taken once.
`GET /received-messages?reference=` lists what came, oldest first; `requested_at` tells of every request for it.
"""

import json
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

MAX_MESSAGES = 10_000
FIELDS = frozenset({"to", "text", "reference"})


class SandboxGateway:
    def __init__(self, limit: int = MAX_MESSAGES) -> None:
        self._limit = limit
        self._messages: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/gateway/{channel:sms|whatsapp}", self.take)
        app.router.add_get("/received-messages", self.received)

    async def take(self, request: web.Request) -> web.Response:
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return web.Response(status=401)
        message = _message(await request.read())
        if message is None:
            return web.json_response({"title": "to, text and reference are expected", "status": 422}, status=422)
        at = datetime.now(UTC).isoformat()
        came = {"channel": request.match_info["channel"], "received_at": at, "requested_at": []}
        self._messages.setdefault(message["reference"], message | came)["requested_at"].append(at)
        if len(self._messages) > self._limit:
            self._messages.popitem(last=False)
        return web.json_response({"reference": message["reference"]}, status=202)

    async def received(self, request: web.Request) -> web.Response:
        reference = request.query.get("reference")
        return web.json_response([each for key, each in self._messages.items() if reference in (None, key)])


def _message(body: bytes) -> dict[str, str] | None:
    """None for what is no message."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    if not isinstance(content, dict) or content.keys() != FIELDS:
        return None
    return content if all(isinstance(value, str) and value for value in content.values()) else None
