"""When a failed delivery is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ihala_notification.domain.attempt import AttemptResult, Failure, failure_of_status
from ihala_notification.domain.retry_schedule import STANDARD_DELAYS_SECONDS, RetrySchedule

SCHEDULE = RetrySchedule()


def answered(status: int, retry_after_seconds: float | None = None) -> AttemptResult:
    return AttemptResult(status, failure_of_status(status), 5, retry_after_seconds=retry_after_seconds)


REFUSED_CONNECTION = AttemptResult(None, Failure.CONNECTION, 1)
TIMED_OUT = AttemptResult(None, Failure.TIMEOUT, 15_000)


@pytest.mark.parametrize(
    ("tries", "delay_seconds"),
    [(1, 5), (2, 300), (3, 1_800), (4, 7_200), (5, 18_000), (6, 36_000), (7, 50_400), (8, 72_000), (9, 86_400)],
)
def test_without_jitter_the_delays_are_those_of_the_schedule(tries: int, delay_seconds: float) -> None:
    assert SCHEDULE.delay_after(tries, answered(503), jitter=0) == delay_seconds


def test_after_the_tenth_try_it_is_given_up() -> None:
    assert SCHEDULE.delay_after(10, answered(503), jitter=0) is None


def test_jitter_moves_a_delay_by_at_most_a_fifth() -> None:
    assert SCHEDULE.delay_after(2, answered(503), jitter=-1) == 240
    assert SCHEDULE.delay_after(2, answered(503), jitter=1) == 360


@pytest.mark.parametrize(
    ("asked_seconds", "delay_seconds"), [(0, 300), (299, 300), (400, 400), (600, 600), (86_400, 600)]
)
def test_retry_after_is_honoured_up_to_twice_the_planned_delay(asked_seconds: float, delay_seconds: float) -> None:
    assert SCHEDULE.delay_after(2, answered(503, asked_seconds), jitter=1) == delay_seconds


@pytest.mark.parametrize("result", [TIMED_OUT, answered(429), answered(429, 8)])
def test_an_overloaded_endpoint_is_left_alone_for_a_minute(result: AttemptResult) -> None:
    assert SCHEDULE.delay_after(1, result, jitter=-1) == 60


def test_a_refused_connection_is_tried_again_soon() -> None:
    assert SCHEDULE.delay_after(1, REFUSED_CONNECTION, jitter=0) == 5


@given(st.integers(1, 9), st.floats(-1, 1), st.none() | st.floats(0, 1e9), st.sampled_from([429, 500, 302]))
def test_a_delay_is_never_shorter_than_four_fifths_nor_longer_than_twice_the_plan_or_a_minute(
    tries: int, jitter: float, asked: float | None, status: int
) -> None:
    planned = STANDARD_DELAYS_SECONDS[tries]

    delay = SCHEDULE.delay_after(tries, answered(status, asked), jitter)

    assert delay is not None
    assert 0.8 * planned <= delay <= max(2 * planned, 60)


@pytest.mark.parametrize("delays", [(), (5, 1), (-1, 0)])
def test_a_schedule_that_makes_no_sense_is_refused(delays: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="retry schedule"):
        RetrySchedule(delays)


@pytest.mark.parametrize(
    ("status", "failure"),
    [(200, None), (204, None), (299, None), (301, Failure.STATUS), (410, Failure.GONE), (503, Failure.STATUS)],
)
def test_only_2xx_is_a_success(status: int, failure: Failure | None) -> None:
    assert failure_of_status(status) is failure


def test_a_reason_names_the_status() -> None:
    assert [r.reason for r in (answered(200), answered(503), TIMED_OUT)] == [None, "status-503", "timeout"]
