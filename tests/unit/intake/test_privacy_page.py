"""docs/privacy.md names a test for each requirement, and each test it names is there."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
PAGE = (CHECKOUT / "docs" / "privacy.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (P\d\d) \|", re.MULTILINE)
NAMED = re.compile(r"`(?P<file>[\w/]+\.py)(?:::(?P<test>test_\w+))?`")


def test_every_requirement_has_its_row() -> None:
    assert ROW.findall(PAGE) == [f"P{number:02}" for number in range(1, 27)]


def test_every_test_that_is_named_is_there() -> None:
    missing = [
        found[0]
        for found in NAMED.finditer(PAGE.split("## Requirements")[1])
        if not has(CHECKOUT / "tests" / found["file"], found["test"])
    ]

    assert missing == []


def has(file: Path, test: str | None) -> bool:
    return file.exists() and (test is None or f"def {test}(" in file.read_text(encoding="utf-8"))
