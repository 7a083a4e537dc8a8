"""The `ihala` command: one function per command, each a thin door to the module that does the work.

Rule: what a command needs is imported inside it, so that `--help` does not wait for what `up` needs. A failure
that a person can act on is its message and exit code 1, never a traceback.
"""

import asyncio
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ihala_local import operating_commands, party_commands, rule_commands
from ihala_local.shell import StateFolder, console, fail, told_failures
from ihala_local.state import DEFAULT_FOLDER, AlreadyRunning, State

DOWN_SECONDS = 60
CLOCK_SECONDS = 60

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Referrals between agencies: the whole system on this machine.",
)
clock_app = typer.Typer(no_args_is_help=True, help="The test clock: forward only, refused in production.")
contracts_app = typer.Typer(no_args_is_help=True, help="What other systems may rely on.")
app.add_typer(clock_app, name="clock")
app.add_typer(contracts_app, name="contracts")
app.add_typer(party_commands.access_app, name="access")
app.add_typer(party_commands.audit_app, name="audit")
app.add_typer(party_commands.directory_app, name="directory")
app.add_typer(party_commands.route_app, name="route")
app.add_typer(rule_commands.rules_app, name="rules")
app.add_typer(operating_commands.ledger_app, name="ledger")
app.add_typer(operating_commands.parked_app, name="parked")
app.command("backup")(operating_commands.backup)
app.command("restore")(operating_commands.restore)
app.command("replay")(operating_commands.replay)
app.command("reconcile")(operating_commands.reconcile)
app.command("demo")(party_commands.demo)


@app.command()
def up(
    state: StateFolder = DEFAULT_FOLDER,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Leave nothing behind.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready.")] = False,
    copies: Annotated[list[str] | None, typer.Option(metavar="SERVICE=N", help="referral=2")] = None,
    test_clock: Annotated[str | None, typer.Option(metavar="INSTANT", help="2026-11-16T10:15:00Z")] = None,
) -> None:
    """Start everything here, wait until it is ready, print addresses and keys."""
    with told_failures():
        place = place_for(state, ephemeral=ephemeral)
        if place.is_held():
            join(place)
        elif detach:
            detach_up(place, up_arguments(place, copies or [], test_clock, ephemeral=ephemeral))
        else:
            stay_up(place, copies or [], test_clock, ephemeral=ephemeral)


def place_for(folder: Path, *, ephemeral: bool) -> State:
    """An ephemeral system without a folder of its own gets a new one, never the one that lasts."""
    if ephemeral and folder == DEFAULT_FOLDER:
        return State(Path(tempfile.mkdtemp(prefix="ihala-")))
    return State(folder.resolve())


def stay_up(place: State, copies: list[str], test_clock: str | None, *, ephemeral: bool) -> None:
    from ihala_local.options import orders_from
    from ihala_local.up import run

    orders = orders_from(place, copies, test_clock, ephemeral=ephemeral)
    try:
        asyncio.run(run(orders, console))
    except AlreadyRunning:
        join(place)


def up_arguments(place: State, copies: list[str], test_clock: str | None, *, ephemeral: bool) -> list[str]:
    return [
        "up",
        "--state",
        str(place.folder),
        *(["--ephemeral"] if ephemeral else []),
        *(word for copy in copies for word in ("--copies", copy)),
        *(["--test-clock", test_clock] if test_clock else []),
    ]


def detach_up(place: State, arguments: list[str]) -> None:
    from ihala_local.detached import start_detached, wait_for_detached

    with console.waiting("starting") as watch:
        wait_for_detached(place, start_detached(place, arguments), watch)
    console.show_endpoints(place.folder, place.endpoints())


def join(place: State) -> None:
    """Another `up` runs this state: tell what it told."""
    from ihala_local.detached import wait_for_other

    with console.waiting("already starting") as watch:
        if not wait_for_other(place, watch):
            fail("the other start of this state ended before it was ready; start again")
    console.note(f"already running in {place.folder}")
    console.show_endpoints(place.folder, place.endpoints())


