"""Counts the Python function calls of a service's main thread; it is on PYTHONPATH while costs are measured.

Python looks for this file at its start. Rule: nothing is counted and nothing changes unless IHALA_COUNT_FOLDER is
set and the program is one of ours.  <folder>/<pid>.calls holds them by function, written whenever <pid>.ask is found.
"""

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.05


def start(folder: Path) -> None:
    import cProfile

    profiler = cProfile.Profile()
    threading.Thread(target=answer, args=(profiler, folder), daemon=True).start()
    profiler.enable()


def answer(profiler: Any, folder: Path) -> None:
    ask, calls = folder / f"{os.getpid()}.ask", folder / f"{os.getpid()}.calls"
    while True:
        time.sleep(LOOK_SECONDS)
        if ask.exists():
            entries = entries_of(profiler)
            unfinished = calls.with_suffix(".new")
            unfinished.write_text(json.dumps(counted(entries)))
            unfinished.rename(calls)
            ask.unlink()


def entries_of(profiler: Any) -> list[Any]:
    """Not while rubbish is collected: that lets the main thread run, and the profiler loses its place."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return list(profiler.getstats())
    finally:
        if collects:
            gc.enable()


def counted(entries: list[Any]) -> dict[str, int]:
    """Calls by function; a built-in one has no file."""
    calls: dict[str, int] = {}
    for entry in entries:
        code = entry.code
        name = code if isinstance(code, str) else f"{code.co_filename}:{code.co_firstlineno}:{code.co_name}"
        calls[name] = calls.get(name, 0) + entry.callcount
    return calls


if "IHALA_COUNT_FOLDER" in os.environ and any(word.startswith("ihala_") for word in sys.orig_argv):
    start(Path(os.environ["IHALA_COUNT_FOLDER"]))
