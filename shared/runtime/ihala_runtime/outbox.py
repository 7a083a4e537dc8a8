"""The event log and the outbox: what this service published, and what Kafka has not acknowledged yet.

An event is inserted in the transaction of the change it tells of, after the aggregate's row was locked: so the
order of outbox ids is the order of commits, for each aggregate. An outbox row is deleted on acknowledgement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from ihala_events.catalogue import EventType
from ihala_events.envelope import Envelope
from pydantic import BaseModel

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
    headers = {name: value.decode() for name, value in envelope.headers()}
    value = payload.model_dump_json().encode()
    return NewEvent(event_id, aggregate_id, sequence, kind.type, topic or kind.topic.name, key, headers, value)


_WRITE = """
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::jsonb[],
        $8::bytea[]) WITH ORDINALITY
        AS given (event_id, aggregate_id, sequence, type, topic, key, headers, payload, position)
), logged AS (
    INSERT INTO event (event_id, aggregate_id, sequence, type, topic, key, headers, payload)
    SELECT event_id, aggregate_id, sequence, type, topic, key, headers, payload FROM given ORDER BY position
)
INSERT INTO outbox (event_id) SELECT event_id FROM given ORDER BY position
"""


async def write_events(connection: asyncpg.Connection, events: Sequence[NewEvent]) -> None:
    """Store events and their outbox rows in one statement, in the given order."""
    if not events:
        return
    columns = zip(
        *((e.event_id, e.aggregate_id, e.sequence, e.type, e.topic, e.key, e.headers, e.payload) for e in events),
        strict=True,
    )
    await connection.execute(_WRITE, *(list(column) for column in columns))
