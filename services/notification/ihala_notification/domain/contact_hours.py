"""The hours in which a person may be reached, as a desk wrote them: `18-20`, `9h-12h30, 18:00-20:00`.

Rule: what cannot be read is not guessed; a human reads it then.  Local time of the territory.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from ihala_events.vocabulary import TIME_ZONE

_MOMENT = r"(\d{1,2})(?:[:hH](\d{2})?)?"
_SPAN = re.compile(rf"\s*{_MOMENT}\s*[-–]\s*{_MOMENT}\s*")


@dataclass(frozen=True, slots=True)
class ContactHours:
    """Of every day; no spans: any time."""

    spans: tuple[tuple[time, time], ...] = ()

    def opening(self, now: datetime) -> datetime:
        """The first instant from now on that lies within them; now itself if it does."""
        return next(self._openings(now)) if self.spans else now

    def _openings(self, now: datetime) -> Iterator[datetime]:
        today = now.astimezone(TIME_ZONE).date()
        for day in (today, today + timedelta(days=1), today + timedelta(days=2)):
            for opens, closes in self.spans:
                if now < datetime.combine(day, closes, TIME_ZONE):
                    yield max(now, datetime.combine(day, opens, TIME_ZONE).astimezone(now.tzinfo))

    def __str__(self) -> str:
        return ", ".join(f"{opens:%H:%M}-{closes:%H:%M}" for opens, closes in self.spans)


def hours_in(text: str | None) -> ContactHours | None:
    """None: somebody wrote something that is no hours.  No text: any time."""
    if text is None:
        return ContactHours()
    spans = [_span(part) for part in re.split(r"[,;/]", text)]
    read = tuple(sorted(span for span in spans if span is not None))
    return ContactHours(read) if len(read) == len(spans) else None


def _span(text: str) -> tuple[time, time] | None:
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    from_hour, from_minute, to_hour, to_minute = (int(part or 0) for part in found.groups())
    if max(from_hour, to_hour) > 23 or max(from_minute, to_minute) > 59:
        return None
    opens, closes = time(from_hour, from_minute), time(to_hour, to_minute)
    return (opens, closes) if opens < closes else None
