"""Looks for what may be a real person's or a real secret in every file that is tracked (P26).

A telephone, an address, a number of a paper: what looks like one and is neither of a range kept for tests nor in
`real_data_allowed.toml`, with its reason, is found.
"""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
ALLOWED_FILE = Path(__file__).with_name("real_data_allowed.toml")

PATTERNS = {
    "phone": r"(?<![\w.+/-])(?:\+[1-9]|00[1-9]|0[5-8])(?:[ .\-]?\d){7,13}(?![\w-])",
    "e-mail": r"(?<![\w.+%/:-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}",
    "identity": r"(?<![\w-])(?:[A-Z]{1,2} ?\d{5,6}|[A-Z]\d{9}|\d{3}-\d{2}[A-Z]\d{5}|\d{3}-\d{8})(?![\w-])",
    "coordinates": r"(?<![\w.])-?[1-9]\d?\.\d{3,}\s*[,;]\s*-?[1-9]\d{0,2}\.\d{3,}(?![\w.])",
    "secret": r"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|xox[abp]-[\w-]{10,}"
    r"|ihala_[0-9a-f]{16}_[0-9a-f]{64}|whsec_[A-Za-z0-9+/]{32,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}",
}
KEPT_FOR_TESTS = {
    "phone": r"(?:\+|00)2126000\d{5}|06000\d{5}",
    "e-mail": r".*[@.](?:example(?:\.(?:com|net|org|ma))?|test|invalid|localhost)",
}
NO_TEXT = frozenset({".png", ".svg", ".lock"})


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """value: what looks real.  kind: as in PATTERNS."""

    path: str
    line: int
    kind: str
    value: str


def looks_real(text: str, path: str = "") -> Iterator[Found]:
    """Everything that is of no range kept for tests."""
    for number, line in enumerate(text.splitlines(), start=1):
        for kind, pattern in PATTERNS.items():
            for match in re.finditer(pattern, line):
                value = match.group()
                if not re.fullmatch(KEPT_FOR_TESTS.get(kind, "(?!)"), _plain(value, kind)):
                    yield Found(path, number, kind, value)


def _plain(value: str, kind: str) -> str:
    return re.sub(r"[ .\-]", "", value) if kind == "phone" else value


def in_the_repository() -> list[Found]:
    return [found for path in tracked_files() for found in looks_real(_read(path), path)]


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True, text=True)
    return [path for path in listed.stdout.split("\0") if path and Path(path).suffix not in NO_TEXT]


def _read(path: str) -> str:
    file = CHECKOUT / path
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def allowed() -> dict[tuple[str, str], str]:
    """Why a value may stand, by kind and value."""
    rows = tomllib.loads(ALLOWED_FILE.read_text(encoding="utf-8"))["allowed"]
    return {(row["kind"], value): row["why"] for row in rows for value in row["values"]}
