"""One report of one run: goals first, then a section for each part, written anew after each so that none is lost.

Rule: a goal says reached, or missed and by how much, or not measured; a figure is never left out because it is bad.
"""

import platform
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from ihala_local.checkout import CHECKOUT

GOALS = Path(__file__).with_name("goals.toml")


@dataclass
class Report:
    """figures: by the names in goals.toml."""

    folder: Path
    title: str
    figures: dict[str, float] = field(default_factory=dict)
    voids: list[str] = field(default_factory=list)
    _sections: list[str] = field(default_factory=list)
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _load: float = field(default_factory=lambda: psutil.getloadavg()[1])

    def add(self, heading: str, *paragraphs: str) -> None:
        self._sections.append("\n\n".join([f"## {heading}", *paragraphs]))
        self.write()

    def plot(self, name: str, svg: str) -> str:
        """Keeps the picture; the Markdown that shows it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.svg").write_text(svg)
        return f"![{name}]({name}.svg)"

    def count_ids(self, lost: int, doubled: int) -> None:
        for name, count in (("ids.lost", lost), ("ids.doubled", doubled)):
            self.figures[name] = self.figures.get(name, 0) + count

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        parts = [f"# {self.title}", self._machine(), "## Goals", goal_table(self.figures), *self._sections]
        if self.voids:
            parts.append("## Void\n\n" + "\n".join(f"- {each}" for each in self.voids))
        (self.folder / "README.md").write_text("\n\n".join(parts) + "\n")

    def _machine(self) -> str:
        memory_gb = psutil.virtual_memory().total / 2**30
        return (
            f"{self._began:%Y-%m-%d %H:%M} UTC, commit {commit()}. {psutil.cpu_count()} cores ({cpu_model()}), "
            f"{memory_gb:.0f} GB, {platform.system()} {platform.release()}, Python {platform.python_version()}; "
            f"load average before: {self._load:.1f}. Generator, sink, servers and services all on this machine. "
            "Compare within a run: ratios say more than figures."
        )


def goal_table(figures: Mapping[str, float]) -> str:
    goals: Sequence[Mapping[str, Any]] = tomllib.loads(GOALS.read_text())["goal"]
    return table(["goal", "wanted", "found", ""], [goal_row(goal, figures.get(goal["figure"])) for goal in goals])


def goal_row(goal: Mapping[str, Any], found: float | None) -> list[str]:
    least = "at_least" in goal
    limit = float(goal["at_least"] if least else goal["at_most"])
    wanted = f"{'≥' if least else '≤'} {limit:g}"
    if found is None:
        return [goal["name"], wanted, "", "not measured"]
    reached = found >= limit if least else found <= limit
    return [goal["name"], wanted, f"{found:.3g}", "reached" if reached else missed_by(found, limit)]


def missed_by(found: float, limit: float) -> str:
    return f"missed: {found / limit:.2g} of it" if limit else "missed"


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def commit() -> str:
    """Of the checkout, with a mark when it has changes."""
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or "unknown"


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
