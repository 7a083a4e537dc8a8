"""What the person at the terminal sees: steps with their times, downloads, addresses and keys.

Rule: everything about progress goes to stderr, so that stdout carries answers alone (`status --json`).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from ihala_local.state import DEFAULT_FOLDER

ADDRESSES = ("intake", "referral", "notification", "sandbox_partner", "traces", "otlp", "kafka")

WIDTH_OF_A_FILE = 200  # nothing is folded for a terminal that is not there


class Console:
    """The terminal."""

    def __init__(self) -> None:
        self._err = RichConsole(stderr=True, highlight=False)
        self._out = RichConsole(highlight=False)
        if not self._out.is_terminal:
            self._out = RichConsole(highlight=False, width=WIDTH_OF_A_FILE)

    def note(self, text: str) -> None:
        self._err.print(f"[dim]·[/dim] {escape(text)}", soft_wrap=True)

    def failure(self, text: str) -> None:
        self._err.print(f"[bold red]✗[/bold red] {escape(text)}", soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Says when it is done and how long it took; a failure is told by whoever catches it."""
        started = time.monotonic()
        yield
        seconds = time.monotonic() - started
        self._err.print(f"[green]✓[/green] {escape(what)} [dim]{seconds:.1f} s[/dim]", soft_wrap=True)

    @contextmanager
    def download(self, what: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        """Shows a bar; call the answer with the bytes that arrived."""
        columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self._err, transient=True) as progress:
            task = progress.add_task(what, total=size_bytes)
            yield lambda arrived: progress.advance(task, arrived)

    @contextmanager
    def waiting(self, what: str) -> Iterator[Callable[[str], None]]:
        """A spinner; call the answer with what is going on now."""
        with self._err.status(what) as status:
            yield lambda doing: status.update(f"{what} {escape(doing)}")

    def show_endpoints(self, folder: Path, endpoints: Mapping[str, Any]) -> None:
        """Lines to copy from: never cut or wrapped, however narrow the terminal."""
        keys = endpoints["credentials"]
        lines = [(name.replace("_", " "), endpoints[name]) for name in ADDRESSES]
        lines += [(f"key of {role}", keys[role]) for role in ("desk", "operator", "protection", "integrator", "admin")]
        lines += [("keys of agencies", f"{len(keys['partners'])}, in {folder / 'endpoints.json'}")]
        for name, value in lines:
            self.print_raw(f"{name:<18} {value}")
        if folder != DEFAULT_FOLDER:
            self.note(f"other commands find it with --state {folder}")

    def show_status(self, status: Mapping[str, Any]) -> None:
        table = Table("", "pid", "state", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for process in status["processes"]:
            table.add_row(process["name"], str(process["pid"] or ""), process["state"])
        self._out.print(table)
        for group, records in status["lag"].items():
            self._out.print(f"{group}: {records} behind")
        for service, seconds in status["outbox_oldest_seconds"].items():
            self._out.print(f"{service}: oldest unpublished event {seconds:.1f} s")
        self._out.print(f"{status['parked']} parked")

    def show(self, table: Table) -> None:
        self._out.print(table)

    def print_raw(self, text: str) -> None:
        """For other programs to read: no markup, no wrapping."""
        self._out.print(text, markup=False, soft_wrap=True)
