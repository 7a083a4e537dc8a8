"""Small numbers in a published table: what is hidden, and what must be hidden with it.

Rule: a reader who knows every published number and the limits below must not be able to work out a hidden one.
A table is a network: each number is an arc, each sum a node that lets as much out as comes in.  A hidden number is
safe when it lies on a circle of hidden numbers that can all move by one; that is exact, not a rule of thumb.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

Key = tuple[str | None, ...]
"""A line of a table: a value for each dimension, None for the sum over it."""

SMALLEST_SHOWN = 5
SMALLEST_SHOWN_RESTRICTED = 10
SMALLEST_DENOMINATOR = 20

WITHHELD = "x"
"""Hidden so that a small number beside it cannot be worked out."""

Shown = int | str
"""A number; ``<5`` (``<10`` for a restricted need) for a small one; ``x``."""


class Node(StrEnum):
    """Where the sums of a whole table meet."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of a table, drawn from the sum `tail` to the sum `head`."""

    key: Key
    count: int
    tail: str
    head: str

    @property
    def is_whole(self) -> bool:
        """The sum of the whole table, which stands in every table of its period and is never hidden for another."""
        return set(self.key) <= {None}


def flat(counts: Mapping[str, int]) -> list[Cell]:
    """One dimension, and the sum."""
    cells = [Cell((value,), count, Node.LEFT, Node.RIGHT) for value, count in counts.items()]
    return [*cells, Cell((None,), sum(counts.values()), Node.RIGHT, Node.LEFT)]


def crossed(counts: Mapping[tuple[str, str], int]) -> list[Cell]:
    """Two dimensions, the sums of rows and columns, and the sum of all."""
    columns = _sums(counts, 1)
    cells = [Cell(key, count, f"column:{key[1]}", f"row:{key[0]}") for key, count in counts.items()]
    cells += [Cell((None, name), count, Node.LEFT, f"column:{name}") for name, count in columns.items()]
    return cells + _rows(counts)


def nested(counts: Mapping[tuple[str, str], int]) -> list[Cell]:
    """Groups and their members, the sums of the groups, and the sum of all."""
    return [Cell(key, count, Node.LEFT, f"row:{key[0]}") for key, count in counts.items()] + _rows(counts)


def _rows(counts: Mapping[tuple[str, str], int]) -> list[Cell]:
    sums = [Cell((name, None), count, f"row:{name}", Node.RIGHT) for name, count in _sums(counts, 0).items()]
    return [*sums, Cell((None, None), sum(counts.values()), Node.RIGHT, Node.LEFT)]


def _sums(counts: Mapping[tuple[str, str], int], dimension: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for key, count in counts.items():
        sums[key[dimension]] = sums.get(key[dimension], 0) + count
    return sums


def suppressed(cells: Sequence[Cell], smallest: int = SMALLEST_SHOWN, *, restricted: bool = False) -> dict[Key, Shown]:
    """What may be published of a table.  restricted: everybody in one cell tells as much as a small number."""
    if restricted and sum(cell.count > 0 for cell in _parts(cells)) == 1 < len(_parts(cells)):
        return _whole_alone(cells, smallest)
    small = {cell.key for cell in cells if 0 < cell.count < smallest}
    beside: set[Key] = set()
    while exposed := _exposed(cells, small, beside, smallest):
        another = _next_to_hide(exposed, cells, small | beside)
        if another is None:
            return _whole_alone(cells, smallest)
        beside.add(another.key)
    return {cell.key: _shown(cell, small, beside, smallest) for cell in cells}


def rate(numerator: float, denominator: int, *, known: bool) -> float | None:
    """None where too few stand behind it, or where their number itself is hidden."""
    return round(numerator / denominator, 2) if known and denominator >= SMALLEST_DENOMINATOR else None


def _parts(cells: Sequence[Cell]) -> list[Cell]:
    """Without the sums."""
    return [cell for cell in cells if None not in cell.key]


def _shown(cell: Cell, small: set[Key], beside: set[Key], smallest: int) -> Shown:
    if cell.key in small:
        return f"<{smallest}"
    return WITHHELD if cell.key in beside else cell.count


def _whole_alone(cells: Sequence[Cell], smallest: int) -> dict[Key, Shown]:
    """Nothing but the sum of all; itself only when it is not small."""
    return {
        cell.key: (f"<{smallest}" if 0 < cell.count < smallest else cell.count) if cell.is_whole else WITHHELD
        for cell in cells
    }


def _next_to_hide(exposed: Cell, cells: Iterable[Cell], hidden: set[Key]) -> Cell | None:
    """The smallest published number in one of the sums of the exposed one."""
    ends = {exposed.tail, exposed.head}
    published = [cell for cell in cells if cell.key not in hidden and cell.count > 0 and not cell.is_whole]
    beside = [cell for cell in published if not ends.isdisjoint((cell.tail, cell.head))]
    return min(beside, key=lambda cell: (None in cell.key, cell.count, str(cell.key)), default=None)


def _exposed(cells: Sequence[Cell], small: set[Key], beside: set[Key], smallest: int) -> Cell | None:
    """A hidden number that has one possible value alone."""
    limits = dict.fromkeys(small, (1, smallest - 1)) | dict.fromkeys(beside, (smallest, None))
    steps = [step for cell in cells if cell.key in limits for step in _steps(cell, *limits[cell.key])]
    for cell in cells:
        if cell.key in limits and not any(
            _reaches(step.to, step.begins, [each for each in steps if each.key != cell.key])
            for step in steps
            if step.key == cell.key
        ):
            return cell
    return None


@dataclass(frozen=True, slots=True)
class _Step:
    """A hidden number that may be one more or one less, as a way from one sum to another."""

    key: Key
    begins: str
    to: str


def _steps(cell: Cell, least: int, most: int | None) -> list[_Step]:
    steps = []
    if most is None or cell.count < most:
        steps.append(_Step(cell.key, cell.tail, cell.head))
    if cell.count > least:
        steps.append(_Step(cell.key, cell.head, cell.tail))
    return steps


def _reaches(begin: str, end: str, steps: Sequence[_Step]) -> bool:
    reached, rest = {begin}, [begin]
    while rest:
        here = rest.pop()
        onward = {step.to for step in steps if step.begins == here} - reached
        reached |= onward
        rest += onward
    return end in reached
