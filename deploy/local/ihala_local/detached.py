"""`ihala up --detach`, and a second `up` on a running state: wait for the one that runs, then tell the same.

Rule: this process only watches. The detached `up` is a session of its own and survives the terminal.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from ihala_local.failures import LocalFailure
from ihala_local.processes import last_lines
from ihala_local.state import Phase, State

POLL_SECONDS = 0.1
UP_LOG = "up"

Watch = Callable[[str], None]


class UpFailed(LocalFailure):
    """The detached `up` ended before it was ready."""


def start_detached(state: State, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    state.make()
    with state.folders.log_of(UP_LOG).open("wb") as log:
        return subprocess.Popen(  # noqa: S603 (ourselves)
            [sys.executable, "-m", "ihala_local", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for_detached(state: State, process: "subprocess.Popen[bytes]", watch: Watch) -> None:
    """Returns when it is ready; UpFailed, with what it said, when it ended."""
    while not is_ready(state, watch):
        if process.poll() is not None:
            said = "\n".join(last_lines(state.folders.log_of(UP_LOG), 40))
            raise UpFailed(said.removeprefix("✗ ") or f"it ended with code {process.returncode}")
        time.sleep(POLL_SECONDS)


def wait_for_other(state: State, watch: Watch) -> bool:
    """Whether the `up` that holds the state became ready; false when it ended instead."""
    while not is_ready(state, watch):
        if not state.is_held():
            return False
        time.sleep(POLL_SECONDS)
    return True


def is_ready(state: State, watch: Watch) -> bool:
    supervision = state.supervision()
    if supervision is None:
        return False
    watch(supervision.doing)
    return supervision.phase is Phase.READY


def wait_for_clock(state: State, within_seconds: float) -> bool:
    """Whether the services run on the test clock in time."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        supervision = state.running()
        if supervision.test_clock and supervision.phase is Phase.READY:
            return True
        time.sleep(POLL_SECONDS)
    return False


def wait_until_stopped(state: State, within_seconds: float) -> bool:
    deadline = time.monotonic() + within_seconds
    while state.is_held():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
