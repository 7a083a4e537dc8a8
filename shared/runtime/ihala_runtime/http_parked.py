"""``/v1/parked``: records set aside, the same calls in every service.

An operator sees ids, places and reasons. A payload may name a restricted need, and one from a party's own topic may
hold anything: it is read and edited by ``protection`` alone, and its reading is written down.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from ihala_events.catalogue import EVENT_TYPES, versionless
from ihala_events.topics import party_of
from ihala_events.wire import Request as Body
from ihala_events.wire import Text
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from ihala_runtime import set_aside
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.postgres import Database, Work
from ihala_runtime.problem import FieldError, Problem, field_errors, parse_body
from ihala_runtime.set_aside import NoSuchRecord, NotPossible, RecordId, Wanted, record_id_of

T = TypeVar("T")

Operator = Annotated[Principal, allow("operator", "protection")]
Protection = Annotated[Principal, allow("protection")]
State = Literal["waiting", "dead", "done", "discarded"]
Reason = Annotated[Text, Field(max_length=500)]

HIDDEN = {"place", "id", "key"}


class DiscardBody(Body):
    """Why the record will never be handled; no personal data."""

    reason: Reason


class EditBody(Body):
    """The whole payload as it should have been, and why."""

    payload: dict[str, Any]
    reason: Reason


class GroupBody(Body):
    consumer: Annotated[Text, Field(max_length=255)]
    error_class: Annotated[Text, Field(max_length=255)]


class DiscardGroupBody(GroupBody):
    reason: Reason


_DISCARD, _EDIT = TypeAdapter(DiscardBody), TypeAdapter(EditBody)
_GROUP, _DISCARD_GROUP = TypeAdapter(GroupBody), TypeAdapter(DiscardGroupBody)


router = APIRouter(prefix="/v1/parked", tags=["operating"])


@dataclass(frozen=True, slots=True)
class SetAside:
    """``service``: names the outbox among the consumers, as operators know it; the tables hold no service's name."""

    service: str
    database: Database

    @property
    def outbox(self) -> str:
        return f"{self.service}.outbox"

    def inward(self, consumer: str) -> str:
        return set_aside.OUTBOX if consumer == self.outbox else consumer

    def described(self, row: dict[str, Any]) -> dict[str, Any]:
        consumer = self.outbox if row["consumer"] == set_aside.OUTBOX else row["consumer"]
        kept = {name: value for name, value in row.items() if name not in HIDDEN}
        return kept | {"consumer": consumer} | ({"key": _key(row)} if "key" in row else {})

    async def act(self, record_id: str, act: Callable[[Work, RecordId], Awaitable[T]]) -> T:
        """In one transaction with its row of the log. Raises Problem: 404, or 409 with the reason."""
        try:
            async with self.database.transaction() as work:
                return await act(work, record_id_of(record_id))
        except NoSuchRecord:
            raise Problem.not_found() from None
        except NotPossible as refused:
            members = {"first": refused.first} if refused.first else {}
            raise Problem.conflict(refused.reason, refused.detail, **members) from None

    async def after(self, record_id: str, act: Callable[[Work, RecordId], Awaitable[None]]) -> dict[str, Any]:
        """The record as the act left it."""

        async def act_and_look(work: Work, known: RecordId) -> dict[str, Any]:
            await act(work, known)
            return self.described(await set_aside.one(work.conn, known))

        return await self.act(record_id, act_and_look)


def _of(request: Request) -> SetAside:
    found: SetAside = request.app.state.set_aside
    return found


