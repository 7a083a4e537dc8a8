"""The delivery log and the replay, over HTTP. An agency sees its own; what it answered is for operators alone."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from ihala_events.access import Role
from ihala_events.vocabulary import PARTY_ID_PATTERN, PartyId
from ihala_events.wire import Instant
from ihala_events.wire import Request as Body
from ihala_runtime.access import Principal, allow
from ihala_runtime.postgres import MAX_BIGINT, Database
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import Field, TypeAdapter

from ihala_notification.adapters.delivery_log import LogQuery, PostgresDeliveryLog, Replay
from ihala_notification.handlers.dispatch import Dispatcher

Caller = Annotated[Principal, allow("agency", "operator")]
State = Literal["pending", "delivered", "exhausted", "suppressed"]


class ReplayBody(Body):
    """Which deliveries to send again: some by id, or an agency's of a time. At most 1,000 at once, oldest first."""

    delivery_ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000)] | None = None
    partner_id: PartyId | None = None
    since: Instant | None = None
    until: Instant | None = None
    states: Annotated[list[Literal["exhausted", "delivered"]], Field(min_length=1)] = ["exhausted"]


BODY = TypeAdapter(ReplayBody)
BODY_SCHEMA = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": ReplayBody.model_json_schema()}}}
}


def deliveries_router(database: Database, log: PostgresDeliveryLog, dispatcher: Dispatcher) -> APIRouter:
    router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])

    @router.get("")
    async def list_deliveries(
        caller: Caller,
        referral_id: UUID | None = None,
        partner_id: Annotated[str | None, Query(pattern=PARTY_ID_PATTERN)] = None,
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[int | None, Query(ge=1, le=MAX_BIGINT)] = None,
    ) -> dict[str, Any]:
        """What was told, newest first, with every try."""
        query = LogQuery(limit, cursor, referral_id, _visible(caller, partner_id), state)
        rows = await log.page(query)
        items = [_described(row, answers=caller.role is Role.OPERATOR) for row in rows]
        return {"items": items, "next_cursor": rows[-1]["position"] if len(rows) == limit else None}

    @router.post("/replay", openapi_extra=BODY_SCHEMA)
    async def replay(request: Request, caller: Caller) -> dict[str, int]:
        """Send ended deliveries again, with the same id and the same bytes."""
        wanted = parse_body(BODY, await request.body())
        partner_id = _visible(caller, wanted.partner_id)
        if wanted.delivery_ids is None and partner_id is None:
            raise Problem.invalid([FieldError("", "too-few", "names neither deliveries nor an agency")])
        async with database.transaction() as work:
            chosen = Replay(wanted.delivery_ids, partner_id, wanted.since, wanted.until, wanted.states)
            count = await log.replay(work, chosen)
        dispatcher.wake()
        return {"replayed": count}

    return router


def _visible(caller: Principal, partner_id: str | None) -> str | None:
    """Whose deliveries the caller may see. Raises Problem 404 for another's."""
    if caller.role is Role.OPERATOR:
        return partner_id
    if caller.party_id is None or partner_id not in (None, caller.party_id):
        raise Problem.not_found()
    return caller.party_id


def _described(row: dict[str, Any], *, answers: bool) -> dict[str, Any]:
    hidden = {"position", "attempts", "next_attempt_at"}
    waiting: datetime | None = row["next_attempt_at"] if row["state"] == "pending" else None
    tries = [_try(each, answers=answers) for each in row["attempts"]]
    kept = {name: value for name, value in row.items() if name not in hidden}
    return kept | {"next_attempt_at": waiting, "attempts": tries}


def _try(row: dict[str, Any], *, answers: bool) -> dict[str, Any]:
    told = {name: row[name] for name in ("made_at", "status", "reason", "latency_ms")}
    return told | ({"answer": row["answer"].decode("utf-8", "replace")} if answers else {})
