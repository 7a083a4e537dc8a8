"""A disk that is full for a while, of both servers, of one of them, or of the logs: nothing is promised that is not
stored, and all heals when there is room again.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fault_checker import judge
from support.fault_load import load_on
from support.system import System

RATE = 4.0
ROOM = {".": "900m", "postgres": "500m", "kafka": "300m", "logs": "4m"}
"""Folders of the state that get a disk of their own, the first one all of it, and its size."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(params=ROOM)
def small_disk(request: pytest.FixtureRequest) -> Iterator[tuple[Path, Path]]:
    """A state, and the folder of it that is a disk in memory, for whose mounting the tests need to be root."""
    home = Path(tempfile.mkdtemp(prefix="ihala-disk-"))
    home.chmod(0o755)  # PostgreSQL runs as another account: where that may not pass, its data would lie elsewhere
    disk: Path = home / "state" / request.param
    disk.mkdir(parents=True)
    size = f"size={ROOM[request.param]},mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=True)
    try:
        yield home / "state", disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        shutil.rmtree(home)


async def test_a_full_disk(small_disk: tuple[Path, Path], seed: int) -> None:
    state, disk = small_disk
    system = System(state)
    try:
        await asyncio.to_thread(system.up)
        assert (state / "postgres" / "data" / "PG_VERSION").exists()
        async with load_on(system, seed) as load:
            loaded = asyncio.create_task(load.run(RATE, 30.0))
            await asyncio.sleep(4)
            with load.history.fault(of_database=True):
                ballast = await asyncio.to_thread(fill, disk)
                await asyncio.sleep(15)
                ballast.unlink()
            await loaded

            verdict = await judge(system, load)

        assert not verdict.findings, str(verdict)
    finally:
        await asyncio.to_thread(system.end)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        chunk = bytes(1 << 20)
        try:
            while True:
                file.write(chunk)
        except OSError:
            os.fsync(file.fileno())
    return ballast
