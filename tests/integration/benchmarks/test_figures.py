"""What a report says of a goal, a knee and a recovery: nothing that was not found."""

import pytest

from benchmarks.figures import Bound, Figure, mean, verdict
from benchmarks.ladder import Climb, Rung
from benchmarks.load import StepResult, Told
from benchmarks.recovery import after_kill

SPANS = ("own_lag", "due_to_accepted", "accepted_to_told", "due_to_told")


@pytest.mark.parametrize(
    ("figure", "limit", "least", "said"),
    [
        (Figure(300), 300, True, "reached"),
        (Figure(150), 300, True, "missed: 0.5 of it"),
        (Figure(300, "3 lost"), 300, True, "void: 3 lost"),
        (Figure(300, bound=Bound.AT_LEAST), 300, True, "reached"),
        (Figure(150, bound=Bound.AT_LEAST), 300, True, "open: it is at least so much"),
        (Figure(0.6, bound=Bound.AT_MOST), 0.5, True, "open: it is at most so much"),
        (Figure(0.3, bound=Bound.AT_MOST), 0.6, True, "missed: 0.5 of it"),
        (Figure(2, bound=Bound.AT_MOST), 3, False, "reached"),
        (Figure(6, bound=Bound.AT_MOST), 3, False, "open: it is at most so much"),
        (Figure(6, bound=Bound.AT_LEAST), 3, False, "missed: 2 of it"),
        (Figure(1), 0, False, "missed"),
    ],
)
def test_a_goal_is_reached_or_missed_by_what_was_found_alone(
    figure: Figure, limit: float, said: str, *, least: bool
) -> None:
    assert verdict(figure, limit, least=least) == said


def test_a_ratio_to_something_that_is_at_least_so_much_is_at_most_so_much() -> None:
    floor = Figure(400, bound=Bound.AT_LEAST)

    assert Figure(100).over(floor) == Figure(0.25, bound=Bound.AT_MOST)
    assert Figure(100, bound=Bound.AT_LEAST).over(Figure(50)) == Figure(2, bound=Bound.AT_LEAST)
    assert Figure(100, bound=Bound.AT_LEAST).over(floor).bound is Bound.UNKNOWN
    assert Figure(100, "3 lost").over(floor).void == "3 lost"
    assert Figure(100).over(Figure(0)).void


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(1868.4), "1868"),
        (Figure(0.29612), "0.296"),
        (Figure(300, bound=Bound.AT_LEAST), "at least 300"),
        (Figure(0.176, "late"), "0.176"),
        (Figure(0, "nothing to compare with"), ""),
        (Figure(0), "0"),
    ],
)
def test_a_figure_is_written_as_what_it_is_worth(figure: Figure, text: str) -> None:
    assert str(figure) == text


def test_a_mean_is_worth_what_its_parts_are_worth() -> None:
    assert mean([Figure(100), Figure(200, bound=Bound.AT_LEAST)]) == Figure(150, bound=Bound.AT_LEAST)
    assert mean([Figure(100), Figure(200, "late")]).void == "late"
    assert mean([]).void


def a_rung(rate: float, *, p99: float = 100.0, lag: float = 1.0) -> Rung:
    latencies = {span: {"p99": lag if span == "own_lag" else p99} for span in SPANS}
    counts = {"sent": 10, "accepted": 10, "told": 10, "told_slow": 0, "doubled": 0}
    result = StepResult(name="step", rate=rate, seconds=1, lost_ids=[], refused={}, latencies_ms=latencies, **counts)
    return Rung(result, 0, {}, {})


def test_a_knee_below_a_void_step_is_the_least_it_may_be() -> None:
    sustained, slow, late = a_rung(50), a_rung(75, p99=900), a_rung(75, lag=8)

    assert Climb("ihala", [sustained, slow]).knee_found == Figure(50)
    assert Climb("ihala", [sustained, late]).knee_found == Figure(50, bound=Bound.AT_LEAST)
    assert Climb("ihala", [sustained, late, a_rung(100, p99=900)]).knee_found.bound is Bound.AT_LEAST
    assert Climb("ihala", [a_rung(50, lag=8)]).knee_found.void
    assert Climb("ihala", [a_rung(50, p99=900)]).knee_found == Figure(0)


def test_flowing_waits_for_what_was_accepted_before_the_kill_and_for_one_that_was_sent_after_it() -> None:
    killed = 10.0
    journal = [
        Told(9.0, 9.01, 9.05),
        Told(9.9, 9.91, 14.0),  # waited for the service that was killed
        Told(9.99, 10.01, 13.0),  # was under way when it was killed
        Told(10.5, None, None),  # refused
        Told(12.0, 12.1, 13.5),
        Told(13.8, 13.9, 15.0),
        Told(16.0, 16.1, 16.2),
    ]

    assert after_kill(journal, killed) == pytest.approx((2.1, 4.0, 5.0))


def test_what_never_flows_again_is_never_there() -> None:
    assert after_kill([Told(9.0, 9.01, 9.05), Told(10.5, None, None)], 10.0) == (float("inf"),) * 3
    assert after_kill([Told(9.0, 9.01, None), Told(10.5, 10.6, 10.7)], 10.0)[1:] == (float("inf"),) * 2
