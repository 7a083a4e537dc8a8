"""A service whose database is away: it waits, and ends when it is told to."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from ihala_local.ports import new_port
from support.waiting import wait_until


async def test_a_service_that_waits_for_its_database_ends_when_it_is_told_to(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{new_port(set())}"
    told = {
        "IHALA_POSTGRES_DSN": f"postgresql://nobody:nothing@{nowhere}/none",
        "IHALA_KAFKA_BOOTSTRAP": nowhere,
        "IHALA_HTTP_PORT": str(new_port(set())),
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        service = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ihala_referral", env={**os.environ, **told}, stdout=output, stderr=output
        )
    try:
        await wait_until(lambda: "database not reachable" in log.read_text(), within_seconds=60)
        service.send_signal(signal.SIGTERM)
        ended = await asyncio.wait_for(service.wait(), 20)
    finally:
        if service.returncode is None:
            service.kill()
    assert ended == 128 + signal.SIGTERM
    assert "stopped before it had started" in log.read_text()
