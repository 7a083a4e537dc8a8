"""A stop comes to its end whatever a library does with a cancellation."""

import asyncio
import logging

import pytest
from ihala_runtime import kafka
from ihala_runtime.background import Background, ended
from ihala_runtime.kafka import Consumers
from ihala_runtime.kafka_address import KafkaAddress


async def test_a_task_that_lost_its_cancellation_is_cancelled_again() -> None:
    lost = []

    async def loses_two() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost.append(1)
                if len(lost) > 2:
                    raise

    async def heeds() -> None:
        await asyncio.sleep(60)

    tasks = Background().start([loses_two, heeds])
    await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await ended(tasks)

    assert all(task.done() for task in tasks)
    assert len(lost) == 3


async def test_a_library_stuck_while_it_leaves_its_groups_does_not_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kafka, "LEAVE_SECONDS", 0.05)
    consumers = Consumers(KafkaAddress("127.0.0.1:1"), "test", [])
    monkeypatch.setattr(consumers._broker, "stop", asyncio.Event().wait)

    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(10):
            await consumers.finish()

    assert "groups not left in time" in caplog.text
