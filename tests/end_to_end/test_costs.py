"""The gate on speed: what one referral costs in statements, WAL, requests to Kafka and function calls."""

from pathlib import Path

import pytest

from benchmarks.costs import fallen, grown, measured, written_down


@pytest.mark.timeout(600)
async def test_what_a_referral_costs_is_what_is_written_down(tmp_path: Path) -> None:
    """New values are written down by `./ihala bench costs --write`."""
    found = await measured(tmp_path)

    assert (grown(found), fallen(found)) == ([], [])


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
