"""``party.<id>.in.v1`` → answers of agencies: the same use cases as over HTTP.

The topic is the sender.  A refusal is answered on ``party.<id>.out.v1``; records that are no event at all, or of a
type that nobody knows, are this group's to set aside.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from ihala_events.access import Role
from ihala_events.catalogue import CAPACITY_CHANGED, CLOSURES_CHANGED, PARTNER_RESPONDED, RESPONSE_REFUSED
from ihala_events.partner import CapacityChanged, ClosuresChanged, PartnerResponded, ResponseRefused
from ihala_events.topics import PARTY_IN_PATTERN, party_of, party_out
from ihala_runtime import telemetry
from ihala_runtime.consumer import Consumer
from ihala_runtime.outbox import new_event
from ihala_runtime.postgres import Work
from ihala_runtime.problem import Problem, parse_body
from ihala_runtime.received import Received
from opentelemetry.trace import SpanKind
from pydantic import TypeAdapter

from ihala_referral.adapters.directory_store import SOURCE
from ihala_referral.adapters.partner_writes import change_capacity, change_record
from ihala_referral.adapters.postgres_unit import PostgresUnit, open_unit
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.domain.errors import MoveRefused
from ihala_referral.domain.referral import Referral
from ihala_referral.entrypoints.moves import MOVE_DOORS, MoveDoor
from ihala_referral.handlers.announce_closures import announce_closures, closure_problems
from ihala_referral.handlers.mover import Mover
from ihala_referral.handlers.publish_capacity import UnknownService, publish_capacity

PARTIES = "referral.parties"
INTEGRATORS = "ihala.integration."

_RESPONSE = TypeAdapter(PartnerResponded)
_CAPACITY = TypeAdapter(CapacityChanged)
_CLOSURES = TypeAdapter(ClosuresChanged)


class Refused(Exception):
    """reason: a stable slug.  state: of the referral, where there is one."""

    def __init__(self, reason: str, detail: str, referral_id: UUID | None = None, state: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.referral_id = referral_id
        self.state = state


def party_consumer(environment: Environment) -> Consumer[PostgresUnit]:
    return Consumer(
        name=PARTIES,
        pattern=PARTY_IN_PATTERN,
        open_scope=_scopes(environment),
        handlers={
            PARTNER_RESPONDED.type: _responded,
            CAPACITY_CHANGED.type: _capacity_changed,
            CLOSURES_CHANGED.type: _closures_changed,
        },
        ignore=lambda event_type: event_type.startswith(INTEGRATORS),
        inbox_id=_each_sending,
    )


def _scopes(
    environment: Environment,
) -> Callable[[Work, Sequence[Received]], AbstractAsyncContextManager[PostgresUnit]]:
    @asynccontextmanager
    async def scope(work: Work, received: Sequence[Received]) -> AsyncIterator[PostgresUnit]:
        named = sorted({each for each in map(_referral_id, received) if each is not None})
        async with open_unit(work, environment, named) as unit:
            yield unit

    return scope


def _referral_id(received: Received) -> UUID | None:
    if received.type != PARTNER_RESPONDED.type:
        return None
    try:
        return _RESPONSE.validate_json(received.raw.value or b"").referral_id
    except ValueError:
        return None


def _each_sending(received: Received) -> tuple[str, str]:
    """An answer sent again under the same id is answered again; the same record is handled once."""
    return received.topic, f"{received.envelope.id}@{received.raw.offset}"


async def _responded(unit: PostgresUnit, received: Received) -> None:
    party_id = party_of(received.topic) or ""
    unit.caused_by = received.envelope.id
    try:
        _check_sender(unit, received, party_id)
        _answer(unit, _parsed(_RESPONSE, received), party_id)
    except Refused as refused:
        _tell(unit, received, party_id, refused)


def _answer(unit: PostgresUnit, response: PartnerResponded, party_id: str) -> None:
    """Raises Refused; another's referral is refused as a missing one."""
    referral = unit.referral(response.referral_id)
    if referral is None or not referral.was_asked(party_id):
        raise Refused("not-found", "there is no such referral for this party", response.referral_id)
    with telemetry.continued(f"answer {response.response}", SpanKind.INTERNAL, began=referral.journey):
        telemetry.annotate(ihala__referral__id=str(referral.referral_id), ihala__partner__id=party_id)
        _move(unit, referral, MOVE_DOORS[response.response], response, party_id)


