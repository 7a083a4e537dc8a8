"""At most one batch in a moment, and nobody waits where the last one was long ago."""

import pytest
from ihala_runtime import pace
from ihala_runtime.pace import Pace


async def test_a_turn_waits_for_what_is_left_of_the_last_ones_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        waited.append(seconds)
        now += seconds

    monkeypatch.setattr(pace, "monotonic", lambda: now)
    monkeypatch.setattr("ihala_runtime.pace.asyncio.sleep", sleep)
    paced = Pace(2.0)

    await paced.turn()
    assert waited == []
    now += 0.5
    await paced.turn()
    assert waited == [1.5]
    await paced.turn()
    assert waited == [1.5, 2.0]
    now += 2.0
    await paced.turn()
    assert waited == [1.5, 2.0]
