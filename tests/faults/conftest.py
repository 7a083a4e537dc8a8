"""What a fault run is asked for, and the systems that are broken in it.

`--seed` repeats a run: it is printed with each.
"""

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from ihala_runtime.failpoints import FOLDER_VARIABLE
from support.fault_load import Load, load_on
from support.system import System, running


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    given = request.config.getoption("--seed")
    drawn = random.SystemRandom().randrange(1_000_000) if given is None else int(given)
    print(f"\nseed {drawn}: repeat with --seed {drawn}")  # noqa: T201
    return drawn


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def failpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which points are armed."""
    return tmp_path_factory.mktemp("failpoints")


@pytest.fixture(scope="session")
def breakable(failpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One copy of each service. All faults happen to one system, one after another, and its whole history is judged."""
    with running(tmp_path_factory.mktemp("breakable"), environment={FOLDER_VARIABLE: str(failpoints)}) as system:
        yield system


@pytest.fixture(scope="session")
async def load(breakable: System, seed: int) -> AsyncIterator[Load]:
    async with load_on(breakable, seed) as given:
        yield given
