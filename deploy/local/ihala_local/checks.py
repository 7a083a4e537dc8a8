"""`ihala test`: style, types and import contracts, then pytest over all parts or one.

Rule: nothing is skipped after a failure, pytest's own closing lines come last, and the exit code is 0 only when
everything passed.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ihala_local.checkout import CHECKOUT
from ihala_local.failures import LocalFailure

PARTS = {
    "unit": "tests/unit",
    "contract": "tests/contract",
    "integration": "tests/integration",
    "e2e": "tests/end_to_end",
    "faults": "tests/faults",
    "browser": "tests/browser",
}
TYPED = ("shared", "services", "deploy", "tests", "benchmarks")


class UnknownPart(LocalFailure):
    """No tests go by this name."""


@dataclass(frozen=True, slots=True)
class Check:
    """One program of the development group."""

    name: str
    command: tuple[str, ...]

    def passes(self) -> bool:
        program, *arguments = self.command
        beside_python = Path(sys.executable).with_name(program)
        return subprocess.run([beside_python, *arguments], cwd=CHECKOUT, check=False).returncode == 0  # noqa: S603


def run_checks(words: Sequence[str]) -> int:
    """The exit code. A part alone is for work in progress: it leaves out style, types and imports."""
    part, pytest_arguments = part_of(words)
    checks = [*(static_checks() if part is None else []), pytest_of(part, pytest_arguments)]
    failed = [check.name for check in checks if not check.passes()]
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def run_benchmarks(words: Sequence[str]) -> int:
    """The exit code: 0 when every measurement counts."""
    return subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=CHECKOUT, check=False).returncode  # noqa: S603


def part_of(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The part, if the first word is one, and what is left for pytest."""
    if not words or words[0].startswith("-"):
        return None, words
    if words[0] not in PARTS:
        raise UnknownPart(f"{words[0]}: the parts are {', '.join(PARTS)}")
    return words[0], words[1:]


def static_checks() -> list[Check]:
    typed = [folder for folder in TYPED if any((CHECKOUT / folder).rglob("*.py"))]
    return [
        Check("ruff check", ("ruff", "check", ".")),
        Check("ruff format", ("ruff", "format", "--check", ".")),
        Check("mypy", ("mypy", *typed)),
        Check("import contracts", ("lint-imports",)),
    ]


def pytest_of(part: str | None, arguments: Sequence[str]) -> Check:
    folders = [PARTS[part]] if part else []
    return Check("pytest", ("pytest", *folders, *arguments))
