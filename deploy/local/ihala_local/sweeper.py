"""Removes what an ephemeral system leaves on the disk when its `ihala up` was killed and could not do it.

It waits for the pipe from `up` to close, then for the programs to end, then removes the folders. Rule: standard
library only, like the wrapper, and started only for an ephemeral system.

    python -I -S sweeper.py LIFELINE_FD PID_FOLDER FOLDER…
"""

import os
import shutil
import sys
import time
from pathlib import Path

PATIENCE_SECONDS = 10.0  # wrappers kill what does not stop within three
POLL_SECONDS = 0.1


def main(lifeline_fd: int, pids: Path, folders: list[Path]) -> None:
    os.read(lifeline_fd, 1)  # returns when `up` is gone
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(is_alive(pid_file) for pid_file in pids.glob("*.pid")) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), [Path(folder) for folder in sys.argv[3:]])
