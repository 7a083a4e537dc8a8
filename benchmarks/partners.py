"""A slow or dead agency must not hold up the others: the same load with some of them answering late or never.

Rule: what still waits in the queue of an agency that does not answer is not lost.
"""

from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.load import Load, Step, StepResult, run_load
from benchmarks.systems import Ihala, rss_mb

DRAIN_SECONDS = 30.0
LATE_SECONDS, NEVER = 2.0, -1.0
ONE = "essp-ine-lqliaa"  # the health centre of a commune that the load names
QUEUED = """
SELECT convert_from(body, 'UTF8')::jsonb #>> '{data,case_ref}' AS case_ref
FROM delivery WHERE partner_id = $1 AND channel = 'webhook' AND state = 'pending'
"""


@dataclass(frozen=True, slots=True)
class Others:
    """What the healthy agencies saw. rss_mb: of the notification service afterwards."""

    name: str
    result: StepResult
    rss_mb: float


async def slow_partners(system: Ihala, rate: float, seconds: float, folder: Path) -> list[Others]:
    """None slow, then one of the nine that get work answers after 2 s, then never."""
    found = []
    kinds: dict[str, dict[str, float]] = {
        "all healthy": {},
        "one in nine answers after 2 s": {ONE: LATE_SECONDS},
        "one in nine never answers": {ONE: NEVER},
    }
    for number, (name, slow) in enumerate(kinds.items()):
        load = Load([Step("warm-up", rate, 3), Step("step", rate, seconds)], drain_seconds=DRAIN_SECONDS, slow=slow)
        result = (await run_load(system, load, folder / str(number))).step("step")
        waiting = await queued(system, ONE)
        result.lost_ids = [case_ref for case_ref in result.lost_ids if case_ref not in waiting]
        notification = {"notification": system.processes()["notification-1"]}
        found.append(Others(name, result, rss_mb(notification)["notification"]))
        print(f"ihala  {name}: p99 of the others {result.ms('accepted_to_told', 'p99'):.1f} ms", flush=True)
    return found


async def queued(system: Ihala, partner_id: str) -> set[str]:
    """References of the cases of which the agency is still to be told."""
    connection = await asyncpg.connect(system.superuser_dsn, database="notification")
    try:
        return {row["case_ref"] for row in await connection.fetch(QUEUED, partner_id)}
    finally:
        await connection.close()
