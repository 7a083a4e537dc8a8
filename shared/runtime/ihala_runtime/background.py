"""What a service does beside answering: tasks that run until it stops, each started again when it fails.

One that keeps failing makes its service unready: what it was to do is not done, whatever else still works.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from ihala_runtime.failures import is_infrastructure
from ihala_runtime.logs import logger

RESTART_SECONDS = 1.0
TOO_OFTEN = 3
CANCEL_AGAIN_SECONDS = 0.5
LATELY_SECONDS = 60.0

_log = logger(__name__)

Task = Callable[[], Awaitable[None]]


class Background:
    """All background tasks of a service."""

    name = "tasks"

    def __init__(self) -> None:
        self._failures: list[deque[float]] = []

    @property
    def is_ready(self) -> bool:
        """False while one of them fails again and again."""
        since = monotonic() - LATELY_SECONDS
        return not any(len(times) == TOO_OFTEN and times[0] > since for times in self._failures)

    def start(self, tasks: Sequence[Task]) -> list["asyncio.Task[None]"]:
        return [asyncio.create_task(self._supervised(task)) for task in tasks]

    async def _supervised(self, task: Task) -> None:
        failed: deque[float] = deque(maxlen=TOO_OFTEN)
        self._failures.append(failed)
        while True:
            try:
                await task()
                return
            except Exception as error:
                _log.error("background task failed", action="task", exc_info=error)
                failed.append(monotonic())
                await asyncio.sleep(RESTART_SECONDS)


def every(step: Task, seconds: float) -> Task:
    """Repeat a step, whether it fails or not: nobody who calls the service waits for it."""

    async def repeat() -> None:
        while True:
            try:
                await step()
            except Exception as error:
                if not is_infrastructure(error):
                    _log.error("repeated step failed", action="task", exc_info=error)
            await asyncio.sleep(seconds)

    return repeat


async def ended(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel them until all have ended.

    Before Python 3.12 ``asyncio.wait_for``, which libraries use too, loses a cancellation that comes in the moment of
    its result: the task goes on as if nothing had been said.
    """
    while going_on := [task for task in tasks if not task.done()]:
        for task in going_on:
            task.cancel()
        await asyncio.wait(going_on, timeout=CANCEL_AGAIN_SECONDS)


async def apart(done: Awaitable[int], action: str, **which: str) -> int:
    """What was done of one among many: 0, and a line in the log, where it fails. Its trouble holds up no other.

    Raises what says that the infrastructure is away: then the others could not be done either.
    """
    try:
        return await done
    except Exception as error:
        if is_infrastructure(error):
            raise
        _log.exception("left as it is", action=action, **which)
        return 0
