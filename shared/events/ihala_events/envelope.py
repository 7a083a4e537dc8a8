"""CloudEvents 1.0 in Kafka's binary mode: attributes as ``ce_`` headers, the value untouched.

``ce_traceparent`` is where the journey began and never changes; ``traceparent`` is the hop's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from ihala_events.wire import rfc3339

Headers = list[tuple[str, bytes]]

MAX_SEQUENCE_DIGITS = 18  # what a database holds as a number
MAX_TEXT = 255


class MalformedEnvelope(ValueError):
    """A record whose headers are not a CloudEvent; the text names the attribute, never its value."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """``sequence``: the aggregate's counter, on case and referral events. ``correlation_id``: the case.

    ``again``: why an event is published once more: ``replay``, ``rebuild`` or ``unanswered``.
    """

    id: str
    source: str
    type: str
    time: datetime
    subject: str | None = None
    dataschema: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    sequence: int | None = None
    journey: str | None = None
    traceparent: str | None = None
    again: str | None = None

    def headers(self) -> Headers:
        return [(name, text.encode()) for name, text in self.texts().items()]

    def texts(self) -> dict[str, str]:
        """The headers as text: what an event log keeps of them."""
        texts = [
            ("ce_specversion", "1.0"),
            ("ce_id", self.id),
            ("ce_source", self.source),
            ("ce_type", self.type),
            ("ce_time", rfc3339(self.time)),
            ("ce_subject", self.subject),
            ("ce_dataschema", self.dataschema),
            ("ce_correlationid", self.correlation_id),
            ("ce_causationid", self.causation_id),
            ("ce_sequence", None if self.sequence is None else f"{self.sequence:010d}"),
            ("ce_traceparent", self.journey),
            ("ce_again", self.again),
            ("traceparent", self.traceparent),
            ("content-type", "application/json"),
        ]
        return {name: text for name, text in texts if text is not None}

    @classmethod
    def of(cls, headers: Iterable[tuple[str, bytes | None]]) -> Self:
        """Read the attributes. Raises MalformedEnvelope when one is missing or unreadable."""
        texts = _texts(headers)
        if texts.get("ce_specversion", "1.0") != "1.0":
            raise MalformedEnvelope("ce_specversion is not 1.0")
        return cls(
            id=_required(texts, "ce_id"),
            source=_required(texts, "ce_source"),
            type=_required(texts, "ce_type"),
            time=_instant(texts.get("ce_time")),
            subject=_optional(texts, "ce_subject"),
            dataschema=_optional(texts, "ce_dataschema"),
            correlation_id=_optional(texts, "ce_correlationid"),
            causation_id=_optional(texts, "ce_causationid"),
            sequence=_sequence(texts.get("ce_sequence")),
            journey=_optional(texts, "ce_traceparent"),
            traceparent=_optional(texts, "traceparent"),
            again=_optional(texts, "ce_again"),
        )


def _texts(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in headers:
        if name.startswith("ce_") or name == "traceparent":
            try:
                texts[name] = (value or b"").decode()
            except UnicodeDecodeError:
                raise MalformedEnvelope(f"{name} is not UTF-8") from None
    return texts


def _required(texts: dict[str, str], name: str) -> str:
    value = _optional(texts, name)
    if not value:
        raise MalformedEnvelope(f"{name} is missing")
    return value


def _optional(texts: dict[str, str], name: str) -> str | None:
    value = texts.get(name)
    if value is not None and (len(value) > MAX_TEXT or not value.isprintable()):
        raise MalformedEnvelope(f"{name} is too long or not printable")
    return value


def _instant(text: str | None) -> datetime:
    try:
        parsed = datetime.fromisoformat(text or "")
        in_utc = parsed.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last day, elsewhere
        raise MalformedEnvelope("ce_time is not an RFC 3339 instant") from None
    if parsed.tzinfo is None:
        raise MalformedEnvelope("ce_time has no offset")
    return in_utc


def _sequence(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MAX_SEQUENCE_DIGITS:
        raise MalformedEnvelope("ce_sequence is not a number, or too large")
    return int(text)
