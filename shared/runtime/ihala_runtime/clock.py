"""Time as a port. Deadlines read a ``Clock``; leases, retries and signatures keep real time.

The start-up check refuses stale time-zone tables: they answer +01 where Morocco has been at +00 since 2026-09-20.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that a test moves."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        self._now = now


class FileClock:
    """Stands still at the instant that ``path`` holds (``{"now": RFC 3339}``); a change is seen within 50 ms."""

    LOOK_AGAIN_SECONDS = 0.05

    def __init__(self, path: Path) -> None:
        self._path = path
        self._now = datetime.min.replace(tzinfo=UTC)
        self._looked_at = float("-inf")

    def now(self) -> datetime:
        if time.monotonic() - self._looked_at >= self.LOOK_AGAIN_SECONDS:
            self._now = max(self._now, self._read())
            self._looked_at = time.monotonic()
        return self._now

    def _read(self) -> datetime:
        return datetime.fromisoformat(json.loads(self._path.read_text())["now"]).astimezone(UTC)


class StaleTimeZoneData(RuntimeError):
    """The machine's time-zone tables are too old to compute a deadline."""


# Instants whose local time in Morocco tells fresh tables from stale ones (docs/decisions/0006-time.md).
_KNOWN_LOCAL_TIMES = {"2026-11-23T08:30": "08:30", "2026-07-01T12:00": "13:00", "2026-03-01T12:00": "12:00"}


def check_time_zone_data(zone: ZoneInfo) -> None:
    """Raises StaleTimeZoneData unless three known instants show the local time they had in Morocco."""
    for instant, expected in _KNOWN_LOCAL_TIMES.items():
        local = datetime.fromisoformat(instant).replace(tzinfo=UTC).astimezone(zone)
        if f"{local:%H:%M}" != expected:
            raise StaleTimeZoneData(
                f"{instant}Z reads {local:%H:%M} in {zone.key} instead of {expected}:"
                " install the tzdata package, 2026.6 or newer"
            )
