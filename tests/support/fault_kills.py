"""Kills of a fault run: only one that hits somebody alive counts, and the history is told of it."""

import signal
import time

import psutil
from support.fault_history import History
from support.system import System


def kill(system: System, history: History, name: str) -> bool:
    """True when the process was alive, and is not any more."""
    pid = system.living_pid_of(name)
    try:
        process = psutil.Process(pid) if pid is not None else None
        if process is None or process.status() == psutil.STATUS_ZOMBIE:
            return False
        at = time.time()
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    history.died(name, at)
    return True
