"""Where an agency listens, over HTTP. An agency sees and changes its own endpoint only; a secret is shown once."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from ihala_events.access import Role
from ihala_events.vocabulary import PARTY_ID_PATTERN
from ihala_events.wire import Request as Body
from ihala_runtime.access import Principal, allow
from ihala_runtime.postgres import Database
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import Field, TypeAdapter

from ihala_notification.adapters.endpoints import PostgresEndpoints
from ihala_notification.domain.endpoint import Endpoint
from ihala_notification.domain.signing import SignatureKind, SigningKey
from ihala_notification.domain.webhook_address import MAX_URL_CHARACTERS, AddressRefused
from ihala_notification.handlers.dispatch import Dispatcher
from ihala_notification.handlers.endpoints import MOST_KEYS, RegisterEndpoint, RotateSecret, TooManyKeys, TryEndpoint

PartnerId = Annotated[str, Path(pattern=PARTY_ID_PATTERN)]
Caller = Annotated[Principal, allow("agency", "admin")]


class EndpointBody(Body):
    """``signature`` v1: a shared secret; v1a: Ed25519, of which the agency gets the public key."""

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARACTERS)]
    signature: Literal["v1", "v1a"] = "v1"


BODY = TypeAdapter(EndpointBody)
BODY_SCHEMA = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": EndpointBody.model_json_schema()}}}
}


def _own(caller: Principal, partner_id: str) -> None:
    """Another's is not there."""
    if caller.role is Role.AGENCY and caller.party_id != partner_id:
        raise Problem.not_found()


def _listening(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise Problem.not_found()
    if endpoint.stopped:
        raise Problem.conflict("partner-stopped", "The agency was stopped and is told nothing.")
    return endpoint


def _described(endpoint: Endpoint | None) -> dict[str, Any]:
    if endpoint is None:
        raise Problem.not_found()
    return {
        "partner_id": endpoint.partner_id,
        "url": endpoint.url,
        "signature": endpoint.signature,
        "state": endpoint.health.state,
        "reason": endpoint.health.reason,
        "failing_since": endpoint.health.failing_since,
        "probe_at": endpoint.health.probe_at,
        "live_secrets": len(endpoint.keys),
        "stopped": endpoint.stopped,
    }


def endpoints_router(
    database: Database,
    endpoints: PostgresEndpoints,
    dispatcher: Dispatcher,
    register: RegisterEndpoint,
    rotate: RotateSecret,
    try_endpoint: TryEndpoint,
) -> APIRouter:
    router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

    @router.put("/{partner_id}", openapi_extra=BODY_SCHEMA)
    async def put_endpoint(partner_id: PartnerId, request: Request, caller: Caller) -> dict[str, Any]:
        """Say where webhooks go; possible before the directory's record of the agency has arrived here.

        The secret is in the answer only when it is new.
        """
        _own(caller, partner_id)
        wanted = parse_body(BODY, await request.body())
        async with database.transaction() as work:
            try:
                key = await register(work, partner_id, wanted.url, SignatureKind(wanted.signature))
            except AddressRefused as refused:
                raise Problem.invalid([FieldError("/url", f"address-{refused.code}", str(refused))]) from None
            except TooManyKeys:
                raise _too_many_secrets() from None
        dispatcher.wake()
        return _described(await endpoints.one(partner_id)) | _secret(key)

    @router.get("/{partner_id}")
    async def get_endpoint(partner_id: PartnerId, caller: Caller) -> dict[str, Any]:
        _own(caller, partner_id)
        return _described(await endpoints.one(partner_id))

    @router.post("/{partner_id}/rotate-secret")
    async def rotate_secret(partner_id: PartnerId, caller: Caller) -> dict[str, Any]:
        """A new secret. The old one goes on signing beside it for the overlap."""
        _own(caller, partner_id)
        async with database.transaction() as work:
            try:
                key = await rotate(work, partner_id)
            except TooManyKeys:
                raise _too_many_secrets() from None
        dispatcher.wake()
        return _described(await endpoints.one(partner_id)) | _secret(key)

    @router.post("/{partner_id}/test")
    async def test_endpoint(partner_id: PartnerId, caller: Caller) -> dict[str, Any]:
        """Send one signed message about nobody; a disabled endpoint that takes it is enabled again."""
        _own(caller, partner_id)
        endpoint = _listening(await endpoints.one(partner_id))
        message_id, result = await try_endpoint(endpoint)
        if result.is_success:
            async with database.transaction() as work:
                await endpoints.answered_well(work, partner_id)
            dispatcher.wake()
        return {
            "webhook_id": message_id,
            "delivered": result.is_success,
            "status": result.status,
            "reason": result.reason,
            "latency_ms": result.latency_ms,
        }

    return router


def _secret(key: SigningKey | None) -> dict[str, str]:
    return {} if key is None else {"secret": key.for_the_agency()}


def _too_many_secrets() -> Problem:
    return Problem.conflict("too-many-secrets", f"{MOST_KEYS} secrets sign already; wait until an overlap ends.")
