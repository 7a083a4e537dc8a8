"""Group commit: requests that wait now are stored together; the next flush starts when this one ends.

Alone, a request is stored at once; under load a flush waits for its pace, and hundreds share a commit. Each caller
still waits for its own commit. When a group fails for another reason than the database being away, each request is
stored alone, so that one cannot spoil the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ihala_runtime.failures import is_infrastructure
from ihala_runtime.pace import Pace

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

MAX_GROUP = 500


@dataclass
class _Waiting(Generic[I, O]):
    item: I
    answer: "asyncio.Future[O]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupCommit(Generic[I, O]):
    """``store``: stores a group in one transaction; its outcomes in the same order, an exception as an outcome."""

    def __init__(self, store: Callable[[Sequence[I]], Awaitable[Sequence[O | Exception]]]) -> None:
        self._store = store
        self._waiting: list[_Waiting[I, O]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._pace = Pace()

    async def submit(self, item: I) -> O:
        """Returns once the item is durable. Raises what storing it raised."""
        waiting: _Waiting[I, O] = _Waiting(item)
        self._waiting.append(waiting)
        if self._flushing is None or self._flushing.done():
            # of no request in particular: nothing stored here may carry one caller's trace
            self._flushing = asyncio.create_task(self._flush(), context=Context())
        return await waiting.answer

    async def _flush(self) -> None:
        while self._waiting:
            await self._pace.turn()
            group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
            with self._pace.batch():
                _settle(group, await self._stored(group))

    async def _stored(self, group: Sequence[_Waiting[I, O]]) -> Sequence[O | Exception]:
        try:
            return await self._store([each.item for each in group])
        except Exception as error:
            alone = len(group) > 1 and not is_infrastructure(error)
            return [await self._alone(each) for each in group] if alone else [error] * len(group)

    async def _alone(self, waiting: _Waiting[I, O]) -> O | Exception:
        try:
            return (await self._store([waiting.item]))[0]
        except Exception as error:
            return error


def _settle(group: Sequence[_Waiting[I, O]], outcomes: Sequence[O | Exception]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=True):
        if waiting.answer.done():  # the caller went away; what it sent is stored all the same
            continue
        if isinstance(outcome, Exception):
            waiting.answer.set_exception(outcome)
        else:
            waiting.answer.set_result(outcome)
