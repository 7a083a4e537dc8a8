"""The words of `./ihala bench`: each part is a module with a `run`; this file only reads the command line."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ihala_local.state import State

from benchmarks.costs import fallen, grown, measured, write_down, written_down
from benchmarks.extent import FULL, SHORT, Extent
from benchmarks.load import Load, Step, run_load
from benchmarks.report import Report
from benchmarks.suite import PARTS, QUICK_PARTS, run_suite
from benchmarks.systems import Ihala

RESULTS = Path(__file__).with_name("results")


async def load(given: argparse.Namespace) -> int:
    """One rate on a system that runs already."""
    state = State(given.state.resolve())
    system = Ihala(state, state.endpoints())
    steps = [Step("warm-up", min(given.rate, 20), 5), Step("load", given.rate, given.seconds)]
    result = (await run_load(system, Load(steps, given.seed), given.folder)).step("load")
    await system.send_webhooks_to(state.endpoints()["sandbox_partner"])
    print(result.model_dump_json(indent=2))
    print(f"VOID: {result.void}" if result.void else "The run counts.")
    return 1 if result.void else 0


async def costs(given: argparse.Namespace) -> int:
    """What one referral costs in things that noise does not move, beside the values written down."""
    with tempfile.TemporaryDirectory(prefix="ihala-costs-") as folder:
        found = await measured(Path(folder))
    if given.write:
        write_down(found)
    for way, of_way in written_down().items():
        for name, known in of_way.items():
            print(f"{way:8} {name:26} {found[way][name]:10.2f}   written down {known['value']:10.2f}")
    changed = [f"GROWN {each}" for each in grown(found)] + [f"FALLEN {each}" for each in fallen(found)]
    for sentence in changed:
        print(sentence)
    return 1 if changed else 0


async def suite(given: argparse.Namespace) -> int:
    """Everything, or a short run, into one report."""
    now = datetime.now(UTC)
    extent = extent_of(given)
    parts = given.only.split(",") if given.only else QUICK_PARTS if given.quick else tuple(PARTS)
    report = Report(given.report or RESULTS / f"{now:%Y-%m-%d}", f"{now:%Y-%m-%d}: {', '.join(parts)}")
    await run_suite(parts, extent, report)
    print(f"{report.folder / 'README.md'}")
    return 1 if report.voids else 0


def extent_of(given: argparse.Namespace) -> Extent:
    """The short one or the full one, with what the command line says otherwise."""
    extent = SHORT if given.quick else FULL
    length = replace(extent.length, factor=given.factor or extent.length.factor)
    if given.step_seconds:
        length = replace(length, warm_up=given.step_seconds / 2, step=given.step_seconds)
    wanted = {"turns": given.turns, "backlog": given.backlog, "zipf": given.zipf, "soak_minutes": given.soak_minutes}
    return replace(extent, length=length, **{name: value for name, value in wanted.items() if value is not None})


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="ihala bench", description="Measure this system on this machine.")
    made.set_defaults(run=suite)
    made.add_argument("--quick", action="store_true", help="at most ten minutes: " + ", ".join(QUICK_PARTS))
    made.add_argument("--only", metavar="PART,…", help=", ".join(PARTS))
    made.add_argument("--step-seconds", type=float, help="of each step, with half of it to warm up")
    made.add_argument("--turns", type=int, help="of each system of the ladder")
    made.add_argument("--factor", type=float, help="from one step of the ladder to the next")
    made.add_argument("--backlog", type=numbers, metavar="N,…", help="referrals that wait when a service goes on")
    made.add_argument("--zipf", type=float, help="how unevenly agencies are asked; 0: evenly, default 1")
    made.add_argument("--soak-minutes", type=float)
    made.add_argument("--report", type=Path, help="folder of the report; default benchmarks/results/DATE")
    parts = made.add_subparsers(metavar="PART", title="one thing alone")
    one = parts.add_parser("load", help=load.__doc__)
    one.set_defaults(run=load)
    one.add_argument("--state", type=Path, default=Path(".ihala"))
    one.add_argument("--rate", type=float, default=20, help="intakes a second")
    one.add_argument("--seconds", type=float, default=30)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--folder", type=Path, default=Path("/tmp/ihala-bench"), help="where the .hgrm files go")
    counted = parts.add_parser("costs", help=costs.__doc__)
    counted.set_defaults(run=costs)
    counted.add_argument("--write", action="store_true", help="write the values found into costs.toml")
    return made


async def until_stopped(work: Coroutine[Any, Any, int]) -> int:
    """A TERM ends the systems under load too, as Ctrl-C does."""
    task = asyncio.create_task(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    arguments = parser().parse_args()
    try:
        sys.exit(asyncio.run(until_stopped(arguments.run(arguments))))
    except asyncio.CancelledError:
        sys.exit(143)
