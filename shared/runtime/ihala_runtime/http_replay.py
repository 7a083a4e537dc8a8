"""``/v1/replay``, ``/v1/rebuild/{consumer}``, ``/v1/consumers``: the history again, the same calls in every service."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Request
from ihala_events.wire import Instant, Text
from ihala_events.wire import Request as Body
from pydantic import Field, TypeAdapter

from ihala_runtime.access import Principal, allow
from ihala_runtime.consumer import Consumer
from ihala_runtime.http import body_of
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.postgres import Database
from ihala_runtime.problem import FieldError, Problem, parse_body
from ihala_runtime.rebuild import rebuild
from ihala_runtime.replay import COMPACTED, Chosen, on_their_way, replay

router = APIRouter(prefix="/v1", tags=["operating"])

Operator = Annotated[Principal, allow("operator")]
Names = Annotated[list[Annotated[Text, Field(max_length=255)]], Field(min_length=1, max_length=1_000)]


class ReplayBody(Body):
    """Which of this service's events go out again: at least keys, topics or a time. One page a call."""

    keys: Names | None = None
    topics: Names | None = None
    since: Instant | None = None
    until: Instant | None = None
    after: Instant | None = None
    notify: bool = False
    rebuild: bool = False


class RebuildBody(Body):
    """replace: put the rebuilt model in the live one's place; else they are only compared."""

    replace: bool = False


_REPLAY, _REBUILD = TypeAdapter(ReplayBody), TypeAdapter(RebuildBody)


@dataclass(frozen=True, slots=True)
class History:
    """What the calls stand on."""

    database: Database
    kafka: KafkaAddress
    consumers: tuple[Consumer[Any], ...]


def _of(request: Request) -> History:
    found: History = request.app.state.history
    return found


@router.get("/consumers")
async def list_consumers(request: Request, _caller: Operator) -> dict[str, Any]:
    """The groups of this service: what they read, and which keep a read model that can be rebuilt."""
    return {
        "items": [
            {
                "name": each.name,
                "topics": list(each.topics),
                "pattern": each.pattern,
                "read_model": each.read_model and each.read_model.table,
            }
            for each in _of(request).consumers
        ]
    }


@router.get("/replay")
async def waiting(request: Request, _caller: Operator) -> dict[str, int]:
    """How many events of replays Kafka has not taken yet."""
    async with _of(request).database.connection() as connection:
        return {"on_their_way": await on_their_way(connection)}


@router.post("/replay", openapi_extra=body_of(ReplayBody))
async def replay_events(request: Request, caller: Operator) -> dict[str, Any]:
    """Publish again: same ids, bytes and sequences. `next_after` is the next page's `after`; null after the last."""
    wanted = parse_body(_REPLAY, await request.body())
    if not (wanted.keys or wanted.topics or wanted.since or wanted.until):
        raise Problem.invalid([FieldError("", "too-few", "names neither keys, topics nor a time")])
    if wanted.rebuild and set(wanted.topics or COMPACTED) & set(COMPACTED):
        raise Problem.invalid([FieldError("/topics", "not-allowed", "must name topics; a compacted one holds it all")])
    listed = {name: tuple(value) for name in ("keys", "topics") if (value := getattr(wanted, name)) is not None}
    chosen = Chosen(**{**wanted.model_dump(), **listed})
    history = _of(request)
    async with history.database.transaction() as work:
        done = await replay(work.conn, chosen, caller.actor)
    history.database.committed.set()
    return {"events": done.events, "next_after": done.next_after and done.next_after.isoformat()}


@router.post("/rebuild/{consumer}", openapi_extra=body_of(RebuildBody))
async def rebuild_model(request: Request, consumer: str, caller: Operator) -> dict[str, Any]:
    """Make a read model anew from its topic and compare it with the live one; it takes as long as the topic is."""
    wanted = parse_body(_REBUILD, await request.body())
    history = _of(request)
    named = {each.name: each for each in history.consumers if each.read_model is not None}
    if consumer not in named:
        raise Problem.not_found()
    compared = await rebuild(history.database, history.kafka, named[consumer], caller.actor, replace=wanted.replace)
    return {**asdict(compared), "equal": compared.is_equal}
