"""The HTTP surface that every service has: body limit, one span and one measure a request, health, docs, whoami.

Pages and scripts come from this machine: nothing is loaded from a foreign host.
"""

import inspect
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from opentelemetry.trace import SpanKind
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ihala_runtime import metric_names as metrics
from ihala_runtime import telemetry
from ihala_runtime.access import Principal, authenticated
from ihala_runtime.failures import INFRASTRUCTURE
from ihala_runtime.health import Health
from ihala_runtime.problem import MAX_BODY_BYTES, Problem, field_errors, problem_response

NOT_TO_BE_KEPT = (b"cache-control", b"no-store")  # personal data and keys stay out of every cache
Endpoint = Callable[..., Awaitable[Response]]
QUIET_ROUTES = ("/live", "/ready", "/metrics")


class Observed:
    """ASGI middleware: one server span and one measure a request; the query string is not recorded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET_ROUTES:
            await self._app(scope, receive, send)
            return
        incoming = _header(scope, b"traceparent")
        parent = incoming if telemetry.is_traceparent(incoming) else None
        started, status = time.perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append(NOT_TO_BE_KEPT)
            await send(message)

        with telemetry.span(
            f"{scope['method']}", SpanKind.SERVER, parent=parent, http__request__method=scope["method"]
        ) as span:
            try:
                await self._app(scope, receive, watch)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    telemetry.mark_failed(span, str(status))
                metrics.HTTP_SECONDS.labels(scope["method"], route, status).observe(time.perf_counter() - started)


class Limits:
    """ASGI middleware: no NUL in an address, and a body is cut off at the limit, whatever its headers say."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            await _no_text().response()(scope, receive, send)
            return
        declared = _header(scope, b"content-length")
        if declared and declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            await _too_large().response()(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise _too_large()
            return message

        await self._app(scope, limited, send)


def _no_text() -> Problem:
    return Problem(400, "malformed-address", "The address holds a character that no text may hold")


def _too_large() -> Problem:
    return Problem(413, "too-large", "The body is too large", f"At most {MAX_BODY_BYTES} bytes.")


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


async def _idempotency_key(
    request: Request, _documented: Annotated[str | None, Header(alias="Idempotency-Key")] = None
) -> str:
    key = request.headers.get("idempotency-key")
    if not key or len(key) > 255 or not key.isascii() or not key.isprintable():
        raise Problem(
            400,
            "idempotency-key-required",
            "An Idempotency-Key header is needed",
            "1 to 255 printable ASCII characters.",
        )
    return key


IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
"""A route's parameter of this type is the request's key; without a proper one the request is refused."""


class StraightRoute(APIRoute):
    """A route that is called all the time: documented as the others are, and answered at once.

    For an intake FastAPI's own way there cost as much as everything that the intake service does with it.  Its
    endpoint takes the request and what is found in nothing but the request (``allow``, ``IdempotencyKey``), looked
    for in the order of its parameters; it reads its body by ``parse_body`` and returns a response.
    """

    def __init__(self, path: str, endpoint: Endpoint, **documented: Any) -> None:
        super().__init__(path, endpoint, **documented)
        self.app = _straight(endpoint)


def _straight(endpoint: Endpoint) -> ASGIApp:
    _, *parameters = inspect.signature(endpoint, eval_str=True).parameters.values()
    finders = {each.name: each.annotation.__metadata__[0].dependency for each in parameters}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        found = {name: await find(request) for name, find in finders.items()}
        response = await endpoint(request, **found)
        await response(scope, receive, send)

    return answer


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """``openapi_extra`` for a route that reads its body by ``parse_body``."""
    _DOCUMENTED[model.__name__] = model
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    return {"requestBody": {"required": True, "content": content}}


_DOCUMENTED: dict[str, type[BaseModel]] = {}

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. errors: where the input is wrong; a received value is never repeated.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:ihala:problem:invalid-input"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("pointer", "code", "message")},
            },
        },
    },
}
_REFUSAL = {
    "description": "Refused, or not possible now",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the bodies that we read ourselves, problems and the key."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for model in _DOCUMENTED.values():
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = _PROBLEM
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = _REFUSAL
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        app.openapi_schema = document
    return app.openapi_schema


def add_common_routes(app: FastAPI, health: Health, asyncapi: Callable[[], dict[str, Any]]) -> None:
    """``/live /ready /metrics /asyncapi.json /v1/whoami`` and the form of every refusal."""
    for kind in (Problem, *INFRASTRUCTURE, Exception):
        app.add_exception_handler(kind, problem_response)
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]  # FastAPI's documented way
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RequestValidationError, _validation_problem)

    @app.get("/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/ready", include_in_schema=False)
    async def ready() -> JSONResponse:
        checks = await health.checks()
        return JSONResponse({"checks": checks}, 200 if all(checks.values()) else 503)

    @app.get("/metrics", include_in_schema=False)
    async def exposition() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/asyncapi.json", include_in_schema=False)
    async def asyncapi_document() -> JSONResponse:
        return JSONResponse(asyncapi())

    @app.get("/v1/whoami", tags=["access"])
    async def whoami(principal: Annotated[Principal, Depends(authenticated)]) -> dict[str, Any]:
        """Whose key this is."""
        return {
            "credential_id": principal.credential_id,
            "role": principal.role,
            "party_id": principal.party_id,
            "desk_ids": sorted(principal.desk_ids),
            "label": principal.label,
        }


async def _http_problem(_request: Request, error: Exception) -> JSONResponse:
    status = getattr(error, "status_code", 500)
    if status == 404:
        return Problem.not_found().response()
    slug = "method-not-allowed" if status == 405 else f"http-{status}"
    return Problem(status, slug, "The request cannot be served", headers=getattr(error, "headers", None)).response()


async def _gone(_request: Request, _error: Exception) -> JSONResponse:
    """Who called left in the middle of the body: nobody reads this, and nothing went wrong here."""
    return Problem(400, "incomplete-body", "The body did not arrive").response()


async def _validation_problem(_request: Request, error: Exception) -> JSONResponse:
    """Wrong path or query parameters; bodies are read by ``parse_body``."""
    details = error.errors() if isinstance(error, RequestValidationError) else []
    return Problem.invalid(field_errors(details)).response()