@app.command()
def down(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Stop everything in order."""
    from ihala_local.detached import wait_until_stopped

    with told_failures():
        place = State(state.resolve())
        running = place.running()
        os.kill(running.pid, signal.SIGTERM)
        with console.waiting("stopping"):
            stopped = wait_until_stopped(place, DOWN_SECONDS)
        if not stopped:
            fail(f"still stopping after {DOWN_SECONDS} s; see {place.folders.logs}")
        console.note("stopped")


@app.command()
def status(
    state: StateFolder = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """What runs, consumer lag, the oldest unpublished event, parked records."""
    from ihala_local.status import status_of

    with told_failures():
        found = asyncio.run(status_of(State(state.resolve())))
        if as_json:
            console.print_raw(json.dumps(found))
        else:
            console.show_status(found)


@contracts_app.command("export")
def contracts_export(folder: Path, state: StateFolder = DEFAULT_FOLDER) -> None:  # noqa: ARG001 (all commands take it)
    """Write OpenAPI, AsyncAPI, JSON Schemas and the event catalogue into FOLDER; no running system is needed."""
    from ihala_local.contracts import export

    with told_failures():
        console.note(f"{len(export(folder))} files written to {folder}")


@clock_app.command("set")
def clock_set(instant: str, state: StateFolder = DEFAULT_FOLDER) -> None:
    """Set the test clock: 2026-11-16T10:15:00Z."""
    from ihala_local.test_clock import as_text, parse_instant, set_clock

    with told_failures():
        place = State(state.resolve())
        place.running()
        wanted = parse_instant(instant)
        set_clock(place.clock_file, wanted)
        until_clocked(place)
        console.print_raw(as_text(wanted))


@clock_app.command("advance")
def clock_advance(span: str, state: StateFolder = DEFAULT_FOLDER) -> None:
    """Move the test clock forward: 15m, 4h, 1d4h."""
    from ihala_local.test_clock import advance_clock, as_text, parse_span

    with told_failures():
        place = State(state.resolve())
        place.running()
        instant = advance_clock(place.clock_file, parse_span(span))
        until_clocked(place)
        console.print_raw(as_text(instant))


def until_clocked(place: State) -> None:
    """The first use on a system in real time restarts its services; later ones take effect by themselves."""
    from ihala_local.detached import wait_for_clock

    if not wait_for_clock(place, CLOCK_SECONDS):
        fail(f"the services did not come back with the test clock; see {place.folders.logs}")


@app.command("test", context_settings={"ignore_unknown_options": True})
def run_tests(
    words: Annotated[list[str] | None, typer.Argument(metavar="[unit|contract|integration|e2e|faults|browser]")] = None,
) -> None:
    """All checks, or the tests of one part; further words go to pytest."""
    from ihala_local.checks import run_checks

    with told_failures():
        code = run_checks(words or [])
    raise typer.Exit(code)


@app.command("faults", context_settings={"ignore_unknown_options": True})
def run_faults(
    kills: Annotated[int, typer.Option(help="How many processes are killed at drawn times.")] = 100,
    seed: Annotated[int | None, typer.Option(help="Repeat the run of this seed.")] = None,
    words: Annotated[list[str] | None, typer.Argument(metavar="[PYTEST WORDS]")] = None,
) -> None:
    """Break a system of its own in every way we know, for as long as it takes, and judge what became of each id."""
    from ihala_local.checks import run_checks

    repeated = [] if seed is None else ["--seed", str(seed)]
    with told_failures():
        code = run_checks(["faults", "--long", "-v", "-s", "--kills", str(kills), *repeated, *(words or [])])
    raise typer.Exit(code)


@app.command("bench", context_settings={"ignore_unknown_options": True}, add_help_option=False)
def run_bench(words: Annotated[list[str] | None, typer.Argument(metavar="[PART] [OPTIONS]")] = None) -> None:
    """Measure this system beside a floor and a peer on this machine; --help tells the parts."""
    from ihala_local.checks import run_benchmarks

    with told_failures():
        code = run_benchmarks(words or [])
    raise typer.Exit(code)
