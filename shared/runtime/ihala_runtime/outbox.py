"""The event log and the outbox: what this service published, and what Kafka has not acknowledged yet.

An event is inserted with the change it tells of, and under the aggregate's next number, which is unique: so the
order of outbox ids is the order of commits, for each aggregate. An outbox row is deleted on acknowledgement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ihala_events.catalogue import EventType
from ihala_events.envelope import Envelope
from pydantic import BaseModel
from pydantic_core import to_json

from ihala_runtime import telemetry
from ihala_runtime.identifiers import uuid7

BLANKED = "convert_to(jsonb_build_object('case_id', aggregate_id)::text, 'UTF8')"
"""SQL: what is left of the payload of a case's event when its person was erased. It is not published again."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """``sequence``: from the aggregate's own counter, unique for it. ``headers``: CloudEvents attributes."""

    event_id: UUID
    aggregate_id: UUID
    sequence: int
    type: str
    topic: str
    key: str
    headers: dict[str, str]
    payload: bytes


def new_event(
    kind: EventType,
    payload: BaseModel,
    *,
    source: str,
    aggregate_id: UUID,
    sequence: int,
    key: str,
    time: datetime,
    subject: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    event_id: UUID | None = None,
    topic: str | None = None,
    journey: str | None = None,
    made_in: str | None = None,
    sequenced: bool = True,
) -> NewEvent:
    """An event ready to record; it remembers the trace it was made in.

    topic: only where the kind has no fixed one (a party's own topic).  journey: the ``traceparent`` where the
    aggregate's journey began; default: of the record or request at hand.  made_in: the ``traceparent`` of the
    command; default: the span at hand.  sequenced: publish ``ce_sequence``.
    """
    event_id = event_id or uuid7()
    here = made_in or telemetry.current_traceparent()
    envelope = Envelope(
        id=str(event_id),
        source=source,
        type=kind.type,
        time=time,
        subject=subject or str(aggregate_id),
        dataschema=kind.dataschema,
        correlation_id=correlation_id,
        causation_id=causation_id,
        sequence=sequence if sequenced else None,
        journey=journey or telemetry.current_journey() or here,
        traceparent=here,
    )
    value = payload.model_dump_json().encode()
    topic = topic or kind.topic.name
    return NewEvent(event_id, aggregate_id, sequence, kind.type, topic, key, envelope.texts(), value)


_LOG = """
INSERT INTO event (event_id, aggregate_id, sequence, type, topic, key, headers, payload)
SELECT event_id, aggregate_id, sequence, type, topic, key, headers::jsonb, payload
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[])
    WITH ORDINALITY AS given (event_id, aggregate_id, sequence, type, topic, key, headers, payload, position)
ORDER BY position
"""
_QUEUE = """
INSERT INTO outbox (event_id)
SELECT event_id FROM unnest($1::uuid[]) WITH ORDINALITY AS given (event_id, position) ORDER BY position
"""


def storing(events: Sequence[NewEvent]) -> list[tuple[str, list[list[Any]]]]:
    """Statements, with their arguments, that store events and their outbox rows in the given order."""
    if not events:
        return []
    columns = [list(column) for column in zip(*map(_row, events), strict=True)]
    return [(_LOG, columns), (_QUEUE, columns[:1])]


def _row(event: NewEvent) -> tuple[Any, ...]:
    headers = to_json(event.headers).decode()  # as text: for an array of jsonb each new connection would ask its type
    return (
        event.event_id,
        event.aggregate_id,
        event.sequence,
        event.type,
        event.topic,
        event.key,
        headers,
        event.payload,
    )
