"""The small wrapper around every process of the local system: it makes sure nothing outlives `ihala up`.

It holds the read end of a pipe whose only write end is in `ihala up`. When that end closes, however `up`
died, the wrapper stops its child: first the child's own stop signal, then KILL.

Rule: standard library only, and started with `python -I -S`, because each running part pays for its memory.
The orders arrive as one JSON argument (see `Orders`).
"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TypedDict


class Orders(TypedDict):
    """What the wrapper is told; written by `ihala_local.processes`."""

    command: list[str]
    lifeline_fd: int
    pid_file: str
    stop_signal: int
    stop_seconds: float  # between the stop signal and KILL in an orderly stop
    orphan_stop_seconds: float  # the same when `up` is gone
    user: int | None
    group: int | None
    disk: str | None  # a folder whose disk must take an fsync, or the child is not started


def main(orders: Orders) -> int:
    """Runs the child to its end and answers its exit code, 128 + n when signal n ended it."""
    if orders["disk"] is not None:
        take_fsync(Path(orders["disk"]))
    child = subprocess.Popen(  # noqa: S603 (the command is composed by ihala_local)
        orders["command"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal reaches `up` alone, which stops its parts in order
        user=orders["user"],
        group=orders["group"],
        extra_groups=[] if orders["user"] is not None else None,
    )
    write_pid(Path(orders["pid_file"]), child.pid)
    signal.signal(signal.SIGTERM, lambda *_: stop(child, orders["stop_signal"], orders["stop_seconds"]))
    threading.Thread(target=stop_when_alone, args=(child, orders), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def take_fsync(folder: Path) -> None:
    """OSError on a disk that refuses it."""
    with (folder / "fsync-probe").open("wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())


def write_pid(path: Path, pid: int) -> None:
    """Whole or not at all: `up` reads the file while we write it."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(str(pid))
    unfinished.rename(path)


def stop_when_alone(child: subprocess.Popen[bytes], orders: Orders) -> None:
    os.read(orders["lifeline_fd"], 1)  # nobody writes: it returns when the last write end is closed
    stop(child, orders["stop_signal"], orders["orphan_stop_seconds"])


def stop(child: subprocess.Popen[bytes], stop_signal: int, within_seconds: float) -> None:
    """Asks, and starts the clock after which it no longer asks. Returns at once."""
    child.send_signal(stop_signal)
    patience = threading.Timer(within_seconds, kill_group, (child.pid,))
    patience.daemon = True
    patience.start()


def kill_group(leader_pid: int) -> None:
    try:
        os.killpg(leader_pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    code = main(json.loads(sys.argv[1]))
    os._exit(code)  # without waiting for the thread that reads the pipe
