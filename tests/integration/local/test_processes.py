"""Nothing outlives the one who started it, and a program that dies is named or started again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from ihala_local.processes import Folders, Lifeline, Program, end_leftover, process_of, start
from ihala_local.supervisor import ProgramFailed, Supervisor
from support.waiting import wait_until

PATIENT = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)
FAILING = "print('the disk is missing'); raise SystemExit(3)"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path / "logs", tmp_path / "run")
    made.make()
    return made


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    made = Lifeline()
    yield made
    made.cut()


def python(name: str, code: str, stop_seconds: float = 5) -> Program:
    return Program(name, (sys.executable, "-c", code), stop_seconds=stop_seconds)


async def started_by_a_parent(folder: Path, code: str) -> tuple["subprocess.Popen[bytes]", psutil.Process]:
    parent = subprocess.Popen(  # noqa: ASYNC220 (starts at once)
        [sys.executable, "-m", "support.dying_parent", str(folder), sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
    )
    child = await wait_until(lambda: process_of(folder / "run" / "child.pid"), what="the child runs")
    assert child is not None
    return parent, child


async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent, child = await started_by_a_parent(tmp_path, PATIENT)

    parent.kill()
    parent.wait()

    await wait_until(lambda: not child.is_running(), within_seconds=5)


async def test_a_child_that_ignores_the_stop_signal_ends_too(tmp_path: Path) -> None:
    parent, child = await started_by_a_parent(tmp_path, STUBBORN)
    await wait_until(lambda: b"deaf" in (tmp_path / "logs" / "child.log").read_bytes())

    parent.kill()
    parent.wait()

    await wait_until(lambda: not child.is_running(), within_seconds=5)


async def test_the_pid_told_is_the_programs_own(folders: Folders, lifeline: Lifeline) -> None:
    running = start(python("patient", PATIENT), folders, lifeline)

    pid = await wait_until(lambda: running.pid)

    assert pid is not None
    assert psutil.Process(pid).cmdline()[-1] == PATIENT
    running.ask_to_stop()
    running.wait()


async def test_a_stop_waits_for_the_program_and_leaves_no_pid_file(folders: Folders, lifeline: Lifeline) -> None:
    running = start(python("patient", PATIENT), folders, lifeline)
    await wait_until(lambda: running.pid)

    running.ask_to_stop()
    running.wait()

    assert running.exit_code() == 128 + signal.SIGTERM
    assert running.pid is None


async def test_a_killed_wrapper_leaves_nothing_running(folders: Folders, lifeline: Lifeline) -> None:
    running = start(python("patient", PATIENT), folders, lifeline)
    pid = await wait_until(lambda: running.pid)
    assert pid is not None

    running.wrapper.kill()
    running.wait()

    assert not psutil.pid_exists(pid)


def test_a_pid_file_never_ends_a_process_it_was_not_written_for(tmp_path: Path) -> None:
    pid_file = tmp_path / "old.pid"
    pid_file.write_text(str(os.getpid()))
    os.utime(pid_file, (1_000_000_000, 1_000_000_000))  # written long before we were started

    end_leftover(pid_file)

    assert not pid_file.exists()


async def test_a_program_that_ends_while_starting_is_named_with_its_last_words(folders: Folders) -> None:
    supervisor = Supervisor(folders, tell=lambda _text: None)
    supervisor.start(python("broken", FAILING))

    async def never() -> bool:
        return False

    with pytest.raises(ProgramFailed, match=r"broken ended with code 3 .*\n  the disk is missing"):
        await supervisor.until_ready("broken", never, within_seconds=10)
    supervisor.abandon()


async def test_a_program_is_not_started_while_its_disk_takes_nothing(folders: Folders, tmp_path: Path) -> None:
    supervisor = Supervisor(folders, tell=lambda _text: None)
    supervisor.start(replace(python("started", "print('harm done')"), disk=tmp_path / "gone"))

    async def never() -> bool:
        return False

    with pytest.raises(ProgramFailed, match="FileNotFoundError") as failed:
        await supervisor.until_ready("started", never, within_seconds=10)
    supervisor.abandon()

    assert "harm done" not in str(failed.value)


async def test_a_program_that_dies_is_started_again(folders: Folders) -> None:
    told: list[str] = []
    supervisor = Supervisor(folders, told.append)
    supervisor.start(python("patient", PATIENT))
    pid_file = folders.pid_file_of("patient")
    first = await wait_until(lambda: process_of(pid_file))
    assert first is not None
    watching = asyncio.create_task(supervisor.watch())

    first.kill()

    await wait_until(lambda: (process_of(pid_file) or first).pid != first.pid, what="another process under the name")
    assert told == ["patient ended with code 137; starting it again in 0.2 s"]
    watching.cancel()
    await supervisor.stop(["patient"])
    supervisor.abandon()
