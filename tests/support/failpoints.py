"""Arms the named points at which a process of a system under test dies, or stands still."""

import asyncio
from pathlib import Path

from ihala_runtime.failpoints import FREEZE
from support.waiting import wait_until

REACHED_SECONDS = 30.0


def arm(folder: Path, point: str, act: str = "") -> None:
    """point: `<owner>.<point>`, for whichever copy of the service is there first. act: FREEZE, or it is killed."""
    (folder / f"{point}.reached").unlink(missing_ok=True)
    (folder / point).write_text(act)


async def reached(folder: Path, point: str) -> float:
    """When somebody reached it, in seconds of the wall clock."""
    taken = folder / f"{point}.reached"
    await wait_until(taken.exists, REACHED_SECONDS, f"{point} is reached")
    return taken.stat().st_ctime  # of the renaming


async def frozen_at(folder: Path, point: str) -> float:
    """Returns when a process stands still there, with the time of it."""
    arm(folder, point, FREEZE)
    at = await reached(folder, point)
    await asyncio.sleep(0.2)  # the file tells of it just before
    return at
