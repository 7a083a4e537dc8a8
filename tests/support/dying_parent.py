"""Run by tests as a process of its own: starts one program under the wrapper, says so, and waits to be killed.

python -m support.dying_parent FOLDER COMMAND…
"""

import sys
import time
from pathlib import Path

from ihala_local.processes import Folders, Lifeline, Program, start


def main(folder: Path, command: list[str]) -> None:
    folders = Folders(folder / "logs", folder / "run")
    folders.make()
    lifeline = Lifeline()
    start(Program("child", tuple(command)), folders, lifeline)
    time.sleep(600)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
