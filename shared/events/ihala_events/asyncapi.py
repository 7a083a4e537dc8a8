"""AsyncAPI 3 documents: what each service reads and writes, and what a party may.

Made from the catalogue, with headers, keys, partitions and retention; for integrators this is the contract.
"""

from typing import Any

from ihala_events import topics
from ihala_events.catalogue import COPIES, EVENT_TYPES, PARTY_IN, PARTY_OUT, EventType
from ihala_events.json_schema import event_schema
from ihala_events.topics import Topic

READS: dict[str, tuple[Topic, ...]] = {
    "intake": (topics.REFERRAL_LIFECYCLE, topics.ACCESS_CREDENTIAL, PARTY_IN),
    "referral": (topics.INTAKE_CASE, topics.NOTIFICATION_DELIVERY, topics.ACCESS_CREDENTIAL, PARTY_IN),
    "notification": (topics.REFERRAL_LIFECYCLE, topics.DIRECTORY_PARTNER, topics.ACCESS_CREDENTIAL),
    "party": (PARTY_OUT,),
}
WRITES: dict[str, tuple[Topic, ...]] = {
    "intake": (topics.INTAKE_CASE, topics.INTAKE_ERASURE, topics.OPS_PARKED, PARTY_OUT),
    "referral": (
        topics.REFERRAL_LIFECYCLE,
        topics.DIRECTORY_PARTNER,
        topics.ACCESS_CREDENTIAL,
        topics.OPS_PARKED,
        PARTY_OUT,
    ),
    "notification": (topics.NOTIFICATION_DELIVERY, topics.OPS_PARKED, PARTY_OUT),
    "party": (PARTY_IN,),
}

_HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "maxLength": 255},
        "ce_source": {"type": "string", "description": "/ihala/<service> or /party/<party id>"},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string"},
        "ce_dataschema": {"type": "string"},
        "ce_correlationid": {"type": "string", "description": "the case"},
        "ce_causationid": {"type": "string"},
        "ce_sequence": {"type": "string", "pattern": "^[0-9]{10}$"},
        "ce_traceparent": {"type": "string", "description": "where the journey began"},
        "ce_again": {"type": "string", "description": "why it is published once more; ids and bytes are the same"},
        "traceparent": {"type": "string", "description": "the hop's own"},
        "content-type": {"const": "application/json"},
    },
}


def asyncapi_document(name: str) -> dict[str, Any]:
    """The document of a service (``intake``, ``referral``, ``notification``) or, as ``party``, of an outside party."""
    used = dict.fromkeys((*READS[name], *WRITES[name]))
    kinds = [kind for topic in used for kind in kinds_on(topic)]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Ihala events: {name}",
            "version": "1",
            "description": "CloudEvents 1.0 in Kafka's binary mode.",
        },
        "defaultContentType": "application/json",
        "channels": {_id(topic): _channel(topic) for topic in used},
        "operations": {
            **{f"receive-{_id(topic)}": _operation("receive", topic) for topic in READS[name]},
            **{f"send-{_id(topic)}": _operation("send", topic) for topic in WRITES[name]},
        },
        "components": {"messages": {kind.schema_name: _message(kind) for kind in kinds}},
    }


def kinds_on(topic: Topic) -> list[EventType]:
    """The event types that may stand on a topic; on a party's out topic also the copies made for it."""
    own = [kind for kind in EVENT_TYPES.values() if kind.topic.name == topic.name]
    return [*own, *COPIES] if topic.name == PARTY_OUT.name else own


def _id(topic: Topic) -> str:
    return topic.name.replace(".", "-").replace("<", "").replace(">", "")


def _channel(topic: Topic) -> dict[str, Any]:
    party = "<id>" in topic.name
    return {
        "address": topic.name.replace("<id>", "{party_id}"),
        "description": topic.description,
        **({"parameters": {"party_id": {"description": "the party's id"}}} if party else {}),
        "messages": {
            kind.schema_name: {"$ref": f"#/components/messages/{kind.schema_name}"} for kind in kinds_on(topic)
        },
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [topic.config.get("cleanup.policy", "delete")],
                    "retention.ms": int(topic.config.get("retention.ms", -1)),
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(action: str, topic: Topic) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{_id(topic)}"}}


def _message(kind: EventType) -> dict[str, Any]:
    return {
        "name": kind.type,
        "summary": kind.means,
        "headers": _HEADERS,
        "payload": event_schema(kind),
        "bindings": {"kafka": {"key": {"type": "string", "description": kind.topic.key}, "bindingVersion": "0.5.0"}},
    }