def _move(unit: PostgresUnit, referral: Referral, door: MoveDoor, response: PartnerResponded, party_id: str) -> None:
    said = {name: getattr(response, name) for name in door.model.model_fields if name in PartnerResponded.model_fields}
    missing = [name for name, value in said.items() if value is None]
    if missing:
        raise Refused("invalid-input", f"/{missing[0]} is required", referral.referral_id, referral.state)
    by = Mover(party_id, f"partner:{party_id}")
    try:
        happened = door.use_case(referral, by, door.model(**said), unit.scene)
    except MoveRefused as refused:
        raise Refused(refused.slug, refused.detail, referral.referral_id, refused.state) from None
    if happened:
        unit.record(referral, happened)


async def _capacity_changed(unit: PostgresUnit, received: Received) -> None:
    party_id = party_of(received.topic) or ""
    unit.caused_by = received.envelope.id
    try:
        _check_sender(unit, received, party_id)
        places = _parsed(_CAPACITY, received).places
        if await change_capacity(unit.work, party_id, places, publish_capacity, unit.scene.now) is None:
            raise Refused("not-found", "this party is no agency of the directory")
    except UnknownService as unknown:
        _tell(unit, received, party_id, Refused("not-served", str(unknown)))
    except Refused as refused:
        _tell(unit, received, party_id, refused)


async def _closures_changed(unit: PostgresUnit, received: Received) -> None:
    party_id = party_of(received.topic) or ""
    unit.caused_by = received.envelope.id
    try:
        _check_sender(unit, received, party_id)
        closures = _parsed(_CLOSURES, received).closures
        for pointer, _code, message in closure_problems(closures):
            raise Refused("invalid-input", f"{pointer} {message}")
        now = unit.scene.now
        if await change_record(unit.work, party_id, lambda before: announce_closures(before, closures), now) is None:
            raise Refused("not-found", "this party is no agency of the directory")
    except Refused as refused:
        _tell(unit, received, party_id, refused)


def _check_sender(unit: PostgresUnit, received: Received, party_id: str) -> None:
    if received.envelope.source != f"/party/{party_id}":
        raise Refused("source-mismatch", "ce_source must name the party whose topic this is")
    if unit.scene.directory.is_stopped(party_id):
        raise Refused("partner-stopped", "this agency has been stopped; nothing is taken from it")


def _parsed(adapter: TypeAdapter[Any], received: Received) -> Any:
    try:
        return parse_body(adapter, received.raw.value or b"")
    except Problem as problem:
        fields = ", ".join(error["pointer"] or "/" for error in problem.members.get("errors", ()))
        raise Refused(problem.slug, f"{problem.title}: {fields}" if fields else problem.title) from None


def _tell(unit: PostgresUnit, received: Received, party_id: str, refused: Refused) -> None:
    place = f"{received.topic}/{received.raw.offset}/{received.envelope.id}"
    refusal = ResponseRefused(
        request_id=received.envelope.id,
        referral_id=refused.referral_id,
        reason=refused.reason,
        detail=refused.detail,
        state=refused.state,
    )
    event = new_event(
        RESPONSE_REFUSED,
        refusal,
        source=SOURCE,
        aggregate_id=uuid5(NAMESPACE_URL, f"{Role.AGENCY}/{place}"),
        sequence=1,
        sequenced=False,
        key=received.envelope.id,
        subject=received.envelope.id,
        topic=party_out(party_id).name,
        time=unit.scene.now,
        causation_id=received.envelope.id,
    )
    unit.work.record(event)
