"""Small numbers are hidden, and nobody works them out from the sums."""

from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ihala_referral.domain.suppression import (
    SMALLEST_SHOWN,
    SMALLEST_SHOWN_RESTRICTED,
    WITHHELD,
    Cell,
    Key,
    Shown,
    crossed,
    flat,
    nested,
    rate,
    suppressed,
)

HIDDEN = ("<5", "<10", WITHHELD)


def a_line(*counts: int) -> list[Cell]:
    return flat({chr(ord("a") + place): count for place, count in enumerate(counts)})


def shown(*counts: int, **how: object) -> list[Shown]:
    """The parts in order, then the sum."""
    return list(suppressed(a_line(*counts), **how).values())  # type: ignore[arg-type]


def test_a_second_number_is_hidden_where_the_sum_would_tell_the_first() -> None:
    assert shown(12, 3, 9) == [12, "<5", WITHHELD, 24]


def test_numbers_of_five_and_more_are_shown() -> None:
    assert shown(5, 7) == [5, 7, 12]


def test_all_in_one_cell_is_shown_but_not_of_a_restricted_need() -> None:
    assert shown(0, 8) == [0, 8, 8]
    restricted = {"smallest": SMALLEST_SHOWN_RESTRICTED, "restricted": True}
    assert shown(0, 8, **restricted) == [WITHHELD, WITHHELD, "<10"]
    assert shown(0, 12, **restricted) == [WITHHELD, WITHHELD, 12]


def test_nobody_is_no_small_number() -> None:
    assert shown(0, 0) == [0, 0, 0]


def test_two_hidden_numbers_that_can_be_but_one_thing_are_not_enough() -> None:
    """1 and 1 of 14: both below five, and together two."""
    assert shown(12, 1, 1) == [WITHHELD, "<5", "<5", 14]


def test_what_cannot_be_protected_is_not_published() -> None:
    """4 and 4 of 8: below five, each can only be four."""
    assert shown(4, 4) == [WITHHELD, WITHHELD, 8]


@pytest.mark.parametrize(("numerator", "denominator", "known", "expected"), [
    (10, 19, True, None), (10, 20, True, 0.5), (10, 20, False, None), (0, 0, True, None), (7, 21, True, 0.33),
])  # fmt: skip
def test_a_rate_stands_on_twenty(numerator: int, denominator: int, known: bool, expected: float | None) -> None:
    assert rate(numerator, denominator, known=known) == expected


counts = st.one_of(st.integers(0, 6), st.integers(0, 12))


@settings(max_examples=60, deadline=None)
@given(st.lists(counts, min_size=2, max_size=5))
def test_no_number_of_a_line_can_be_worked_out(numbers: list[int]) -> None:
    assert_nothing_is_told(a_line(*numbers))


@settings(max_examples=60, deadline=None)
@given(st.lists(counts, min_size=6, max_size=6))
def test_no_number_of_a_crossed_table_can_be_worked_out(numbers: list[int]) -> None:
    assert_nothing_is_told(crossed(dict(zip(product("ab", "xyz"), numbers, strict=True))))


@settings(max_examples=60, deadline=None)
@given(st.lists(counts, min_size=5, max_size=5))
def test_no_number_of_a_nested_table_can_be_worked_out(numbers: list[int]) -> None:
    keys = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2"), ("c", "c1")]
    assert_nothing_is_told(nested(dict(zip(keys, numbers, strict=True))))


def assert_nothing_is_told(cells: list[Cell]) -> None:
    """Every small number is hidden, and for every hidden one there is another table with the same published ones."""
    published = suppressed(cells)
    hidden = {key for key, value in published.items() if value in HIDDEN}
    assert all(cell.key in hidden for cell in cells if 0 < cell.count < SMALLEST_SHOWN)
    assert all(published[cell.key] == cell.count for cell in cells if cell.key not in hidden)
    true = {cell.key: cell.count for cell in cells}
    for table in other_tables(true, published):
        hidden -= {key for key in hidden if table[key] != true[key]}
    assert hidden == set()


def other_tables(true: Mapping[Key, int], published: Mapping[Key, Shown]) -> Iterator[dict[Key, int]]:
    """Those that differ by at most one in each part and fit what is published."""
    parts = [key for key in true if None not in key]
    withheld = all(published[key] == WITHHELD for key in parts)
    for changes in product((-1, 0, 1), repeat=len(parts)):
        table = {key: true[key] + change for key, change in zip(parts, changes, strict=True)}
        table |= {key: total(key, table) for key in true if None in key}
        if all(fits(count, published[key], withheld) for key, count in table.items()):
            yield table


def total(key: Key, table: Mapping[Key, int]) -> int:
    return sum(
        count for part, count in table.items() if all(want in (None, has) for want, has in zip(key, part, strict=True))
    )


def fits(count: int, value: Shown, withheld: bool) -> bool:
    """withheld: nothing but the sum was published, so that an `x` may be any number."""
    if value == "<5":
        return 0 < count < SMALLEST_SHOWN
    if value == WITHHELD:
        return count >= 0 if withheld else count >= SMALLEST_SHOWN
    return count == value
