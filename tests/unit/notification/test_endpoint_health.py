"""An endpoint over seconds (breaker) and days (disabled, recovered)."""

from datetime import UTC, datetime, timedelta

from ihala_notification.domain.attempt import AttemptResult, Failure
from ihala_notification.domain.breaker import Breaker, BreakerState
from ihala_notification.domain.endpoint import EndpointChange, EndpointHealth, EndpointState

MONDAY = datetime(2026, 11, 16, 8, 0, tzinfo=UTC)
FAILED = AttemptResult(503, Failure.STATUS, 5)
GONE = AttemptResult(410, Failure.GONE, 5)
OK = AttemptResult(200, None, 5)


def after_failures(*ats: datetime) -> tuple[EndpointHealth, EndpointChange | None]:
    health, change = EndpointHealth(), None
    for at in ats:
        health, change = health.after(FAILED, at)
    return health, change


def test_five_days_of_failures_disable_an_endpoint() -> None:
    ats = [MONDAY + timedelta(hours=6 * step) for step in range(21)]

    before, no_change = after_failures(*ats[:-1])
    after, change = after_failures(*ats)

    assert (before.state, no_change) == (EndpointState.ENABLED, None)
    assert (after.state, change) == (EndpointState.DISABLED, EndpointChange.DISABLED)
    assert after.reason == "failing-for-5-days"


def test_two_lonely_failures_five_days_apart_disable_nothing() -> None:
    health, change = after_failures(MONDAY, MONDAY + timedelta(days=6))

    assert (health.state, change) == (EndpointState.ENABLED, None)


def test_one_bad_night_long_ago_disables_nothing() -> None:
    health, change = after_failures(MONDAY, MONDAY + timedelta(hours=11), MONDAY + timedelta(days=6))

    assert (health.state, change) == (EndpointState.ENABLED, None)


def test_a_success_ends_a_run_of_failures() -> None:
    health, _ = after_failures(MONDAY, MONDAY + timedelta(days=3))

    health, change = health.after(OK, MONDAY + timedelta(days=4))

    assert (health, change) == (EndpointHealth(), None)


def test_410_disables_at_once() -> None:
    health, change = EndpointHealth().after(GONE, MONDAY)

    assert (health.state, health.reason, change) == ("disabled", "gone", EndpointChange.DISABLED)


def test_a_disabled_endpoint_is_asked_once_a_day() -> None:
    health, _ = EndpointHealth().after(GONE, MONDAY)

    assert not health.may_be_tried(MONDAY + timedelta(hours=23))
    assert health.may_be_tried(MONDAY + timedelta(days=1))

    still, change = health.after(FAILED, MONDAY + timedelta(days=1))
    assert (still.probe_at, change) == (MONDAY + timedelta(days=2), None)


def test_the_first_success_brings_a_disabled_endpoint_back() -> None:
    health, _ = EndpointHealth().after(GONE, MONDAY)

    health, change = health.after(OK, MONDAY + timedelta(days=1))

    assert (health.state, change) == (EndpointState.ENABLED, EndpointChange.RECOVERED)


def a_breaker(failures: int, successes: int = 0, at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(successes):
        breaker.succeeded(at)
    for _ in range(failures):
        breaker.failed(at)
    return breaker


def test_nine_failures_leave_the_breaker_closed_and_the_tenth_opens_it() -> None:
    assert a_breaker(9).state(0) is BreakerState.CLOSED
    assert a_breaker(10).state(0) is BreakerState.OPEN


def test_seven_failures_of_ten_open_the_breaker_and_six_do_not() -> None:
    assert a_breaker(7, successes=3).state(0) is BreakerState.OPEN
    assert a_breaker(6, successes=4).state(0) is BreakerState.CLOSED


def test_failures_older_than_five_minutes_do_not_count() -> None:
    breaker = a_breaker(9)

    breaker.failed(301)

    assert breaker.state(301) is BreakerState.CLOSED


def test_half_open_admits_one_try_and_its_success_closes_the_breaker() -> None:
    breaker = a_breaker(10)
    assert not breaker.admits(29.9)
    assert breaker.admits(30)

    breaker.started(30)
    assert not breaker.admits(30)

    breaker.succeeded(31)
    assert breaker.state(31) is BreakerState.CLOSED
    breaker.failed(32)
    assert breaker.state(32) is BreakerState.CLOSED


def test_a_failure_in_the_half_open_state_opens_the_breaker_again() -> None:
    breaker = a_breaker(10)

    breaker.started(30)
    breaker.failed(31)

    assert breaker.reopens_in_seconds(31) == 30
