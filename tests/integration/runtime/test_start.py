"""A service ends when it is told to: while it waits for its database, and when its stop gets stuck."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ihala_events.topics import FIXED_TOPICS
from ihala_local.ports import new_port
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.topics import make_topics
from support import stuck_service
from support.servers import NewDatabase
from support.waiting import wait_until


async def test_a_service_that_waits_for_its_database_ends_when_it_is_told_to(tmp_path: Path) -> None:
    silent = new_port(set())
    nowhere = f"127.0.0.1:{silent}"
    told = {
        "IHALA_POSTGRES_DSN": f"postgresql://nobody:nothing@{nowhere}/none",
        "IHALA_KAFKA_BOOTSTRAP": nowhere,
        "IHALA_HTTP_PORT": str(new_port({silent})),
    }
    ended, said = await stopped(tmp_path, ["-m", "ihala_referral"], told, once="database not reachable")
    assert ended == 128 + signal.SIGTERM
    assert "stopped before it had started" in said


async def test_a_stop_that_gets_stuck_is_ended_and_says_what_it_waited_for(
    tmp_path: Path, kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    await make_topics(KafkaAddress(kafka_bootstrap), FIXED_TOPICS)
    told = {
        "IHALA_POSTGRES_DSN": await new_database(),
        "IHALA_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "IHALA_HTTP_PORT": str(new_port(set())),
    }
    (tmp_path / "migrations").mkdir()
    program = [str(stuck_service.__file__), str(tmp_path / "migrations")]
    ended, said = await stopped(tmp_path, program, told, once="Uvicorn running")
    assert ended == 1
    assert "not stopped in time" in said
    assert "LifespanOn.main" in said


async def stopped(folder: Path, program: Sequence[str], told: Mapping[str, str], once: str) -> tuple[int, str]:
    """(exit code, log) of a service that gets a SIGTERM when its log says ``once``."""
    log = folder / "log"
    with log.open("wb") as output:
        service = await asyncio.create_subprocess_exec(
            sys.executable, *program, env={**os.environ, **told}, stdout=output, stderr=output
        )
    try:
        await wait_until(lambda: once in log.read_text(), within_seconds=60)
        service.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(service.wait(), 30), log.read_text()
    finally:
        if service.returncode is None:
            service.kill()
            await service.wait()
