"""One record as a consumer sees it, decoded once; and how a record that cannot be decoded is told apart."""

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar

from aiokafka import ConsumerRecord
from ihala_events.catalogue import versionless
from ihala_events.envelope import Envelope, MalformedEnvelope
from pydantic import BaseModel, TypeAdapter, ValidationError

from ihala_runtime.failures import InvalidMessage
from ihala_runtime.unreadable import UNREADABLE

M = TypeVar("M", bound=BaseModel)

OURS = "/ihala/"
"""How the sources of our own services begin; a party's topic takes no such source (`entrypoints/parties.py`)."""

RawHeaders = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RawRecord:
    """What Kafka gave, or what was parked of it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: RawHeaders

    @classmethod
    def of(cls, record: "ConsumerRecord[bytes, bytes]") -> "RawRecord":
        return cls(record.topic, record.partition, record.offset, record.key, record.value, tuple(record.headers))


@dataclass(frozen=True, slots=True)
class Received:
    """A CloudEvent with its value still as bytes. ``key`` is the Kafka key, ``id`` what the inbox knows it by."""

    envelope: Envelope
    raw: RawRecord

    @property
    def id(self) -> tuple[str, str]:
        return self.envelope.source, self.envelope.id

    @property
    def type(self) -> str:
        """With its version, also where the sender left it out."""
        return versionless(self.envelope.type)

    @property
    def key(self) -> bytes | None:
        return self.raw.key

    @property
    def topic(self) -> str:
        return self.raw.topic

    def payload(self, model: "builtins.type[M]") -> M:
        """The value as ``model``. Raises InvalidMessage naming the wrong fields, never a value.

        Our own services may be of a later version: a field that is not known here yet is passed over.
        """
        extra: Literal["ignore"] | None = "ignore" if self.envelope.source.startswith(OURS) else None
        try:
            value: M = _adapter(model).validate_json(self.raw.value or b"", extra=extra)
            return value
        except ValidationError as error:
            fields = sorted({_pointer(model, item["loc"]) for item in error.errors(include_input=False)})
            raise InvalidMessage("schema-error", f"{self.type}: {', '.join(fields)[:400]}") from None


@cache
def _adapter(model: "builtins.type[M]") -> TypeAdapter[M]:
    return TypeAdapter(model)


def _pointer(model: "builtins.type[M]", location: Sequence[int | str]) -> str:
    """A name that is not ours may hold anything, and is not repeated."""
    known = _names(model)
    return "".join(f"/{part}" if isinstance(part, int) or part in known else "/*" for part in location) or "/"


@cache
def _names(model: "builtins.type[M]") -> frozenset[str]:
    """Every name that the model's schema gives a field."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for part in parts for name in part.get("properties", ()))


def decode(raw: RawRecord) -> Received:
    """Raises InvalidMessage when the headers are not a CloudEvent."""
    try:
        return Received(Envelope.of(raw.headers), raw)
    except MalformedEnvelope as error:
        if raw.headers == UNREADABLE:
            raise InvalidMessage("unreadable", "what Kafka brought could not be unpacked or read") from None
        raise InvalidMessage("malformed-envelope", str(error)) from None
