"""The generator where there is no Go: the same orders, the same result. It is slower, and its own lag tells when.

Rule: a request is sent when its drawn time has come, whatever became of those before it, and its latency counts
from that time.

    python generator.py ORDERS.json FOLDER    writes FOLDER/result.json and one .hgrm for each step and span

SIGUSR1: enough is sent; what was sent is waited for and written as ever.
"""

import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import uvloop
from aiohttp import web
from hdrh.histogram import HdrHistogram

MOST_MICROSECONDS = 600_000_000
PROGRESS_SECONDS = 0.2
_letters = random.SystemRandom()


@dataclass
class Sent:
    """Instants on this process's monotonic clock, in seconds; None has not come yet."""

    step: int
    due: float
    started: float = 0.0
    accepted: float | None = None
    status: int = 0
    case_ref: str | None = None


@dataclass
class Arrival:
    """whole: when as many webhooks had come as the intake causes; None: not yet."""

    slow: bool
    times: int = 0
    whole: float | None = None


@dataclass
class Record:
    sent: list[Sent] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    arrivals: dict[str, Arrival] = field(default_factory=dict)

    @property
    def waiting(self) -> set[str]:
        return self.accepted - {case_ref for case_ref, arrived in self.arrivals.items() if arrived.whole}


Span = Callable[[Sent, Arrival | None], float | None]


def _told(of: Callable[[Sent], float | None]) -> Span:
    def took(sent: Sent, arrived: Arrival | None) -> float | None:
        start = of(sent)
        whole = arrived.whole if arrived and not arrived.slow else None
        return whole - start if whole is not None and start is not None else None

    return took


SPANS: dict[str, Span] = {
    "own_lag": lambda sent, _: sent.started - sent.due,
    "due_to_accepted": lambda sent, _: sent.accepted - sent.due if sent.accepted else None,
    "accepted_to_told": _told(lambda sent: sent.accepted),
    "due_to_told": _told(lambda sent: sent.due),
}


def an_intake(orders: dict[str, Any], number: int) -> dict[str, Any]:
    """A name of its own for each: the same one again would be held as a possible duplicate."""
    name = "Load " + "".join(_letters.choices("bdfgklmnrstz", k=12)).title() + " Example"
    variant = orders["variants"][orders["turns"][number % len(orders["turns"])]]
    intake: dict[str, Any] = orders["intake"] | variant
    return intake | {
        "received_at": datetime.now(UTC).isoformat(),
        "phone": f"+2126000{number % 100_000:05d}",
        "names": [{"script": "Latn", "role": "full", "value": name}],
    }


async def serve(orders: dict[str, Any], record: Record) -> web.AppRunner:
    """Receives webhooks at /hook/<agency>."""

    async def hook(request: web.Request) -> web.Response:
        at = time.perf_counter()
        case_ref = (await request.json())["data"]["case_ref"]
        seconds = orders["slow"].get(request.match_info["partner"])
        arrived = record.arrivals.setdefault(case_ref, Arrival(seconds is not None))
        arrived.times += 1
        if arrived.times == orders["webhooks"]:
            arrived.whole = at
        await asyncio.sleep(seconds or 0 if (seconds or 0) >= 0 else MOST_MICROSECONDS)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook/{partner}", hook)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", orders["sink_port"]).start()
    return runner


async def submit(
    session: aiohttp.ClientSession, orders: dict[str, Any], record: Record, sent: Sent, number: int
) -> None:
    headers = {"Authorization": f"Bearer {orders['key']}", "Idempotency-Key": str(uuid4())}
    intake = an_intake(orders, number)
    sent.started = time.perf_counter()
    try:
        async with session.post(orders["submit_url"], json=intake, headers=headers) as answer:
            sent.status = answer.status
            if answer.status == 201:
                sent.case_ref = str((await answer.json())["case_ref"])
                sent.accepted = time.perf_counter()
                record.accepted.add(sent.case_ref)
    except (aiohttp.ClientError, TimeoutError):
        sent.status = 599


