"""The test clock goes forward only, and never in production."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ihala_local.test_clock import (
    ClockRefused,
    advance_clock,
    parse_instant,
    parse_span,
    read_clock,
    set_clock,
)

MONDAY = datetime(2026, 11, 16, 10, 15, tzinfo=UTC)


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    return tmp_path / "clock.json"


def test_a_system_on_real_time_has_no_clock(clock_file: Path) -> None:
    assert read_clock(clock_file) is None


def test_the_clock_shows_what_it_was_set_to(clock_file: Path) -> None:
    set_clock(clock_file, MONDAY)

    assert read_clock(clock_file) == MONDAY


def test_the_file_reads_as_services_expect_it(clock_file: Path) -> None:
    set_clock(clock_file, MONDAY)

    assert '"now": "2026-11-16T10:15:00Z"' in clock_file.read_text()


def test_the_clock_advances_from_what_it_shows(clock_file: Path) -> None:
    set_clock(clock_file, MONDAY)

    instant = advance_clock(clock_file, timedelta(hours=4))

    assert instant == datetime(2026, 11, 16, 14, 15, tzinfo=UTC)
    assert read_clock(clock_file) == instant


def test_the_clock_does_not_go_back(clock_file: Path) -> None:
    set_clock(clock_file, MONDAY)

    with pytest.raises(ClockRefused, match="forward only; it shows 2026-11-16T10:15:00Z"):
        set_clock(clock_file, MONDAY - timedelta(seconds=1))


def test_there_is_no_test_clock_in_production(clock_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IHALA_MODE", "production")

    with pytest.raises(ClockRefused, match="production"):
        set_clock(clock_file, MONDAY)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("4h", 14_400), ("2d", 172_800), ("1d4h", 100_800)]
)
def test_a_span_is_read(text: str, seconds: int) -> None:
    assert parse_span(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "4", "h", "4 h", "-4h", "4h1d", "forever"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ClockRefused, match="a time span"):
        parse_span(text)


def test_an_instant_with_another_offset_is_the_same_instant() -> None:
    assert parse_instant("2026-11-16T11:15:00+01:00") == MONDAY


@pytest.mark.parametrize("text", ["2026-11-16T10:15:00", "yesterday", ""])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ClockRefused):
        parse_instant(text)
