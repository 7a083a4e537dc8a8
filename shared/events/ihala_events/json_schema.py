"""JSON Schemas (2020-12) of every event's value, from the models."""

from typing import Any

from ihala_events.catalogue import COPIES, EVENT_TYPES, EventType

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema(kind: EventType) -> dict[str, Any]:
    """The schema of one event type, with ``$id`` equal to its ``ce_dataschema``."""
    schema = kind.payload.model_json_schema(mode="serialization")
    return {"$schema": DIALECT, "$id": kind.dataschema, **schema, "title": kind.type, "description": kind.means}


def event_schemas() -> dict[str, dict[str, Any]]:
    """Schemas by event type; an agency's copy, which is also the body of its webhook, as ``<type>.copy``."""
    return {kind.schema_name: event_schema(kind) for kind in (*EVENT_TYPES.values(), *COPIES)}
