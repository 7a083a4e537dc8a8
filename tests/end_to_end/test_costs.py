"""The gate on speed: what one referral costs in statements, WAL, requests to Kafka and function calls."""

from pathlib import Path

import pytest

from benchmarks.costs import grown, measured


@pytest.mark.timeout(600)
async def test_no_cost_of_a_referral_has_grown_beyond_what_is_written_down(tmp_path: Path) -> None:
    """New values are written down by `./ihala bench costs --write`."""
    assert grown(await measured(tmp_path)) == []
