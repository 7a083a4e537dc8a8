"""``party.<id>.in.v1`` → intakes of integrators: the same checks as over HTTP, answered on ``party.<id>.out.v1``.

The topic is the sender. Names, phone and notes are refused here: a topic is no place for them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from ihala_events.access import CredentialChanged, Role
from ihala_events.catalogue import INTAKE_ACCEPTED, INTAKE_REFUSED, INTAKE_REQUESTED, EventType
from ihala_events.intake import IDENTIFYING_FIELDS, IntakeRequest
from ihala_events.partner import FieldRefusal, IntakeAccepted, IntakeRefused
from ihala_events.topics import PARTY_IN_PATTERN, party_of, party_out
from ihala_events.wire import Payload
from ihala_runtime import telemetry
from ihala_runtime.consumer import Consumer
from ihala_runtime.outbox import new_event
from ihala_runtime.postgres import Work
from ihala_runtime.problem import Problem, parse_body
from ihala_runtime.received import Received
from pydantic import TypeAdapter

from ihala_intake.adapters.intake_store import SOURCE
from ihala_intake.domain import errors
from ihala_intake.domain.acceptance import Submitter
from ihala_intake.entrypoints.doors import Doors

PARTIES_CONSUMER = "intake.parties"
OURS = "ihala.integration."

_INTAKE = TypeAdapter(IntakeRequest)


@dataclass(frozen=True, slots=True)
class Scope:
    work: Work
    doors: Doors


class Refused(Exception):
    def __init__(self, reason: str, detail: str, fields: Sequence[FieldRefusal] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.fields = list(fields)


def parties_consumer(doors: Doors) -> Consumer[Scope]:
    return Consumer(
        name=PARTIES_CONSUMER,
        pattern=PARTY_IN_PATTERN,
        open_scope=_scopes(doors),
        handlers={INTAKE_REQUESTED.type: take_intake},
        ignore=lambda event_type: not event_type.startswith(OURS),
        inbox_id=_each_sending,
    )


def _scopes(doors: Doors) -> Callable[[Work, Sequence[Received]], AbstractAsyncContextManager[Scope]]:
    @asynccontextmanager
    async def scope(work: Work, _received: Sequence[Received]) -> AsyncIterator[Scope]:
        yield Scope(work, doors)

    return scope


def _each_sending(received: Received) -> tuple[str, str]:
    """A request sent again under the same id is answered again; the same record is handled once."""
    return received.topic, f"{received.envelope.id}@{received.raw.offset}"


async def take_intake(scope: Scope, received: Received) -> None:
    party_id = party_of(received.topic) or ""
    try:
        kind, answer = await _stored(scope, received, party_id)
    except Refused as refused:
        kind, answer = INTAKE_REFUSED, _refusal(received, refused)
    _reply(scope, received, party_id, kind, answer)


async def _stored(scope: Scope, received: Received, party_id: str) -> tuple[EventType, Payload]:
    """Raises Refused."""
    if received.envelope.source != f"/party/{party_id}":
        raise Refused("source-mismatch", "ce_source must name the party whose topic this is")
    intake = _parsed(received)
    doors, submitter = scope.doors, await _submitter(scope.work, party_id, received.envelope.source)
    try:
        arrival = await doors.prepare.admit(
            intake,
            submitter,
            received.envelope.id,
            doors.clock.now(),
            journey=telemetry.current_journey() or telemetry.current_traceparent(),
            traceparent=telemetry.current_traceparent(),
        )
    except errors.IntakeRefused as refused:
        raise Refused(refused.slug, "some fields are wrong", refused.errors) from None
    except errors.NotTheirDesk as refused:
        raise Refused(refused.slug, "this party does not work for that desk") from None
    (outcome,) = await doors.store.store(scope.work, [doors.prepare.draw_up(arrival)])
    if isinstance(outcome, errors.KeyReused):
        raise Refused(outcome.slug, "this ce_id was used with another body")
    if isinstance(outcome, Exception):
        raise outcome
    told = {name: value for name, value in outcome.answer.items() if name != "links"}
    return INTAKE_ACCEPTED, IntakeAccepted(request_id=received.envelope.id, desk_id=intake.desk_id, **told)


def _parsed(received: Received) -> IntakeRequest:
    try:
        intake = parse_body(_INTAKE, received.raw.value or b"")
    except Problem as problem:
        fields = [FieldRefusal(**error) for error in problem.members.get("errors", ())]
        raise Refused(problem.slug, problem.title, fields) from None
    identifying = [f"/{name}" for name in IDENTIFYING_FIELDS if getattr(intake, name)]
    identifying += [f"/needs/{index}/note" for index, need in enumerate(intake.needs) if need.note]
    if identifying:
        fields = [
            FieldRefusal(pointer=pointer, code="identifying-data-on-topic", message="may not stand on a topic")
            for pointer in identifying
        ]
        raise Refused("identifying-data-on-topic", "send names, phone and notes over HTTP", fields)
    return intake


async def _submitter(work: Work, party_id: str, source: str) -> Submitter:
    """The desks of the party's keys that are in force."""
    rows = await work.conn.fetch("SELECT record FROM credential WHERE record->>'party_id' = $1", party_id)
    records = [CredentialChanged.model_validate(row["record"]) for row in rows]
    valid = [each for each in records if each.role is Role.INTEGRATOR and each.revoked_at is None]
    if not valid:
        raise Refused("unknown-party", "this party has no integrator's key in force")
    return Submitter(source, frozenset(desk for each in valid for desk in each.desk_ids), party_id)


def _refusal(received: Received, refused: Refused) -> IntakeRefused:
    return IntakeRefused(
        request_id=received.envelope.id, reason=refused.reason, detail=refused.detail, errors=refused.fields
    )


def _reply(scope: Scope, received: Received, party_id: str, kind: EventType, answer: Payload) -> None:
    place = f"{received.topic}/{received.raw.offset}/{received.envelope.id}"
    event = new_event(
        kind,
        answer,
        source=SOURCE,
        aggregate_id=uuid5(NAMESPACE_URL, place),
        sequence=1,
        sequenced=False,
        key=received.envelope.id,
        subject=received.envelope.id,
        topic=party_out(party_id).name,
        time=scope.doors.clock.now(),
        causation_id=received.envelope.id,
    )
    scope.work.record(event)
