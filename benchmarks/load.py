"""Open-loop load on a running local system: from the scheduled instant to the agency's webhook, by id.

Rule: a request is sent when its time has come, whatever became of those before; a lost or doubled id voids the run.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import psutil
from aiohttp import web
from hdrh.histogram import HdrHistogram

COMMUNES = [
    "AGD-AGADIR", "AGD-DRARGUA", "AGD-AOURIR", "INE-INEZGANE", "INE-AIT-MELLOUL", "INE-DCHEIRA", "INE-LQLIAA",
    "INE-TEMSIA", "INE-OULAD-DAHOU",
]  # fmt: skip
DRAIN_SECONDS = 60
OWN_LAG_LIMIT_MS = 5.0
MAX_MICROSECONDS = 300_000_000


@dataclass
class Sent:
    """Instants on this process's monotonic clock, in seconds."""

    due: float
    started: float = 0.0
    accepted: float | None = None
    status: int = 0
    case_ref: str | None = None


@dataclass
class Run:
    sent: list[Sent] = field(default_factory=list)
    received: dict[str, list[float]] = field(default_factory=dict)
    webhook_ids: dict[str, set[str]] = field(default_factory=dict)


def a_name() -> str:
    """A name of its own for each, in every run: the same one again would be held as a possible duplicate."""
    return "Load " + "".join(_letters.choices("bdfgklmnrstz", k=12)).title() + " Example"


_letters = random.SystemRandom()


def an_intake(number: int) -> dict[str, Any]:
    """One need, one referral; communes in turn, so that nine agencies share the load."""
    return {
        "desk_id": "baom-agadir",
        "received_at": datetime.now(UTC).isoformat(),
        "commune_code": COMMUNES[number % len(COMMUNES)],
        "age_band": "25-59",
        "languages": [{"tag": "fr", "level": "good"}],
        "needs": [{"need_code": "HEA-PHC"}],
        "names": [{"script": "Latn", "value": a_name(), "role": "full"}],
        "phone": f"+2126000{number % 100_000:05d}",
        "safe_contact": {"channel": "SMS", "language": "fr"},
        "consent": {
            "text_version": "2026-11", "lang": "fr", "mode": "oral", "basis": "CONSENT",
            "scope": [{"need_code": "HEA-PHC", "partner_types": ["PT-ESSP"]}],
        },
        "staff": ["officer-1"],
    }  # fmt: skip


