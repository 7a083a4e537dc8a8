"""Starting and stopping one program under the wrapper (`child.py`).

Rule: a program is started only through `start`, so that it holds a lifeline and has a log file and a pid file.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ihala_local import child, sweeper
from ihala_local.accounts import Account

STOP_SECONDS = 15.0  # services drain within 10 s, see their own stop
ORPHAN_STOP_SECONDS = 3.0  # `up` was killed: nothing may outlive it by more than a few seconds
PID_FILE_SLACK_SECONDS = 5.0  # a pid file is written right after its process started


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.  disk: a folder whose disk must take an fsync, or it is not started."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = STOP_SECONDS
    account: Account | None = None
    disk: Path | None = None


@dataclass(frozen=True, slots=True)
class Folders:
    """Where programs leave their logs and pid files."""

    logs: Path
    run: Path

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def pid_file_of(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def make(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(parents=True, exist_ok=True)


class Lifeline:
    """The pipe every wrapper listens to. Its write end lives in this process alone and closes with it."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe()  # neither is inherited unless passed on by name

    def sweep_after_us(self, folders: Sequence[Path], pids: Path) -> None:
        """Removes the folders when we are gone and the programs of these pid files with us."""
        subprocess.Popen(  # noqa: S603 (our own sweeper)
            [sys.executable, "-I", "-S", sweeper.__file__, str(self.read_fd), str(pids), *map(str, folders)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(self.read_fd,),
            start_new_session=True,
        )

    def cut(self) -> None:
        """Every program still running stops by itself within a few seconds."""
        os.close(self._write_fd)
        os.close(self.read_fd)


@dataclass(frozen=True, slots=True)
class RunningProgram:
    """A started program and its wrapper."""

    program: Program
    wrapper: "subprocess.Popen[bytes]"
    pid_file: Path
    started_at: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int | None:
        """The program's own process, not its wrapper; None in the first instant."""
        try:
            return int(self.pid_file.read_text())
        except FileNotFoundError:
            return None

    def exit_code(self) -> int | None:
        return self.wrapper.poll()

    def ask_to_stop(self) -> None:
        if self.wrapper.poll() is None:
            self.wrapper.terminate()

    def wait(self) -> None:
        """Until it has ended; KILL after its time, also when the wrapper itself was killed."""
        try:
            self.wrapper.wait(self.program.stop_seconds + 5)
        except subprocess.TimeoutExpired:
            self.wrapper.kill()
            self.wrapper.wait()
        self.sweep()

    def sweep(self) -> None:
        """What a killed wrapper left running is ended, then forgotten."""
        end_leftover(self.pid_file)


def start(program: Program, folders: Folders, lifeline: Lifeline) -> RunningProgram:
    pid_file = folders.pid_file_of(program.name)
    pid_file.unlink(missing_ok=True)
    with folders.log_of(program.name).open("ab") as log:
        wrapper = subprocess.Popen(  # noqa: S603 (our own wrapper)
            [sys.executable, "-I", "-S", child.__file__, json.dumps(orders_for(program, pid_file, lifeline))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(program.environment),
            pass_fds=(lifeline.read_fd,),
            start_new_session=True,
        )
    return RunningProgram(program, wrapper, pid_file)


def orders_for(program: Program, pid_file: Path, lifeline: Lifeline) -> child.Orders:
    account = program.account
    return {
        "command": list(program.command),
        "lifeline_fd": lifeline.read_fd,
        "pid_file": str(pid_file),
        "stop_signal": program.stop_signal,
        "stop_seconds": program.stop_seconds,
        "orphan_stop_seconds": ORPHAN_STOP_SECONDS,
        "user": account.user_id if account else None,
        "group": account.group_id if account else None,
        "disk": str(program.disk) if program.disk else None,
    }


def end_leftover(pid_file: Path) -> None:
    """Ends the process a pid file names if it still is that process, and removes the file."""
    process = process_of(pid_file)
    if process is not None:
        process.kill()
        process.wait(timeout=10)
    pid_file.unlink(missing_ok=True)


def process_of(pid_file: Path) -> psutil.Process | None:
    """The living process a pid file was written for; None when it ended, even if its number is used again."""
    try:
        process = psutil.Process(int(pid_file.read_text()))
        age_seconds = abs(process.create_time() - pid_file.stat().st_mtime)
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    return process if alive and age_seconds < PID_FILE_SLACK_SECONDS else None


def last_lines(path: Path, count: int = 15) -> list[str]:
    """The end of a log, for a message about the program that wrote it."""
    try:
        written = path.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
    return [line for entry in written for line in readable(entry)][-count:]


def readable(entry: str) -> list[str]:
    """A JSON log entry as a person reads it: its event, unfolded."""
    try:
        fields = json.loads(entry)
    except json.JSONDecodeError:
        return [entry]
    if not isinstance(fields, dict) or "event" not in fields:
        return [entry]
    return f"{fields['event']}\n{fields.get('exception', '')}".strip().splitlines()
