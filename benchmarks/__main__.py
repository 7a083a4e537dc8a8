"""The words of `./ihala bench`: each part is a module with a `run`; this file only reads the command line."""

import argparse
import asyncio
import sys
from pathlib import Path

from ihala_local.state import State

from benchmarks.load import Load, Step, run_load
from benchmarks.systems import Ihala


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


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="ihala bench", description=__doc__)
    parts = made.add_subparsers(required=True)
    one = parts.add_parser("load", help=load.__doc__)
    one.set_defaults(run=load)
    one.add_argument("--state", type=Path, default=Path(".ihala"))
    one.add_argument("--rate", type=float, default=20, help="intakes a second")
    one.add_argument("--seconds", type=float, default=30)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--folder", type=Path, default=Path("/tmp/ihala-bench"), help="where the .hgrm files go")
    return made


if __name__ == "__main__":
    arguments = parser().parse_args()
    sys.exit(asyncio.run(arguments.run(arguments)))
