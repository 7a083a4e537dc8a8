"""Half of the last hundred records: a flood, whatever the batches."""

import pytest
from ihala_runtime.flood import Outcomes


def after(*told: tuple[int, int]) -> Outcomes:
    """So many records handled, then so many failed, again and again."""
    outcomes = Outcomes()
    for handled, failed in told:
        outcomes.handled(handled)
        for _ in range(failed):
            outcomes.failed()
    return outcomes


@pytest.mark.parametrize(
    ("outcomes", "flood"),
    [
        (after((0, 49)), False),
        (after((0, 50)), True),
        (after(*[(2, 3)] * 16), False),  # 48 of 80
        (after(*[(2, 3)] * 17), True),  # 51 of 85
        (after(*[(3, 2)] * 100), False),  # 40 of the last 100, for ever
        (after((1000, 49)), False),
        (after((0, 49), (60, 10)), False),  # of the 49 the last 30 count, and the ten: 40 of 100
    ],
)
def test_half_of_the_last_hundred(outcomes: Outcomes, flood: bool) -> None:
    assert outcomes.are_flood is flood


def test_what_is_undone_does_not_count() -> None:
    kept = after((0, 49))
    tried = kept.copy()

    tried.failed()

    assert tried.are_flood
    assert not kept.are_flood
