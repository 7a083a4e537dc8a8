"""One report of one run: goals first, then a section for each part, written anew after each so that none is lost.

Rule: a goal says reached, or missed and by how much, void, or not measured; a figure is never left out because it is
bad.  Beside the report: `steps.md`, the percentiles of every step, and `raw/`, its histograms as the generator wrote
them.
"""

import platform
import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from ihala_local.checkout import CHECKOUT

from benchmarks.figures import Bound, Figure, verdict
from benchmarks.load import StepResult

GOALS = Path(__file__).with_name("goals.toml")
SPANS = {"due_to_accepted": "due → 201", "accepted_to_told": "accepted → webhook", "due_to_told": "due → webhook"}
PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")


@dataclass
class Report:
    """figures: by the names in goals.toml."""

    folder: Path
    title: str
    figures: dict[str, Figure] = field(default_factory=dict)
    voids: list[str] = field(default_factory=list)
    _sections: list[str] = field(default_factory=list)
    _steps: list[list[str]] = field(default_factory=list)
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

    def found(self, name: str, value: float, void: str = "", bound: Bound = Bound.EXACT) -> None:
        self.figures[name] = Figure(value, void, bound)

    def note(self, name: str, result: StepResult) -> None:
        """Counts its ids, says so when it is void, and keeps its percentiles and its raw data."""
        self._count("ids.doubled", result.doubled)
        self._keep(name, result, result.void)

    def note_with_faults(self, name: str, result: StepResult) -> None:
        """The same where something was killed: an id may be told twice, and nobody compares latencies."""
        self._keep(name, result, f"{result.lost} lost" if result.lost else "")

    def _keep(self, name: str, result: StepResult, void: str) -> None:
        self._count("ids.lost", result.lost)
        if void:
            self.voids.append(f"{name}: {void}")
        self._steps += [[name, str(result.sent), *span_row(span, result), void] for span in SPANS]
        keep_raw(result, self.folder / "raw" / re.sub(r"[^\w.]+", "-", name))

    def _count(self, name: str, count: int) -> None:
        known = self.figures.get(name, Figure(0)).value
        self.found(name, known + count)

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        parts = [f"# {self.title}", self._machine(), "## Goals", goal_table(self.figures), *self._sections]
        if self.voids:
            parts.append("## Void\n\n" + "\n".join(f"- {each}" for each in self.voids))
        if self._steps:
            parts.append("The percentiles of every step: [steps.md](steps.md); its histograms: `raw/`.")
            (self.folder / "steps.md").write_text(step_page(self.title, self._steps))
        (self.folder / "README.md").write_text("\n\n".join(parts) + "\n")

    def _machine(self) -> str:
        memory_gb = psutil.virtual_memory().total / 2**30
        return (
            f"{self._began:%Y-%m-%d %H:%M} UTC, commit {commit()}. {psutil.cpu_count()} cores ({cpu_model()}), "
            f"{memory_gb:.0f} GB, {platform.system()} {platform.release()}, Python {platform.python_version()} "
            f"{how_python_was_built()}; load average before: {self._load:.1f}. Generator, sink, servers and services "
            "all on this machine. Compare within a run: ratios say more than figures."
        )


def span_row(span: str, result: StepResult) -> list[str]:
    """Milliseconds."""
    return [SPANS[span], *(f"{result.ms(span, percentile):.1f}" for percentile in PERCENTILES)]


def step_page(title: str, steps: Sequence[Sequence[str]]) -> str:
    rows = table(["step", "sent", "span", *PERCENTILES, "void"], steps)
    return f"# {title}: every step, ms\n\n{rows}\n"


def keep_raw(result: StepResult, folder: Path) -> None:
    if result.folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for file in (result.folder / "result.json", *result.folder.glob(f"{result.name}.*.hgrm")):
        shutil.copy(file, folder)


def goal_table(figures: Mapping[str, Figure]) -> str:
    goals: Sequence[Mapping[str, Any]] = tomllib.loads(GOALS.read_text())["goal"]
    return table(["goal", "wanted", "found", ""], [goal_row(goal, figures.get(goal["figure"])) for goal in goals])


def goal_row(goal: Mapping[str, Any], found: Figure | None) -> list[str]:
    least = "at_least" in goal
    limit = float(goal["at_least"] if least else goal["at_most"])
    wanted = f"{'≥' if least else '≤'} {limit:g}"
    if found is None:
        return [goal["name"], wanted, "", "not measured"]
    return [goal["name"], wanted, str(found), verdict(found, limit, least=least)]


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def commit() -> str:
    """Of the checkout, with a mark when it has changes."""
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or "unknown"


def how_python_was_built() -> str:
    """It matters by a third. Debian's is made with a profile without that option, and clears the flag afterwards."""
    arguments, generates, uses = (
        sysconfig.get_config_var(name) or "" for name in ("CONFIG_ARGS", "PGO_PROF_GEN_FLAG", "PGO_PROF_USE_FLAG")
    )
    guided = "--enable-optimizations" in arguments or bool(generates and not uses)
    linked = ", link-time optimised" if "--with-lto" in arguments else ""
    return f"(built {'with' if guided else 'without'} profile-guided optimisation{linked})"


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