async def send(session: aiohttp.ClientSession, orders: dict[str, Any], record: Record, enough: asyncio.Event) -> None:
    """No cap on what is under way; returns when all are answered. After enough, no other follows."""
    drawn = random.Random(orders["seed"])
    under_way = []
    due = time.perf_counter() + 0.2
    for index, step in enumerate(orders["steps"]):
        began, end = due, due + step["seconds"]
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if enough.is_set():
                step["seconds"] = max(0.0, time.perf_counter() - began)
                break
            sent = Sent(index, due)
            record.sent.append(sent)
            under_way.append(asyncio.create_task(submit(session, orders, record, sent, len(record.sent))))
            due += drawn.expovariate(step["rate"])
    await asyncio.gather(*under_way)


async def drain(orders: dict[str, Any], record: Record) -> None:
    deadline = time.perf_counter() + orders["drain_seconds"]
    while record.waiting and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # a second webhook for an id would come now


async def tell(record: Record) -> None:
    began = time.perf_counter()
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        accepted = len(record.accepted)
        told = accepted - len(record.waiting)
        seconds = round(time.perf_counter() - began, 3)
        line = {"seconds": seconds, "sent": len(record.sent), "accepted": accepted, "told": told}
        print(json.dumps(line), flush=True)


def result_of(folder: Path, step: dict[str, Any], sent: list[Sent], record: Record, webhooks: int) -> dict[str, Any]:
    pairs = [(each, record.arrivals.get(each.case_ref or "")) for each in sent]
    accepted = [(each, arrived) for each, arrived in pairs if each.case_ref]
    whole = [arrived for _, arrived in accepted if arrived and arrived.whole is not None]
    quick = [arrived for arrived in whole if not arrived.slow]
    return {
        **step,
        "sent": len(sent),
        "accepted": len(accepted),
        "told": len(quick),
        "told_slow": len(whole) - len(quick),
        "lost_ids": [each.case_ref for each, arrived in accepted if not (arrived and arrived.whole)],
        "doubled": sum(arrived.times > webhooks for arrived in quick),
        "refused": Counter(str(each.status) for each in sent if not each.case_ref),
        "latencies_ms": {
            name: figures(folder / f"{step['name']}.{name}.hgrm", of, pairs) for name, of in SPANS.items()
        },
    }


def figures(path: Path, of: Span, pairs: list[tuple[Sent, Arrival | None]]) -> dict[str, float]:
    histogram = HdrHistogram(1, MOST_MICROSECONDS, 3)
    for sent, arrived in pairs:
        took = of(sent, arrived)
        if took is not None:
            histogram.record_value(max(1, min(MOST_MICROSECONDS, int(took * 1e6))))
    with path.open("wb") as file:
        histogram.output_percentile_distribution(file, 1000.0)
    percentiles = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
    return {name: histogram.get_value_at_percentile(at) / 1000 for name, at in percentiles.items()}


def write_journal(path: Path, record: Record) -> None:
    """Each request's instants in seconds of the machine's clock; an empty one has not come."""
    to_clock = time.time() - time.perf_counter()
    lines = ["started,accepted,told"]
    for sent in record.sent:
        arrived = record.arrivals.get(sent.case_ref or "")
        instants = (sent.started or None, sent.accepted, arrived.whole if arrived else None)
        lines.append(",".join(f"{at + to_clock:.6f}" if at else "" for at in instants))
    path.write_text("\n".join(lines) + "\n")


async def main(orders: dict[str, Any], folder: Path) -> None:
    record = Record()
    runner = await serve(orders, record)
    progress = asyncio.create_task(tell(record))
    enough = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, enough.set)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await send(session, orders, record, enough)
        await drain(orders, record)
    progress.cancel()
    await runner.cleanup()
    steps = [
        result_of(folder, step, [each for each in record.sent if each.step == index], record, orders["webhooks"])
        for index, step in enumerate(orders["steps"])
    ]
    result = {"steps": steps, "cpu_seconds": time.process_time()}
    (folder / "result.json").write_text(json.dumps(result, indent=2))
    if orders["journal"]:
        write_journal(folder / "journal.csv", record)


if __name__ == "__main__":
    uvloop.run(main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])))
