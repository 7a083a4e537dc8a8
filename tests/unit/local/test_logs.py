"""The end of a log, as it is shown when its program failed."""

import json
from pathlib import Path

from ihala_local.processes import last_lines


def test_only_the_last_lines_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    assert last_lines(log, 2) == ["line 98", "line 99"]


def test_a_json_entry_is_unfolded(tmp_path: Path) -> None:
    log = tmp_path / "intake-1.log"
    log.write_text(json.dumps({"event": "Traceback:\n  the disk is missing", "level": "error"}) + "\n")

    assert last_lines(log) == ["Traceback:", "  the disk is missing"]


def test_what_is_not_an_entry_stays_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "intake-1.log"
    log.write_text('{"broken\n[1, 2]\n')

    assert last_lines(log) == ['{"broken', "[1, 2]"]


def test_a_program_that_wrote_nothing_has_no_last_words(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "missing.log") == []
