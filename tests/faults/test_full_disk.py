"""A disk that is full for a while: nothing is promised that is not stored, and all heals when there is room again."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fault_checker import judge
from support.fault_load import load_on
from support.system import System

RATE = 4.0
DISK = "900m"

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk in memory, for whose mounting the tests need to be root."""
    disk: Path = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_full_disk_of_both_servers(small_disk: Path, seed: int) -> None:
    system = System(small_disk / "state")
    try:
        await asyncio.to_thread(system.up)
        async with load_on(system, seed) as load:
            loaded = asyncio.create_task(load.run(RATE, 30.0))
            await asyncio.sleep(4)
            with load.history.fault(of_database=True):
                ballast = await asyncio.to_thread(fill, small_disk)
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