@router.get("")
async def list_records(
    request: Request,
    _caller: Operator,
    state: State | None = None,
    consumer: str | None = None,
    error_class: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """What waits or is dead, or is in the state given; oldest first."""
    here = _of(request)
    wanted = Wanted(
        states=(state,) if state else set_aside.UNSETTLED,
        consumer=consumer and here.inward(consumer),
        error_class=error_class,
        limit=limit,
        after=_cursor(cursor),
    )
    async with here.database.connection() as connection:
        rows = await set_aside.page(connection, wanted)
    next_cursor = rows[-1]["record_id"] if len(rows) == limit else None
    return {"items": [here.described(row) for row in rows], "next_cursor": next_cursor}


@router.get("/groups")
async def list_groups(request: Request, _caller: Operator) -> dict[str, Any]:
    """What waits or is dead, counted by consumer and class of failure."""
    here = _of(request)
    async with here.database.connection() as connection:
        rows = await set_aside.groups(connection)
    return {"items": [here.described(row) for row in rows]}


@router.post("/groups/retry", openapi_extra=body_of(GroupBody))
async def retry_group(request: Request, caller: Operator) -> dict[str, int]:
    """Try every record of a group now; each key's in order."""
    here, wanted = _of(request), parse_body(_GROUP, await request.body())
    consumer = here.inward(wanted.consumer)
    async with here.database.transaction() as work:
        count = await set_aside.retry_group(work.conn, consumer, wanted.error_class, caller.actor)
    return {"records": count}


@router.post("/groups/discard", openapi_extra=body_of(DiscardGroupBody))
async def discard_group(request: Request, caller: Operator) -> dict[str, int]:
    """Give up every record of a group."""
    here, wanted = _of(request), parse_body(_DISCARD_GROUP, await request.body())
    consumer = here.inward(wanted.consumer)
    async with here.database.transaction() as work:
        count = await set_aside.discard_group(work.conn, consumer, wanted.error_class, caller.actor, wanted.reason)
    return {"records": count}


@router.get("/{record_id}")
async def show(request: Request, record_id: str, _caller: Operator) -> dict[str, Any]:
    """One record and what was done to it."""

    async def only_look(_work: Work, _known: RecordId) -> None: ...

    return await _of(request).after(record_id, only_look)


@router.get("/{record_id}/payload")
async def show_payload(request: Request, record_id: str, caller: Protection) -> dict[str, Any]:
    """What it says, and what it said before it was edited; text where it is no JSON."""

    async def read(work: Work, known: RecordId) -> dict[str, Any]:
        now, original = await set_aside.payload(work.conn, known, caller.actor)
        return {"payload": _content(now), "original": None if original is None else _content(original)}

    return await _of(request).act(record_id, read)


@router.post("/{record_id}/retry")
async def retry(request: Request, record_id: str, caller: Operator) -> dict[str, Any]:
    """Try it now, through the inbox: what was handled before is not handled again."""

    async def try_now(work: Work, known: RecordId) -> None:
        await set_aside.retry(work.conn, known, caller.actor)

    return await _of(request).after(record_id, try_now)


@router.put("/{record_id}", openapi_extra=body_of(EditBody))
async def edit(request: Request, record_id: str, caller: Protection) -> dict[str, Any]:
    """Replace the payload, which must fit the record's type; the first one is kept. It is not tried by this."""
    wanted = parse_body(_EDIT, await request.body())

    async def replace(work: Work, known: RecordId) -> None:
        row = await set_aside.one(work.conn, known)
        content = _checked(row["event_type"], wanted.payload)
        await set_aside.edit(work.conn, known, content, caller.actor, wanted.reason)

    return await _of(request).after(record_id, replace)


@router.post("/{record_id}/discard", openapi_extra=body_of(DiscardBody))
async def discard(request: Request, record_id: str, caller: Operator) -> dict[str, str]:
    """Give it up; the next of its key may go."""
    reason = parse_body(_DISCARD, await request.body()).reason

    async def give_up(work: Work, known: RecordId) -> None:
        await set_aside.discard(work.conn, known, caller.actor, reason)

    await _of(request).act(record_id, give_up)
    return {"record_id": record_id, "state": "discarded"}


def _cursor(text: str | None) -> RecordId | None:
    try:
        return None if text is None else record_id_of(text)
    except NoSuchRecord:
        raise Problem.invalid([FieldError("/cursor", "wrong-format", "is not a cursor of this list")]) from None


def _key(row: dict[str, Any]) -> str | None:
    """Our own keys are ids; what a stranger wrote into a party's topic is not shown."""
    if row["key"] is None or party_of(row["topic"]) is not None:
        return None
    return str(row["key"].decode("utf-8", "replace"))


def _checked(event_type: str | None, content: dict[str, Any]) -> bytes:
    """The payload's bytes. Raises Problem (422) where it does not fit the type, NotPossible for an unknown type."""
    kind = EVENT_TYPES.get(versionless(event_type or ""))
    if kind is None:
        raise NotPossible("not-editable", "its headers name no type that is known: another payload would not help")
    raw = json.dumps(content, ensure_ascii=False).encode()
    try:
        kind.payload.model_validate_json(raw)
    except ValidationError as error:
        found = field_errors(error.errors(include_url=False, include_input=False))
        raise Problem.invalid(
            FieldError(f"/payload{each.pointer}", each.code, each.message) for each in found
        ) from None
    return raw


def _content(raw: bytes) -> Any:
    try:
        value = from_json(raw, allow_inf_nan=False)
        json.dumps(value, allow_nan=False)  # 1e999 is infinite as well
    except ValueError:
        return raw.decode("utf-8", "replace")
    return value
