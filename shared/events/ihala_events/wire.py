"""Base shapes of everything that crosses a wire.

What a stranger sends (``Request``) is strict: an unknown field or a wrong type is refused. What our own
services send each other (``Payload``) may gain fields: a reader ignores those it does not know.
"""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

FIRST_YEAR, LAST_YEAR = 1900, 2200  # beyond them no calendar reaches, and arithmetic with days overflows


def _to_utc(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise PydanticCustomError("out-of-range", "is no instant that can be meant")
    return value.astimezone(UTC)


def rfc3339(value: datetime) -> str:
    """An instant as RFC 3339 in UTC, without needless fractions."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""An aware instant; kept in UTC from the moment it is checked, and so written as RFC 3339 with a Z."""


CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _printable(value: str) -> str:
    if not value.strip():
        raise ValueError("blank")
    if CONTROL.search(value):
        raise ValueError("control character")
    return value


Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_printable)]
"""Text that is not blank, without control characters, NUL among them."""


class Request(BaseModel):
    """A body from outside: strict types, no unknown field, values never shown in an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Payload(BaseModel):
    """The value of an event: fields may be added in a minor version, never renamed or removed."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)
