"""The contract of every event: its golden example, which producers must still write and consumers still read.

A golden file changes only together with a new version of its event type.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat
from ihala_events.asyncapi import READS, asyncapi_document
from ihala_events.catalogue import COPIES, EVENT_TYPES, EventType
from ihala_events.envelope import Envelope, MalformedEnvelope
from ihala_events.json_schema import event_schema
from ihala_events.wire import Payload
from ihala_runtime.received import RawRecord, Received
from pydantic import ValidationError
from support.references import references_of, resolved

GOLDEN = Path(__file__).parent / "golden"
KINDS = pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=list(EVENT_TYPES))


def golden(kind: EventType) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((GOLDEN / f"{kind.type}.json").read_text(encoding="utf-8"))
    return value


def read(kind: EventType, value: dict[str, Any]) -> Any:
    return kind.payload.model_validate_json(json.dumps(value))


def test_every_event_type_has_a_golden_example_and_no_other_file_is_there() -> None:
    assert {file.stem for file in GOLDEN.glob("*.json")} == set(EVENT_TYPES)


@KINDS
def test_what_is_read_from_the_golden_example_is_written_as_it_was(kind: EventType) -> None:
    assert json.loads(read(kind, golden(kind)).model_dump_json()) == golden(kind)


@KINDS
def test_the_published_schema_accepts_the_golden_example(kind: EventType) -> None:
    jsonschema.Draft202012Validator(
        event_schema(kind), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(golden(kind))


@KINDS
def test_a_field_of_a_later_version_is_ignored_from_us_and_refused_from_strangers(kind: EventType) -> None:
    later = {**golden(kind), "of_a_later_version": 1}

    if issubclass(kind.payload, Payload):
        assert json.loads(read(kind, later).model_dump_json()) == golden(kind)
    else:
        with pytest.raises(ValidationError):
            read(kind, later)


@KINDS
def test_what_a_later_version_of_our_services_adds_is_passed_over(kind: EventType) -> None:
    later = json.dumps({**golden(kind), "of_a_later_version": {"a": [1]}}).encode()
    envelope = Envelope("1", "/ihala/somebody", kind.type, datetime.now(UTC), "1")
    received = Received(envelope, RawRecord("t", 0, 0, b"1", later, ()))

    assert json.loads(received.payload(kind.payload).model_dump_json()) == golden(kind)


@pytest.mark.parametrize("name", READS)
def test_the_asyncapi_document_refers_only_to_what_it_holds(name: str) -> None:
    document = asyncapi_document(name)

    references = [text for text in references_of(document) if text.startswith(("#/components/", "#/channels/"))]
    assert references
    for reference in references:
        resolved(document, reference)


ENVELOPE = {
    "ce_specversion": b"1.0",
    "ce_id": b"01a20900-0000-7000-8000-000000000001",
    "ce_source": b"/ihala/referral",
    "ce_type": b"ihala.referral.sent.v1",
    "ce_time": b"2026-11-16T10:15:00Z",
    "ce_subject": b"01a20900-0000-7000-8000-000000000006",
    "ce_dataschema": b"urn:ihala:schema:ihala.referral.sent.v1",
    "ce_correlationid": b"01a20900-0000-7000-8000-000000000001",
    "ce_sequence": b"0000000002",
    "ce_traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
    "content-type": b"application/json",
}


def test_the_envelope_is_written_as_it_was_read() -> None:
    assert dict(Envelope.of(ENVELOPE.items()).headers()) == ENVELOPE


@pytest.mark.parametrize(
    "change",
    [
        {"ce_id": None},
        {"ce_id": b""},
        {"ce_id": b"x" * 256},
        {"ce_id": b"\xff\xfe"},
        {"ce_source": None},
        {"ce_type": b"with\nnewline"},
        {"ce_time": b"yesterday"},
        {"ce_time": b"2026-11-16T10:15:00"},
        {"ce_sequence": b"-1"},
        {"ce_sequence": "١".encode()},
        {"ce_specversion": b"0.3"},
    ],
    ids=str,
)
def test_headers_that_are_no_cloud_event_are_refused(change: dict[str, bytes | None]) -> None:
    with pytest.raises(MalformedEnvelope):
        Envelope.of({**ENVELOPE, **change}.items())


def test_the_headers_are_what_the_public_cloudevents_library_reads() -> None:
    message = KafkaMessage(headers=ENVELOPE, key=b"k", value=b'{"referral_id": "x"}')
    event = from_binary_event(message, JSONFormat())

    assert event.get_type() == "ihala.referral.sent.v1"
    assert event.get_source() == "/ihala/referral"
    assert event.get_extension("correlationid") == "01a20900-0000-7000-8000-000000000001"


def test_no_two_shapes_have_the_same_schema_name() -> None:
    names = [kind.dataschema for kind in (*EVENT_TYPES.values(), *COPIES)]

    assert len(set(names)) == len(names)
