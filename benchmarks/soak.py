"""The same load for long: what grows with time that should not."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.load import Load, Step, StepResult, loading
from benchmarks.recovery import memory
from benchmarks.systems import Ihala

LOOK_SECONDS = 10.0
SIZES = """
    SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal,
        sum(pg_database_size(datname))::bigint AS tables
    FROM pg_database WHERE datname IN ('intake', 'intake_keys', 'referral', 'notification')
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """RSS of the three services in MB; WAL ever written and databases on disk in MB."""

    minutes: float
    told: int
    rss_mb: float
    wal_mb: float
    tables_mb: float


@dataclass(frozen=True, slots=True)
class Soaked:
    result: StepResult
    samples: Sequence[Sample]


async def soak(system: Ihala, rate: float, minutes: float, folder: Path) -> Soaked:
    samples: list[Sample] = []
    server = await asyncpg.connect(system.superuser_dsn)
    began = time.monotonic()
    try:
        async with loading(system, Load([Step("soak", rate, minutes * 60)]), folder) as load:
            while load.process.returncode is None:
                (sizes,) = await server.fetch(SIZES)
                passed = (time.monotonic() - began) / 60
                mb = (memory(system), sizes["wal"] / 2**20, sizes["tables"] / 2**20)
                samples.append(Sample(passed, load.now.told, *mb))
                await asyncio.sleep(LOOK_SECONDS)
            result = await load.result()
    finally:
        await server.close()
    return Soaked(result.step("soak"), samples)
