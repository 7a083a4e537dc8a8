"""What it costs that an acknowledgement means "on disk": the same load with and without, by turns, in one system.

Rule: the system ends as it began, with everything on disk.
"""

from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from benchmarks.ladder import Length, Rung, one_rung
from benchmarks.systems import Ihala

NEVER = str(2**63 - 1)  # Kafka's own default: the operating system writes when it likes
TURNS = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """One turn."""

    on_disk: Rung
    in_memory: Rung


async def power_loss(system: Ihala, rate: float, length: Length, folder: Path) -> list[Pair]:
    pairs = []
    try:
        for turn in range(TURNS):
            await keep_on_disk(system, on=True)
            on_disk = await one_rung(system, rate, length, folder / f"{turn}-on")
            await keep_on_disk(system, on=False)
            pairs.append(Pair(on_disk, await one_rung(system, rate, length, folder / f"{turn}-off")))
    finally:
        await keep_on_disk(system, on=True)
    return pairs


async def keep_on_disk(system: Ihala, *, on: bool) -> None:
    """Kafka's flush of each record and PostgreSQL's of each commit."""
    admin = AIOKafkaAdminClient(bootstrap_servers=system.endpoints["kafka"])
    await admin.start()
    try:
        flush = {"log.flush.interval.messages": "1" if on else NEVER}
        await admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", flush)])
    finally:
        await admin.close()
    server = await asyncpg.connect(system.superuser_dsn)
    try:
        await server.execute(f"ALTER SYSTEM SET synchronous_commit = {'on' if on else 'off'}")
        await server.execute("SELECT pg_reload_conf()")
    finally:
        await server.close()
