"""Named points where a fault test may end or freeze this process: what is proven is what happens afterwards.

A point is `<owner>.<point>`; its owner is the consumer, or the operation, whose step it is, and begins with the
service's name. It is armed by a file of that name in the folder of IHALA_FAILPOINTS_DIR. Whoever reaches it takes the
file away, so that it acts once. Rule: without that variable a point costs one comparison, and production refuses to
start with it.
"""

import os
import signal
from pathlib import Path

FOLDER_VARIABLE = "IHALA_FAILPOINTS_DIR"
FREEZE = "freeze"

_folder: str | None = None


def prepare() -> None:
    """From now on the points of this process may be armed, where the environment names a folder."""
    global _folder
    _folder = os.environ.get(FOLDER_VARIABLE)


def reach(owner: str | None, point: str) -> None:
    """End this process as a power cut would, or stop it as a frozen machine, if the point is armed.

    owner None: somebody of whom no step is named.
    """
    if _folder is not None and owner is not None:
        _act(f"{_folder}/{owner}.{point}")


def _act(path: str) -> None:
    taken = f"{path}.reached"
    try:
        os.rename(path, taken)  # whoever takes the file away acts: one process, once
    except FileNotFoundError:
        return
    freeze = Path(taken).read_text().strip() == FREEZE
    os.kill(os.getpid(), signal.SIGSTOP if freeze else signal.SIGKILL)
