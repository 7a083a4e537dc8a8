"""Group commit: those who wait are stored together, each hears of its own, one cannot spoil the others."""

import asyncio
from collections.abc import Sequence

import pytest
from ihala_intake.adapters.group_commit import GroupCommit
from ihala_runtime.failures import DependencyDown
from support.waiting import wait_until


class Store:
    """Notes the groups it is given; ``poison`` fails whatever group holds it."""

    def __init__(self, poison: int | None = None, error: Exception | None = None) -> None:
        self.groups: list[list[int]] = []
        self._poison = poison
        self._error = error or ValueError()
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.groups.append(list(items))
        await self.may_go.wait()
        if self._poison in items:
            raise self._error
        return [item * 10 for item in items]


async def test_requests_that_come_during_a_flush_share_the_next_one() -> None:
    store = Store()
    group: GroupCommit[int, int] = GroupCommit(store)
    store.may_go.clear()
    first = asyncio.create_task(group.submit(1))
    await wait_until(lambda: store.groups)
    others = [asyncio.create_task(group.submit(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    store.may_go.set()

    answers = await asyncio.gather(first, *others)

    assert answers == [10, 20, 30, 40]
    assert store.groups == [[1], [2, 3, 4]]


async def test_one_bad_request_does_not_spoil_its_group() -> None:
    store = Store(poison=3)
    group: GroupCommit[int, int] = GroupCommit(store)

    answers = await asyncio.gather(*(group.submit(number) for number in (1, 2, 3, 4)), return_exceptions=True)

    assert [answers[0], answers[1], answers[3]] == [10, 20, 40]
    assert isinstance(answers[2], ValueError)


async def test_when_the_database_is_away_nobody_is_told_it_is_stored_and_nothing_is_tried_alone() -> None:
    store = Store(poison=1, error=DependencyDown("down"))
    group: GroupCommit[int, int] = GroupCommit(store)

    answers = await asyncio.gather(*(group.submit(number) for number in (1, 2)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [DependencyDown, DependencyDown]
    assert len(store.groups) == 1


async def test_a_caller_that_goes_away_does_not_stop_the_others() -> None:
    store = Store()
    group: GroupCommit[int, int] = GroupCommit(store)
    store.may_go.clear()
    gone = asyncio.create_task(group.submit(1))
    stays = asyncio.create_task(group.submit(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    store.may_go.set()

    assert await stays == 20
    with pytest.raises(asyncio.CancelledError):
        await gone
