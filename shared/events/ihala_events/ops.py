"""``ops.parked.v1``: notices for operators, ids and reasons only."""

from ihala_events.wire import Payload


class RecordParked(Payload):
    """``state``: waiting (tried again) or dead. ``error_class``: what such notices are grouped by."""

    consumer: str
    topic: str
    partition: int
    offset: int
    event_id: str | None
    event_type: str | None
    error_class: str
    state: str
