"""`ihala contracts export`: the contracts of this version as files, from the code, without a running system.

OpenAPI of each service, AsyncAPI of each service and of an outside party, a JSON Schema for each event type, and
the catalogue of events and the states of a referral in Markdown. Rule: what is written here is what the running
services serve.
"""

import importlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ihala_events.asyncapi import READS, asyncapi_document
from ihala_events.catalogue import EVENT_TYPES, EventType
from ihala_events.json_schema import event_schemas
from ihala_events.topics import Topic
from ihala_events.vocabulary import ReferralState
from ihala_referral.domain import transitions
from ihala_runtime.service import build_app

from ihala_local.stack import SERVICES


def export(folder: Path) -> list[Path]:
    """Write every contract below the folder; the files written."""
    documents = {f"openapi/{service}.json": openapi_document(service) for service in SERVICES}
    documents |= {f"asyncapi/{name}.json": asyncapi_document(name) for name in READS}
    documents |= {f"schemas/{name}.json": schema for name, schema in event_schemas().items()}
    written = [_write(folder / name, _as_json(document)) for name, document in documents.items()]
    pages = {"event-catalogue.md": event_catalogue(), "referral-states.md": referral_states()}
    return [*written, *(_write(folder / name, page) for name, page in pages.items())]


def openapi_document(service: str) -> dict[str, Any]:
    """As the service serves it; nothing is connected for it."""
    settings_module = importlib.import_module(f"ihala_{service}.settings")
    settings_class = getattr(settings_module, f"{service.capitalize()}Settings")
    bootstrap = importlib.import_module(f"ihala_{service}.bootstrap").bootstrap
    with tempfile.TemporaryDirectory() as folder:
        addresses = {"postgres_dsn": "postgresql://", "keys_dsn": "postgresql://", "kafka_bootstrap": "127.0.0.1:9092"}
        settings = settings_class(**addresses, kek_file=Path(folder) / "kek", clock_file=None)
        document: dict[str, Any] = build_app(bootstrap(settings)).openapi()
    return document


def event_catalogue() -> str:
    """Every topic with its events, in Markdown."""
    topics = dict.fromkeys(kind.topic.name for kind in EVENT_TYPES.values())
    sections = [_section([kind for kind in EVENT_TYPES.values() if kind.topic.name == name]) for name in topics]
    return "\n".join(["# Event catalogue", "", _INTRODUCTION, "", *sections])


_INTRODUCTION = """Made from the code by `./ihala contracts export`; do not edit. Every event is a CloudEvent 1.0 in
Kafka's binary mode: attributes are `ce_` headers, the value is JSON. The schema of each type is what
`./ihala contracts export` writes to `schemas/`. Topics inside the system carry pseudonymous cases and are read by the
services alone; a party reads and writes only its own two topics."""


def referral_states() -> str:
    """The states of a referral and the moves between them, in Markdown."""
    rows = [f"| `{move}` | {_edges(edges)} |" for move, edges in transitions.TRANSITIONS.items()]
    table = ["| move | from → to |", "|---|---|", *rows]
    drawn = ["```mermaid", transitions.diagram(), "```"]
    return "\n".join(["# States of a referral", "", _STATES_INTRODUCTION, "", *drawn, "", *table, ""])


_STATES_INTRODUCTION = """Made from the table of moves by `./ihala contracts export`; do not edit. The diagram
leaves out what keeps state and agency; in the table, `kept` keeps the state. What is not in the table is refused with
409. A move that asks another agency leads to `sent`; the choice may instead end in `waitlisted` (the agency is full)
or `proposed` (only agencies outside the consent are left)."""


def _edges(edges: Mapping[ReferralState, ReferralState]) -> str:
    """States that lead to one other together; those that are kept, together."""
    sources: dict[str, list[str]] = {}
    for source, target in edges.items():
        sources.setdefault("kept" if source is target else f"`{target}`", []).append(f"`{source}`")
    return "; ".join(f"{', '.join(found)} → {target}" for target, found in sources.items())


def _section(kinds: list[EventType]) -> str:
    topic = kinds[0].topic
    rows = [f"| `{kind.type}` | {kind.means} | {', '.join(_fields(kind))} |" for kind in kinds]
    table = ["| type | means | fields |", "|---|---|---|", *rows]
    return "\n".join([f"## {topic.name}", "", _described(topic), "", *table, ""])


def _described(topic: Topic) -> str:
    kept = "compacted" if "compact" in topic.config.get("cleanup.policy", "") else "kept 6 days"
    partitions = "1 partition" if topic.partitions == 1 else f"{topic.partitions} partitions"
    return f"{topic.description} Key: {topic.key}; {partitions}; {kept}."


def _fields(kind: EventType) -> Iterable[str]:
    return (f"`{name}`" for name in kind.payload.model_fields)


def _as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def _write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
