"""What was released of every event stays readable, both ways: by us of an earlier release, and by it of us.

`released/` holds the schemas as `./ihala contracts export` writes them. A change that is meant is written down there
(CONTRIBUTING.md); one that is not fails here with the name of its event and of the field.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ihala_events.catalogue import COPIES, EVENT_TYPES, SENT, EventType
from ihala_events.json_schema import event_schema, event_schemas
from ihala_events.wire import Payload
from support.schema_changes import Change

RELEASED = Path(__file__).parent / "released"
EVERY = {kind.schema_name: kind for kind in (*EVENT_TYPES.values(), *COPIES)}
KINDS = pytest.mark.parametrize("kind", EVERY.values(), ids=list(EVERY))
OURS = {name: kind for name, kind in EVERY.items() if issubclass(kind.payload, Payload)}


def released(kind: EventType) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((RELEASED / f"{kind.schema_name}.json").read_text(encoding="utf-8"))
    return schema


def test_every_event_has_a_released_schema_and_none_is_of_an_event_that_is_gone() -> None:
    assert {file.stem for file in RELEASED.glob("*.json")} == {*event_schemas()}


@KINDS
def test_what_an_earlier_release_wrote_is_read_now(kind: EventType) -> None:
    assert Change(released(kind), event_schema(kind)).refused() == []


@pytest.mark.parametrize("kind", OURS.values(), ids=list(OURS))
def test_what_is_written_now_is_read_by_an_earlier_release(kind: EventType) -> None:
    assert Change(event_schema(kind), released(kind), passes_over=True).refused() == []


Edit = Callable[[dict[str, Any]], object]
EDITS: dict[str, tuple[Edit, list[str], list[str]]] = {
    # what is done to the schema of `sent`; what is then not read of before; what is then not read by before
    "a field made required": (
        lambda schema: schema["required"].append("sent_at"),
        ["/sent_at is required"],
        [],
    ),
    "a field not given any more": (
        lambda schema: schema["required"].remove("case_ref"),
        [],
        ["/case_ref is required"],
    ),
    "a field removed": (
        lambda schema: (schema["required"].remove("urgency"), schema["properties"].pop("urgency")),
        ["/urgency is gone"],
        ["/urgency is required"],
    ),
    "a field added": (
        lambda schema: schema["properties"].update(mood={"type": "string"}),
        [],
        [],
    ),
    "a code removed": (
        lambda schema: schema["$defs"]["Urgency"]["enum"].remove("U4"),
        ["/urgency refuses U4"],
        [],
    ),
    "a code added": (
        lambda schema: schema["$defs"]["Channel"]["enum"].append("FAX"),
        [],
        ["/notify_person/channel refuses FAX"],
    ),
    "another type": (
        lambda schema: schema["properties"].update(attempt_no={"type": "string"}),
        ["/attempt_no is of type string, was integer"],
        ["/attempt_no is of type integer, was string"],
    ),
    "no null any more": (
        lambda schema: schema["properties"].update(partner_id=schema["properties"]["partner_id"]["anyOf"][0]),
        ["/partner_id is of type string, was null"],
        [],
    ),
    "a pattern": (
        lambda schema: schema["properties"]["rule_id"].update(pattern="^R"),
        ["/rule_id has the pattern ^R"],
        [],
    ),
    "a bound": (
        lambda schema: schema["properties"]["flags"].update(maxItems=3),
        ["/flags has the maxItems 3"],
        [],
    ),
    "an item's type": (
        lambda schema: schema["properties"]["flags"].update(items={"type": "integer"}),
        ["/flags[] is of type integer, was string"],
        ["/flags[] is of type string, was integer"],
    ),
}


@pytest.mark.parametrize(("edit", "of_before", "by_before"), EDITS.values(), ids=list(EDITS))
def test_a_change_is_told_by_its_field(edit: Edit, of_before: list[str], by_before: list[str]) -> None:
    before, after = event_schema(SENT), copy.deepcopy(event_schema(SENT))
    edit(after)

    assert Change(before, after).refused() == of_before
    assert Change(after, before, passes_over=True).refused() == by_before
