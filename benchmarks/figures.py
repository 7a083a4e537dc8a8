"""A figure and what it is worth: found, a bound of what could not be reached, or void.

Rule: what is void is neither reached nor missed, and a bound decides on its own side alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Bound(StrEnum):
    """EXACT: as found.  UNKNOWN: the truth may lie on either side."""

    EXACT = ""
    AT_LEAST = "at least"
    AT_MOST = "at most"
    UNKNOWN = "about"

    @property
    def turned(self) -> "Bound":
        """Of one divided by it."""
        return {Bound.AT_LEAST: Bound.AT_MOST, Bound.AT_MOST: Bound.AT_LEAST}.get(self, self)

    def beside(self, other: "Bound") -> "Bound":
        """Of a sum or product with the other."""
        if other in (self, Bound.EXACT):
            return self
        return other if self is Bound.EXACT else Bound.UNKNOWN


@dataclass(frozen=True, slots=True)
class Figure:
    """void: why it does not count; empty when it does."""

    value: float
    void: str = ""
    bound: Bound = Bound.EXACT

    def __str__(self) -> str:
        """What was found, void or not; empty where it is void and nothing was."""
        if self.void and not self.value:
            return ""
        digits = ".0f" if abs(self.value) >= 1000 else ".3g"
        return f"{self.bound} {self.value:{digits}}".strip()

    def over(self, other: "Figure") -> "Figure":
        """The ratio; void when one is, or when there is nothing to compare with."""
        if not other.value:
            return Figure(0.0, self.void or other.void or "nothing to compare with")
        return Figure(self.value / other.value, self.void or other.void, self.bound.beside(other.bound.turned))


def mean(figures: Sequence[Figure]) -> Figure:
    """Void when one is; of none at all too."""
    if not figures:
        return Figure(0.0, "not found")
    bound = Bound.EXACT
    for each in figures:
        bound = bound.beside(each.bound)
    void = next((each.void for each in figures if each.void), "")
    return Figure(sum(each.value for each in figures) / len(figures), void, bound)


def verdict(figure: Figure, limit: float, *, least: bool) -> str:
    """Reached, missed by how much, void and why, or open where a bound says nothing.  least: no less than the limit."""
    if figure.void:
        return f"void: {figure.void}"
    reached = figure.value >= limit if least else figure.value <= limit
    decisive = Bound.AT_LEAST if least == reached else Bound.AT_MOST
    if figure.bound not in (Bound.EXACT, decisive):
        return f"open: it is {figure.bound} so much"
    if reached:
        return "reached"
    return f"missed: {figure.value / limit:.2g} of it" if limit else "missed"
