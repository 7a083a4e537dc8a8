"""A report keeps every step's percentiles and raw data, and shows what is void as void."""

from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.load import StepResult
from benchmarks.report import PERCENTILES, SPANS, Report


def a_step(folder: Path, *, lost: int = 0) -> StepResult:
    """With the files that a generator leaves."""
    folder.mkdir()
    for name in ("result.json", "step.due_to_told.hgrm", "warm-up.due_to_told.hgrm"):
        (folder / name).write_text(name)
    latencies = {span: dict.fromkeys(PERCENTILES, 12.5) for span in (*SPANS, "own_lag")}
    latencies["own_lag"] = dict.fromkeys(PERCENTILES, 0.1)
    lost_ids = [f"X-{number}" for number in range(lost)]
    counts = {"sent": 40, "accepted": 40, "told": 40 - lost, "told_slow": 0, "doubled": 0}
    return StepResult(
        name="step", rate=20, seconds=2, lost_ids=lost_ids, refused={}, latencies_ms=latencies, folder=folder, **counts
    )


def test_every_step_stays_with_its_percentiles_and_its_raw_data(tmp_path: Path) -> None:
    report = Report(tmp_path / "report", "invented")
    report.note("ladder 1, ihala at 20/s", a_step(tmp_path / "load"))
    report.write()

    rows = [line for line in (report.folder / "steps.md").read_text().splitlines() if "ihala at 20/s" in line]
    assert len(rows) == 3
    assert all(row.count("12.5") == 5 for row in rows)
    kept = {file.name for file in (report.folder / "raw" / "ladder-1-ihala-at-20-s").iterdir()}
    assert kept == {"result.json", "step.due_to_told.hgrm"}


def test_what_was_lost_makes_its_step_void_and_its_goal_missed(tmp_path: Path) -> None:
    report = Report(tmp_path / "report", "invented")
    report.note("20/s", a_step(tmp_path / "load", lost=2))
    report.figures["knee.ihala"] = Figure(400, "2 lost")
    report.write()

    page = (report.folder / "README.md").read_text()
    assert "| ids lost, all loads | ≤ 0 | 2 | missed |" in page
    assert "| sustained with a p99 below 250 ms, /s | ≥ 300 | 400 | void: 2 lost |" in page
    assert "- 20/s: 2 lost" in page
    assert "| sustained against the floor (knee / knee) | ≥ 0.5 |  | not measured |" in page


def test_where_something_was_killed_an_id_may_be_told_twice(tmp_path: Path) -> None:
    report = Report(tmp_path / "report", "invented")
    twice = a_step(tmp_path / "load")
    twice.doubled = 3
    report.note_with_faults("kill -9", twice)

    assert not report.voids
    assert "ids.doubled" not in report.figures
