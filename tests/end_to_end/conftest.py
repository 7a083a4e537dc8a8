"""Whole systems for the tests. One is shared by those that only use it; the others start their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.system import StartSystem, System


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system on real time with two copies of the referral service, shared: break nothing in it."""
    with_two_referrals = System(tmp_path_factory.mktemp("system"))
    try:
        with_two_referrals.up("--copies", "referral=2")
        yield with_two_referrals
    finally:
        with_two_referrals.end()


@pytest.fixture
def start_system(tmp_path: Path) -> Iterator[StartSystem]:
    """Starts a system of the test's own with these options of `ihala up`; ended after the test, whatever is left."""
    started: list[System] = []

    def start(*options: str) -> System:
        own = System(tmp_path / f"system-{len(started)}")
        started.append(own)
        own.up(*options)
        return own

    yield start
    for own in started:
        own.end()
