"""Free places: what an agency last published, less one for each referral sent to it since.

A place that no agency published is unknown: not counted, never full.  The book belongs to one transaction; what
changed in it is written when that ends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from ihala_referral.domain.directory import Link


class Published(NamedTuple):
    """free: places left.  published_at: what was sent before it is not counted."""

    free: int
    published_at: datetime


@dataclass(slots=True)
class PlaceBook(Mapping[tuple[str, str], int]):
    """Free places by `Link.counted_as`.  changed: those taken or given back here."""

    published: dict[tuple[str, str], Published] = field(default_factory=dict)
    changed: dict[tuple[str, str], int] = field(default_factory=dict)

    def __getitem__(self, key: tuple[str, str]) -> int:
        return self.published[key].free

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.published)

    def __len__(self) -> int:
        return len(self.published)

    def take(self, link: Link) -> bool:
        """One place less; False where none is counted or none is left."""
        known = self.published.get(link.counted_as)
        taken = known is not None and known.free > 0
        if taken:
            self._change(link, -1)
        return taken

    def give_back(self, link: Link, taken_at: datetime) -> None:
        """One place more, unless the agency published a new number since it was taken."""
        known = self.published.get(link.counted_as)
        if known is not None and taken_at >= known.published_at:
            self._change(link, +1)

    def _change(self, link: Link, by: int) -> None:
        key = link.counted_as
        known = self.published[key]
        self.published[key] = known._replace(free=known.free + by)
        self.changed[key] = self.changed.get(key, 0) + by