async def sink(run: Run) -> tuple[web.AppRunner, int]:
    """Receives webhooks and notes when; (runner, port)."""

    async def hook(request: web.Request) -> web.Response:
        body = await request.json()
        case_ref = body["data"]["case_ref"]
        run.received.setdefault(case_ref, []).append(time.perf_counter())
        run.webhook_ids.setdefault(case_ref, set()).add(request.headers["webhook-id"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook/{partner}", hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, runner.addresses[0][1]


async def point_endpoints(session: aiohttp.ClientSession, endpoints: Mapping[str, Any], base: str) -> None:
    """Every agency's webhooks go to ``base`` followed by its id."""
    headers = {"Authorization": f"Bearer {endpoints['credentials']['admin']}"}
    for partner_id in endpoints["credentials"]["partners"]:
        url = f"{endpoints['notification']}/v1/endpoints/{partner_id}"
        async with session.put(url, json={"url": f"{base}/hook/{partner_id}"}, headers=headers) as response:
            response.raise_for_status()


async def submit(session: aiohttp.ClientSession, endpoints: Mapping[str, Any], number: int, sent: Sent) -> None:
    headers = {"Authorization": f"Bearer {endpoints['credentials']['desk']}", "Idempotency-Key": str(uuid4())}
    sent.started = time.perf_counter()
    try:
        async with session.post(f"{endpoints['intake']}/v1/intakes", json=an_intake(number), headers=headers) as answer:
            sent.status = answer.status
            if answer.status == 201:
                sent.case_ref = (await answer.json())["case_ref"]
                sent.accepted = time.perf_counter()
    except aiohttp.ClientError:
        sent.status = 599


async def generate(
    session: aiohttp.ClientSession, endpoints: Mapping[str, Any], run: Run, rate: float, seconds: float
) -> None:
    """Send at the drawn instants; no cap on what is under way."""
    random.seed(1)
    under_way = []
    due = time.perf_counter() + 0.5
    end = due + seconds
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent = Sent(due)
        run.sent.append(sent)
        under_way.append(asyncio.create_task(submit(session, endpoints, len(run.sent), sent)))
        due += random.expovariate(rate)
    await asyncio.gather(*under_way)


async def drained(run: Run) -> None:
    deadline = time.perf_counter() + DRAIN_SECONDS
    wanted = {sent.case_ref for sent in run.sent if sent.case_ref}
    while wanted - run.received.keys() and time.perf_counter() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def cpu_seconds(processes: Mapping[str, int]) -> dict[str, float]:
    """User and system time of each process and its children."""
    used = {}
    for name, pid in processes.items():
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        used[name] = sum(sum(each.cpu_times()[:2]) for each in tree)
    return used


def histogram(values: list[float]) -> HdrHistogram:
    """Seconds in, microseconds kept with three digits."""
    made = HdrHistogram(1, MAX_MICROSECONDS, 3)
    for value in values:
        made.record_value(max(1, min(MAX_MICROSECONDS, int(value * 1e6))))
    return made


def row(name: str, values: list[float]) -> str:
    made = histogram(values)
    figures = [made.get_value_at_percentile(p) / 1000 for p in (50, 90, 99, 99.9, 100)]
    return f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |"


def report(run: Run, rate: float, seconds: float, cpu: Mapping[str, float]) -> tuple[str, bool]:
    """(Markdown, whether the run counts)."""
    good = [sent for sent in run.sent if sent.case_ref]
    arrived = [(sent, run.received[sent.case_ref][0]) for sent in good if sent.case_ref in run.received]
    lost = len(good) - len(arrived)
    doubled = sum(len(ids) > 1 for ids in run.webhook_ids.values())
    own_lag = histogram([sent.started - sent.due for sent in run.sent]).get_value_at_percentile(99) / 1000
    lines = [
        f"{rate:g} intakes/s for {seconds:g} s: {len(run.sent)} sent, {len(good)} accepted, {len(arrived)} told.",
        f"Lost {lost}, doubled {doubled}; generator's own lag p99 {own_lag:.2f} ms.",
        "",
        "| milliseconds | p50 | p90 | p99 | p99.9 | max |",
        "|---|---|---|---|---|---|",
        row("due → 201", [sent.accepted - sent.due for sent in good if sent.accepted]),
        row("accepted → webhook", [at - (sent.accepted or at) for sent, at in arrived]),
        row("due → webhook", [at - sent.due for sent, at in arrived]),
        "",
        "CPU ms per referral: "
        + ", ".join(f"{name} {used / max(1, len(arrived)) * 1000:.2f}" for name, used in cpu.items()),
    ]
    refused = {sent.status for sent in run.sent if not sent.case_ref}
    if refused:
        lines.append(f"Not accepted with status: {sorted(refused)}")
    return "\n".join(lines), not lost and not doubled and own_lag <= OWN_LAG_LIMIT_MS


async def main(state: Path, rate: float, seconds: float) -> bool:
    endpoints = json.loads((state / "endpoints.json").read_text())
    status = json.loads(await _status(state))
    pids = {each["name"]: each["pid"] for each in status["processes"] if each["pid"]}
    run = Run()
    runner, port = await sink(run)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await point_endpoints(session, endpoints, f"http://127.0.0.1:{port}")
        await generate(session, endpoints, Run(), min(rate, 20), 5)  # warm up
        await asyncio.sleep(1)
        run.received.clear()
        run.webhook_ids.clear()
        before = cpu_seconds(pids)
        await generate(session, endpoints, run, rate, seconds)
        await drained(run)
        cpu = {name: used - before[name] for name, used in cpu_seconds(pids).items()}
        text, counts = report(run, rate, seconds, cpu)
        await point_endpoints(session, endpoints, endpoints["sandbox_partner"])
    await runner.cleanup()
    after = json.loads(await _status(state))
    print(text)
    left = f"lag {sum(after['lag'].values())}, outbox {after['outbox_oldest_seconds']}, parked {after['parked']}"
    print(f"Afterwards: {left}")
    print("The run counts." if counts else "VOID: see lost, doubled and the generator's own lag.")
    return counts


async def _status(state: Path) -> bytes:
    command = [sys.executable, "-m", "ihala_local", "status", "--json", "--state", str(state)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".ihala"))
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    sys.exit(0 if asyncio.run(main(given.state, given.rate, given.seconds)) else 1)
