"""Judges a fault run by ids, from three sides: what clients were told, what agencies received, what is stored.

G1-G8 and G10 in one place (the rules: `fault_rules.py`); each finding is a sentence with the id, and a run without
findings has passed. Rule: call it when the faults are over; it waits until nothing is under way, and says so when that
takes too long.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import asyncpg
from ihala_local.reconcile import reconcile
from ihala_local.replay import rebuild
from ihala_local.status import lag_at_the_broker
from support.databases import asked
from support.fault_load import CANARY, PATIENCE_SECONDS, Load
from support.fault_rules import RULES
from support.fault_stored import SERVICES, stored_in
from support.system import System
from support.waiting import wait_until

HEAL_SECONDS = 60.0
SERVER_BACK_SECONDS = 120.0  # a broker on a busy machine starts in half a minute
LOOK_SECONDS = 0.5
GROUPS = {"intake.addressees", "referral.router", "referral.receipts", "notification.dispatch"}
"""Who reads what the services tell each other."""
READ_MODELS = ("intake.addressees", "notification.partners")
READY_TIMEOUT = aiohttp.ClientTimeout(total=5)


@dataclass
class Verdict:
    """repeats: webhooks that arrived more than once, in all that was judged so far; without faults there are none."""

    findings: list[str] = field(default_factory=list)
    accepted: int = 0
    refused: int = 0
    repeats: int = 0
    healed_seconds: float = 0.0

    def __str__(self) -> str:
        counted = f"{self.accepted} accepted, {self.refused} refused, {self.repeats} repeated webhooks"
        lines = [f"{counted}, healed in {self.healed_seconds:.1f} s"]
        return "\n".join(lines + self.findings[:40])


async def judge(system: System, load: Load, *, within_seconds: float = HEAL_SECONDS) -> Verdict:
    """within_seconds: from the end of the last fault that the history was told of, or from now; a server's death ends
    when it answers again."""
    verdict, history = Verdict(), load.history
    began = await _servers_back(system, history.fault_over_at or time.time())
    await asyncio.wait_for(load.agencies_finished(), PATIENCE_SECONDS)
    verdict.findings += await _until_quiet(system, load, began + within_seconds)
    if verdict.findings:
        print("\n".join(verdict.findings))  # noqa: T201
        await _until_quiet(system, load, time.time() + within_seconds)  # what is late may still come: is it lost too?
    verdict.healed_seconds = time.time() - began
    history.fault_over_at = None
    await load.read_texts()
    stored = await stored_in(system)
    verdict.accepted, verdict.refused, verdict.repeats = len(history.accepted), len(history.refused), history.repeats
    for rule in RULES:
        verdict.findings += rule(history, stored)
    verdict.findings += await _by_its_own_books(system)
    verdict.findings += await asyncio.to_thread(_canaries_in_logs, system)
    print(f"\n{verdict}")  # noqa: T201
    return verdict


# --- waiting


async def _servers_back(system: System, fault_over_at: float) -> float:
    """When the fault was over, or when the last of the servers answers."""
    for answers in (_database_answers, _broker_answers):
        if not await answers(system):
            await wait_until(partial(answers, system), SERVER_BACK_SECONDS, "both servers are back")
            fault_over_at = time.time()
    return fault_over_at


async def _database_answers(system: System) -> bool:
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return bool(await _value(system, SERVICES[0], "SELECT 1"))
    return False


async def _broker_answers(system: System) -> bool:
    return bool(await lag_at_the_broker(system.endpoints["kafka"]))


async def _until_quiet(system: System, load: Load, deadline: float) -> list[str]:
    """G8: without anybody's help, all lag is gone, all outboxes are empty, no delivery waits, all are ready."""
    while True:
        try:
            under_way = await _under_way(system, load)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            under_way = [f"database: {type(error).__name__}"]
        if not under_way:
            return []
        if time.time() > deadline:
            return [f"G8: not healed in time: {each}" for each in under_way]
        await asyncio.sleep(LOOK_SECONDS)


async def _under_way(system: System, load: Load) -> list[str]:
    found = []
    for service in SERVICES:
        if rows := await _value(system, service, "SELECT count(*) FROM outbox"):
            found.append(f"{rows} events of {service} are not published")
        if rows := await _value(system, service, "SELECT count(*) FROM parked WHERE state = 'waiting'"):
            found.append(f"{rows} records are parked in {service}")
        if rows := await _value(system, service, "SELECT count(*) FROM unanswered"):
            found.append(f"{rows} events of {service} lack an answer")
    if rows := await _value(system, "notification", "SELECT count(*) FROM delivery WHERE state = 'pending'"):
        found.append(f"{rows} deliveries wait")
    if load.agencies_answering:  # the last that was told may only begin
        found.append(f"{load.agencies_answering} agencies answer")
    return found + await behind(system) + await not_ready(system)


async def _value(system: System, service: str, query: str) -> Any:
    return (await asked(system, service, query))[0][0]


async def behind(system: System) -> list[str]:
    lag = await lag_at_the_broker(system.endpoints["kafka"])
    unknown = GROUPS - {group for group, _, _ in lag}
    behind = [f"{group} lags by {records} of {topic}" for (group, topic, _), records in lag.items() if records]
    return behind + [f"nobody knows the lag of {group}" for group in sorted(unknown)]


async def not_ready(system: System) -> list[str]:
    found = []
    async with aiohttp.ClientSession(timeout=READY_TIMEOUT) as session:
        for url in (url for service in SERVICES for url in system.urls_of(service)):
            try:
                async with session.get(f"{url}/ready") as answer:
                    if answer.status != 200:
                        found.append(f"{url} is not ready: {await answer.text()}")
            except (aiohttp.ClientError, TimeoutError) as error:
                found.append(f"{url} does not answer: {type(error).__name__}")
    return found


# --- the system's own word, and its logs


async def _by_its_own_books(system: System) -> list[str]:
    """What an operator would be shown: nothing stuck, nothing unanswered, read models as the history gives them."""
    books = await reconcile(system.endpoints, datetime.now(UTC) - timedelta(days=1), None)
    found = [f"G1: `reconcile` says {each}" for each in (*books["stuck"], *books["unanswered"])]
    for model in READ_MODELS:
        compared = await rebuild(system.endpoints, model, check=True)
        if not compared["equal"]:
            found.append(f"G10: {model} is not what its history gives: {compared}")
    return found


def _canaries_in_logs(system: System) -> Iterable[str]:
    """G7, what a fault may bring out: no name in a log or a dump of a process that was killed."""
    return [
        f"G7: {path.name} holds a name"
        for path in (system.folder / "logs").iterdir()
        if CANARY.encode() in path.read_bytes()
    ]
