"""The gate on speed: what one referral costs in statements, rows read, WAL, requests to Kafka and function calls."""

from pathlib import Path

import pytest

from benchmarks.costs import fallen, grown, measured, written_down
from benchmarks.rows_read import KNOWN, rows_read

FEW_ROWS = 400  # small tables, and the newest pages of large ones, are read whole at each look for work


@pytest.mark.timeout(600)
async def test_what_a_referral_costs_is_what_is_written_down(tmp_path: Path) -> None:
    """New values are written down by `./ihala bench costs --write`."""
    found = await measured(tmp_path)

    assert (grown(found), fallen(found)) == ([], [])


@pytest.mark.timeout(300)
async def test_no_statement_reads_all_that_is_known(tmp_path: Path) -> None:
    """Nor does it where the server has not counted yet what came since it was started."""
    assert FEW_ROWS < KNOWN / 10

    assert {table: rows for table, rows in (await rows_read(tmp_path)).items() if rows > FEW_ROWS} == {}


def test_what_grew_and_what_fell_is_named() -> None:
    found = {way: {name: known["value"] for name, known in costs.items()} for way, costs in written_down().items()}
    assert (grown(found), fallen(found)) == ([], [])

    found["serial"]["intake.statements"] += 1
    found["moves"]["referral.transactions"] -= 1
    found["backlog"]["referral.statements"] -= 0.5  # more than an idle system's share can be off

    assert [sentence.partition(":")[0] for sentence in grown(found)] == ["serial intake.statements"]
    assert [sentence.partition(":")[0] for sentence in fallen(found)] == [
        "backlog referral.statements",
        "moves referral.transactions",
    ]
