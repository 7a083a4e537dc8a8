"""Refusals over HTTP: RFC 9457 ``application/problem+json`` with a stable ``type``, and never a received value."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ihala_runtime.failures import is_infrastructure
from ihala_runtime.logs import logger

T = TypeVar("T")

MAX_BODY_BYTES = 65_536
MAX_DEPTH = 32
RETRY_AFTER_SECONDS = 2
MAX_ERRORS = 50

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class FieldError:
    """``pointer``: RFC 6901, into the body. ``code``: stable. ``message``: for a person."""

    pointer: str
    code: str
    message: str


class Problem(Exception):
    """A refusal. ``slug`` becomes ``type``; ``members`` are added to the body."""

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.slug = slug
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def body(self) -> dict[str, Any]:
        detail = {"detail": self.detail} if self.detail else {}
        return {
            "type": f"urn:ihala:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            **detail,
            **self.members,
        }

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, self.headers, "application/problem+json")

    @classmethod
    def not_found(cls) -> "Problem":
        """Missing, or another's: the same answer."""
        return cls(404, "not-found", "There is no such thing here")

    @classmethod
    def forbidden(cls) -> "Problem":
        return cls(403, "forbidden", "This key may not do that")

    @classmethod
    def conflict(cls, slug: str, detail: str = "", **members: Any) -> "Problem":
        return cls(409, slug, "It conflicts with the present state", detail, **members)

    @classmethod
    def invalid(cls, errors: Iterable[FieldError]) -> "Problem":
        listed = [asdict(error) for error in errors][:MAX_ERRORS]
        return cls(422, "invalid-input", "Some fields are wrong", errors=listed)

    @classmethod
    def unavailable(cls) -> "Problem":
        return cls(
            503,
            "unavailable",
            "Please try again",
            "Nothing was stored.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )


_CODES = {
    "missing": ("required", "is required"),
    "extra_forbidden": ("unknown-field", "is not a field of this object"),
    "enum": ("unknown-code", "is not one of the allowed codes"),
    "literal_error": ("unknown-code", "is not one of the allowed values"),
    "value_error": ("not-allowed", "holds a value that is not allowed"),
    "string_too_long": ("too-long", "is too long"),
    "string_too_short": ("too-short", "is too short"),
    "too_long": ("too-many", "has too many items"),
    "too_short": ("too-few", "has too few items"),
    "string_pattern_mismatch": ("wrong-format", "does not have the required form"),
    "timezone_aware": ("no-offset", "needs a time zone offset"),
    "greater_than_equal": ("out-of-range", "is too small"),
    "less_than_equal": ("out-of-range", "is too large"),
    "string_unicode": ("not-unicode", "is not valid Unicode"),
}


def parse_body(adapter: TypeAdapter[T], raw: bytes) -> T:
    """The body as the adapter's type. Raises Problem: 400 when it is not JSON, 413 too large, 422 with pointers."""
    if len(raw) > MAX_BODY_BYTES:
        raise Problem(413, "too-large", "The body is too large", f"At most {MAX_BODY_BYTES} bytes.")
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        if any(each["type"] == "json_invalid" for each in details):
            if halves := _half_characters(raw):
                raise Problem.invalid(halves) from None
            raise Problem(400, "malformed-json", "The body is not valid JSON") from None
        raise Problem.invalid(field_errors(details)) from None
    except RecursionError:
        raise Problem(400, "malformed-json", "The body is nested too deeply") from None


def _half_characters(raw: bytes) -> list[FieldError]:
    """Where JSON holds a lone surrogate, which JSON allows and no text does; nothing where it is not even JSON."""
    try:
        return [FieldError(_pointer(at), *_CODES["string_unicode"]) for at in _unwritable(json.loads(raw))]
    except (ValueError, RecursionError):
        return []


def _unwritable(value: Any, at: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """The places of texts that no encoding can write; of an object whose name is one, the object's own."""
    if len(at) > MAX_DEPTH:
        return
    if isinstance(value, str) and not _is_writable(value):
        yield at
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unwritable(each, (*at, index))
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _unwritable(each, (*at, name)) if _is_writable(name) else (at,)


def _is_writable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def field_errors(details: Iterable[ErrorDetails]) -> list[FieldError]:
    """Validation errors as field errors: where, which rule; never the value."""
    return [error for detail in details for error in _field_errors(detail)]


def _field_errors(detail: ErrorDetails) -> list[FieldError]:
    if detail["type"] == "refused":
        return [FieldError(*each) for each in detail["ctx"]["refusals"]]
    kind = f"string_{detail['type']}" if _is_of_text(detail) else detail["type"]
    code, message = _CODES.get(kind, ("wrong-type", "has the wrong type"))
    if "-" in detail["type"] or detail["type"] == "duplicate":  # our own rules name themselves
        code, message = detail["type"], detail["msg"]
    return [FieldError(_pointer(detail["loc"]), code, message)]


def _is_of_text(detail: ErrorDetails) -> bool:
    """A length that is checked after a validator of ours is told as one of a list, of a "Value"."""
    return detail["type"] in ("too_long", "too_short") and detail["ctx"].get("field_type") == "Value"


def _pointer(location: Iterable[int | str]) -> str:
    parts = [str(part)[:80].replace("~", "~0").replace("/", "~1") for part in location if part != "[key]"]
    return "".join(f"/{part}" for part in parts)


async def problem_response(_request: Request, error: Exception) -> JSONResponse:
    """Exception handler: a Problem as it is, a dependency that is down as 503, anything else as a bare 500."""
    if isinstance(error, Problem):
        return error.response()
    if is_infrastructure(error):
        _log.warning("dependency down", action="http", error_class=type(error).__name__)
        return Problem.unavailable().response()
    _log.error("request failed", action="http", exc_info=error)
    return Problem(500, "internal", "Something went wrong here").response()
