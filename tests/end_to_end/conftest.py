"""Whole systems for the tests. One is shared by those that only use it; the others start their own."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from support.system import StartSystem, System, running


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system on real time with two copies of the referral service, shared: break nothing in it."""
    with running(tmp_path_factory.mktemp("system"), "--copies", "referral=2") as with_two_referrals:
        yield with_two_referrals


@pytest.fixture
def start_system(tmp_path: Path) -> Iterator[StartSystem]:
    """Starts a system of the test's own with these options of `ihala up`; ended after the test, whatever is left."""
    numbers = count()
    with ExitStack() as started:
        yield lambda *options: started.enter_context(running(tmp_path / f"system-{next(numbers)}", *options))
