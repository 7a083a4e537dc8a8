"""After a batch comes a rest as long as its work, and nobody waits where the last one was long ago."""

import pytest
from ihala_runtime import pace
from ihala_runtime.pace import MOST_REST_SECONDS, Pace


class Time:
    """A clock that moves when somebody works, waits or sleeps, and one that moves when somebody works."""

    def __init__(self) -> None:
        self.now = 100.0
        self.worked = 0.0
        self.slept: list[float] = []

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.worked += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(pace, "monotonic", lambda: made.now)
    monkeypatch.setattr(pace, "thread_time", lambda: made.worked)
    monkeypatch.setattr("ihala_runtime.pace.asyncio.sleep", made.sleep)
    return made


async def one(paced: Pace, time: Time, seconds: float) -> None:
    await paced.turn()
    with paced.batch():
        time.work(seconds)


async def test_a_batch_is_followed_by_a_rest_as_long_as_its_work(time: Time) -> None:
    paced = Pace()
    await one(paced, time, 0.01)
    await one(paced, time, 0.02)
    await one(paced, time, 0.0)
    assert time.slept == [0.01, 0.02]


async def test_a_batch_that_waited_is_not_followed_by_as_long_a_rest(time: Time) -> None:
    paced = Pace()
    with paced.batch():
        time.work(0.005)
        time.now += 0.05  # a stutter of the disk
    await paced.turn()
    assert time.slept == [0.005]


async def test_nobody_waits_where_the_last_batch_was_long_ago(time: Time) -> None:
    paced = Pace()
    await one(paced, time, 0.01)
    time.now += 0.01
    await one(paced, time, 0.01)
    assert time.slept == []


async def test_a_long_batch_is_followed_by_a_short_rest(time: Time) -> None:
    paced = Pace()
    await one(paced, time, 2.0)
    await paced.turn()
    assert time.slept == [MOST_REST_SECONDS]


@pytest.mark.parametrize("took", [0.01, 0.04])
async def test_batches_nobody_waits_for_begin_so_far_apart(time: Time, took: float) -> None:
    paced = Pace(apart_seconds=0.1)
    await one(paced, time, took)
    await paced.turn()
    assert time.slept == [pytest.approx(0.1 - took)]


async def test_a_batch_that_fails_is_followed_by_a_rest_too(time: Time) -> None:
    paced = Pace()

    async def fail() -> None:
        time.work(0.01)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), paced.batch():
        await fail()
    await paced.turn()
    assert time.slept == [0.01]
