"""The subject file as a page in the person's language: it stands alone, no other host is asked for anything.

Rule: every value passes through ``escape``, here and nowhere else: rows are texts until they become HTML.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import Enum
from html import escape
from typing import Any

from ihala_events.intake import ConsentScope, IntakeRequest, NeedRequest, SafeContact
from ihala_events.vocabulary import TIME_ZONE

from ihala_intake.domain.labels import Labels
from ihala_intake.domain.subject_file import HeldConsent, SubjectFile

Row = tuple[str, str]

_STYLE = (
    "body{font-family:sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;line-height:1.5}"
    "table{border-collapse:collapse;width:100%;margin-block-end:1rem}"
    "th,td{border:1px solid #999;padding:.3rem .6rem;text-align:start;vertical-align:top}th{width:35%}"
    "html[dir=rtl] td{text-align:right}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_page(file: SubjectFile, labels: Labels) -> str:
    direction = "rtl" if labels.language == "ar" else "ltr"
    title = escape(labels.text("title"))
    return (
        f'<!doctype html><html lang="{labels.language}" dir="{direction}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1>{_sections(file, labels)}</body></html>"
    )


def _sections(file: SubjectFile, labels: Labels) -> str:
    parts = [_table(_head(file, labels))]
    parts += _held(file, labels)
    parts += [_heading(labels.text("purposes")), _paragraph(labels.text("purpose"))]
    parts += [_heading(labels.text("kept")), _paragraph(_retention(file, labels))]
    parts += [_heading(labels.text("bases")), *(_table(_consent(each, labels)) for each in file.consents)]
    parts += [_heading(labels.text("receivers")), _list(_receivers(file, labels), labels)]
    parts += [_heading(labels.text("readings")), _list(_readings(file, labels), labels)]
    parts += [_heading(labels.text("rights_title")), _paragraph(labels.text("rights"))]
    return "".join(parts)


def _head(file: SubjectFile, labels: Labels) -> list[Row]:
    rows = [
        (labels.text("case_ref"), file.case_ref),
        (labels.text("desk"), file.desk_id),
        (labels.text("received_at"), _local(file.received_at)),
        (labels.text("made_at"), _local(file.made_at)),
    ]
    return rows if file.erased_at is None else [*rows, (labels.text("erased_at"), _local(file.erased_at))]


def _held(file: SubjectFile, labels: Labels) -> list[str]:
    if file.intake is None:
        return [_heading(labels.text("held")), _paragraph(labels.text("erased"))]
    needs = [_table(_need(need, labels)) for need in file.intake.needs]
    return [_heading(labels.text("held")), _table(_person(file.intake, labels)), _heading(labels.text("needs")), *needs]


def _person(intake: IntakeRequest, labels: Labels) -> list[Row]:
    held: list[tuple[str, object]] = [
        ("names", [name.value for name in intake.names or []]),
        ("phone", intake.phone),
        ("age_band", intake.age_band.value),
        ("birth_year", intake.birth_year),
        ("birth_precision", intake.birth_precision),
        ("sex", intake.sex),
        ("commune_code", labels.commune(intake.commune_code)),
        ("languages", [f"{each.tag} ({labels.code('LanguageLevel', each.level)})" for each in intake.languages]),
        ("interpreter_needed", intake.interpreter_needed),
        ("country", intake.country),
        ("status_code", intake.status_code),
        ("docs_seen", intake.docs_seen),
        ("vulnerabilities", intake.vulnerabilities),
        ("household", [f"{m.case_ref} ({labels.code('Relation', m.relation)})" for m in intake.household or []]),
        *_contact(intake.safe_contact),
        ("staff", intake.staff),
    ]
    return _rows(held, labels)


def _contact(contact: SafeContact) -> list[tuple[str, object]]:
    return [
        ("safe_contact", contact.channel),
        ("contact_language", contact.language),
        ("contact_hours", contact.hours),
        ("phone_shared", contact.phone_shared),
        ("voicemail_ok", contact.voicemail_ok),
    ]


def _need(need: NeedRequest, labels: Labels) -> list[Row]:
    facts: dict[str, Any] = dict(need.facts) if need.facts else {}
    if facts.get("birth_commune_code"):
        facts["birth_commune_code"] = labels.commune(facts["birth_commune_code"])
    held = [("urgency", need.urgency), ("urgency_reason", need.urgency_reason), *facts.items(), ("note", need.note)]
    return [(labels.text("need"), labels.need(need.need_code)), *_rows(held, labels)]


def _rows(held: Iterable[tuple[str, object]], labels: Labels) -> list[Row]:
    return [(labels.text(key), _said(value, labels)) for key, value in held if value not in (None, [])]


def _said(value: object, labels: Labels) -> str:
    """A value in words: codes by their label, lists by commas."""
    match value:
        case bool():
            return labels.yes_or_no(value)
        case Enum():
            return labels.code(type(value).__name__, str(value.value))
        case list():
            return (
                "، ".join(_said(each, labels) for each in value)
                if labels.language == "ar"
                else ", ".join(_said(each, labels) for each in value)
            )
        case datetime():
            return _local(value)
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _retention(file: SubjectFile, labels: Labels) -> str:
    days = {"pseudonymise": file.pseudonymise_after.days, "delete": file.delete_after.days}
    return labels.text("retention").format(**days)


def _consent(consent: HeldConsent, labels: Labels) -> list[Row]:
    held: list[tuple[str, object]] = [
        ("basis", consent.basis),
        ("mode", consent.mode),
        ("text_version", consent.text_version),
        ("recorded_at", consent.recorded_at),
        ("withdrawn_at", consent.withdrawn_at),
        ("withdrawn_needs", [labels.need(code) for code in consent.withdrawn_needs]),
    ]
    return [*_rows(held, labels), *((labels.text("scope"), _scope(entry, labels)) for entry in consent.scope)]


def _scope(entry: ConsentScope, labels: Labels) -> str:
    receivers = [*(labels.code("PartnerType", each) for each in entry.partner_types), *entry.partner_ids]
    return f"{labels.need(entry.need_code)}: {_said(receivers, labels)}"


def _receivers(file: SubjectFile, labels: Labels) -> list[Row]:
    return [
        (labels.need(each.need_code), _agency(each.partner_id, each.partner_type, labels)) for each in file.receivers
    ]


def _agency(partner_id: str | None, partner_type: str | None, labels: Labels) -> str:
    if partner_id is None:
        return labels.text("nobody")
    return f"{partner_id} ({labels.code('PartnerType', partner_type or '')})"


def _readings(file: SubjectFile, labels: Labels) -> list[Row]:
    return [
        (_local(each.at), f"{_actor(each.actor, labels)}: {labels.code('Action', each.action)}")
        for each in file.readings
    ]


def _actor(actor: str, labels: Labels) -> str:
    """``partner:essp-one`` reads "agency essp-one"."""
    role, _, name = actor.partition(":")
    return f"{labels.code('Role', role)} {name}".strip()


def _local(at: datetime) -> str:
    return at.astimezone(TIME_ZONE).strftime("%Y-%m-%d %H:%M")


def _heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _list(rows: Sequence[Row], labels: Labels) -> str:
    return _table(rows) if rows else _paragraph(labels.text("nothing"))


def _table(rows: Iterable[Row]) -> str:
    """Names and values keep their own direction on a page of the other one."""
    cells = (f'<tr><th>{escape(name)}</th><td dir="auto">{escape(value)}</td></tr>' for name, value in rows)
    return f"<table>{''.join(cells)}</table>"
