"""The exported contracts: complete, resolvable, and the committed catalogue of events is the code's."""

import json
from pathlib import Path

from ihala_events.catalogue import COPIED_TO_AGENCY, EVENT_TYPES
from ihala_local.contracts import event_catalogue, export, referral_states
from support.references import references_of, resolved

ROOT = Path(__file__).parents[3]


def test_the_committed_event_catalogue_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "event-catalogue.md").read_text(encoding="utf-8") == event_catalogue(), (
        "run: ./ihala contracts export DIR, and copy event-catalogue.md to docs/"
    )


def test_the_committed_states_of_a_referral_are_what_the_table_says() -> None:
    assert (ROOT / "docs" / "referral-states.md").read_text(encoding="utf-8") == referral_states(), (
        "run: ./ihala contracts export DIR, and copy referral-states.md to docs/"
    )


def test_the_export_holds_every_service_and_every_event_type_and_every_reference_resolves(tmp_path: Path) -> None:
    written = export(tmp_path)

    names = {str(file.relative_to(tmp_path)) for file in written}
    assert {f"openapi/{service}.json" for service in ("intake", "referral", "notification")} <= names
    assert {f"asyncapi/{name}.json" for name in ("intake", "referral", "notification", "party")} <= names
    assert {f"schemas/{name}.json" for name in EVENT_TYPES} <= names
    assert {f"schemas/{kind.type}.copy.json" for kind in COPIED_TO_AGENCY} <= names
    for file in tmp_path.glob("openapi/*.json"):
        document = json.loads(file.read_text(encoding="utf-8"))
        for reference in references_of(document):
            resolved(document, reference)
