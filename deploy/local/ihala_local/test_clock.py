"""The test clock: one file that every service reads within 100 ms.

Rule: it goes forward only, and never in production: deadlines already computed stay true. Leases, retries and
signatures keep real time, so only what people wait for moves.
"""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ihala_local.failures import LocalFailure
from ihala_local.state import write_private

SPAN = re.compile(r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?")


class ClockRefused(LocalFailure):
    """The clock may not be set so."""


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant with its offset, as UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ClockRefused("an instant like 2026-11-16T10:15:00Z is expected") from None
    if instant.tzinfo is None:
        raise ClockRefused("the instant needs its offset, for example a Z at its end")
    return instant.astimezone(UTC)


def parse_span(text: str) -> timedelta:
    """`90s`, `15m`, `4h`, `2d`, or several in this order from large to small: `1d4h`."""
    match = SPAN.fullmatch(text)
    if not text or match is None:
        raise ClockRefused("a time span like 15m, 4h or 1d4h is expected")
    return timedelta(**{unit: int(amount) for unit, amount in match.groupdict(default="0").items()})


def read_clock(path: Path) -> datetime | None:
    """None when the system runs on real time."""
    try:
        return parse_instant(json.loads(path.read_text())["now"])
    except FileNotFoundError:
        return None


def set_clock(path: Path, instant: datetime) -> None:
    if os.environ.get("IHALA_MODE", "synthetic") == "production":
        raise ClockRefused("there is no test clock in production")
    present = read_clock(path)
    if present is not None and instant < present:
        raise ClockRefused(f"the clock goes forward only; it shows {as_text(present)}")
    write_private(path, {"now": as_text(instant)})


def advance_clock(path: Path, span: timedelta) -> datetime:
    """Answers the new instant. A system on real time begins its test clock at this instant."""
    instant = (read_clock(path) or datetime.now(UTC)) + span
    set_clock(path, instant)
    return instant


def as_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
