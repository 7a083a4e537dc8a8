"""The commands of whoever keeps a system well: what is set aside, the history again, and what is accounted for.

Rule: like cli.py, a thin door to the module that does the work.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from ihala_local.party_commands import json_in, read
from ihala_local.shell import StateFolder, console, fail, told_failures
from ihala_local.state import DEFAULT_FOLDER, State

parked_app = typer.Typer(no_args_is_help=True, help="Records set aside because they failed.")
ledger_app = typer.Typer(no_args_is_help=True, help="The ledger of erasures, which a restored system applies again.")

AsJson = Annotated[bool, typer.Option("--json", help="For other programs.")]
RecordIds = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="referral:17, intake:out-3")]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="GROUP", help="As `list --groups` names it; repeat it.")
]
Reason = Annotated[str, typer.Option("--reason", help="Is kept; no personal data.")]


@parked_app.command("list")
def parked_list(
    only: Annotated[
        str | None, typer.Option(metavar="STATE", help="waiting, dead, done, discarded; else the first two.")
    ] = None,
    consumer: Annotated[str | None, typer.Option(help="referral.router")] = None,
    error_class: Annotated[str | None, typer.Option(help="unknown-case")] = None,
    groups: Annotated[bool, typer.Option("--groups", help="Counted by consumer and reason.")] = False,
    as_json: AsJson = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """What every service has set aside."""
    from ihala_local.parked import as_table, as_table_of_groups, every_group, every_record

    with told_failures():
        endpoints = State(state.resolve()).endpoints()
        wanted = every_group(endpoints) if groups else every_record(endpoints, only, consumer, error_class)
        found = asyncio.run(wanted)
        if as_json:
            console.print_raw(json.dumps(found, ensure_ascii=False))
        elif not found:
            console.note("nothing is set aside")
        else:
            console.show(as_table_of_groups(found) if groups else as_table(found))


@parked_app.command("show")
def parked_show(
    record_id: str,
    payload: Annotated[bool, typer.Option("--payload", help="Its content too; the reading is kept.")] = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """One record as JSON, and what was done to it."""
    from ihala_local.parked import show

    with told_failures():
        found = asyncio.run(show(State(state.resolve()).endpoints(), record_id, payload=payload))
        console.print_raw(json.dumps(found, indent=2, ensure_ascii=False))


@parked_app.command("retry")
def parked_retry(record_ids: RecordIds = None, group: Groups = None, state: StateFolder = DEFAULT_FOLDER) -> None:
    """Try records now, those of one key in order; what was handled before is not handled again."""
    from ihala_local.parked import retry

    with told_failures():
        check_named(record_ids, group)
        count = asyncio.run(retry(State(state.resolve()).endpoints(), record_ids or [], group or []))
        console.note(f"{count} tried; see: ./ihala parked list")


@parked_app.command("edit")
def parked_edit(
    record_id: str,
    file: Annotated[Path, typer.Argument(help="The whole payload as JSON; - reads standard input.")],
    reason: Reason,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Replace a payload, which must fit its type; the first one is kept. Then: retry."""
    from ihala_local.parked import edit

    with told_failures():
        asyncio.run(edit(State(state.resolve()).endpoints(), record_id, json_in(read(file)), reason))
        console.note(f"edited; now: ./ihala parked retry {record_id}")


@parked_app.command("discard")
def parked_discard(
    reason: Reason, record_ids: RecordIds = None, group: Groups = None, state: StateFolder = DEFAULT_FOLDER
) -> None:
    """Give records up; the next of their keys go on."""
    from ihala_local.parked import discard

    with told_failures():
        check_named(record_ids, group)
        count = asyncio.run(discard(State(state.resolve()).endpoints(), record_ids or [], group or [], reason))
        console.note(f"{count} discarded")


def replay(
    referral: Annotated[str | None, typer.Option("--referral", metavar="ID")] = None,
    partner: Annotated[str | None, typer.Option("--partner", metavar="ID", help="All its referrals.")] = None,
    consumer: Annotated[str | None, typer.Option(metavar="GROUP", help="All that it reads: referral.router")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="When it was published.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="INSTANT")] = None,
    notify: Annotated[bool, typer.Option("--notify", help="Tell agencies again, under the same ids.")] = False,
    rebuild: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Make its read model anew: intake.addressees")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="With --rebuild: compare only.")] = False,
    as_json: AsJson = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Publish events again: same ids, nobody is told twice. Or make a read model anew from the history."""
    from ihala_local.replay import Wanted
    from ihala_local.replay import rebuild as rebuild_model
    from ihala_local.replay import replay as replay_events
    from ihala_local.test_clock import parse_instant

    with told_failures():
        endpoints = State(state.resolve()).endpoints()
        if rebuild is None:
            begin, end = (parse_instant(each) if each else None for each in (since, until))
            wanted = Wanted(referral, partner, consumer, begin, end, notify)
            answer = asyncio.run(replay_events(endpoints, wanted))
        else:
            answer = asyncio.run(rebuild_model(endpoints, rebuild, check=check))
        console.print_raw(json.dumps(answer) if as_json else ", ".join(f"{k} {v}" for k, v in answer.items()))
        if check and not answer["equal"]:
            fail("the live model is not what the history gives")


def reconcile(
    since: Annotated[
        str | None, typer.Option("--from", metavar="INSTANT", help="When it was accepted; a day ago if not given.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="INSTANT")] = None,
    as_json: AsJson = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Every accepted need by where it is now; exit code 1 and the ids when one is stuck."""
    from ihala_local.reconcile import as_table
    from ihala_local.reconcile import reconcile as reconcile_books
    from ihala_local.test_clock import parse_instant

    with told_failures():
        begin = parse_instant(since) if since else datetime.now(UTC) - timedelta(days=1)
        endpoints = State(state.resolve()).endpoints()
        found = asyncio.run(reconcile_books(endpoints, begin, parse_instant(until) if until else None))
        if as_json:
            console.print_raw(json.dumps(found))
        else:
            console.show(as_table(found))
        if found["stuck"]:
            fail(f"{len(found['stuck'])} stuck; they are published again by themselves: ./ihala reconcile")


def backup(
    folder: Annotated[Path, typer.Argument(help="Gets three folders for three places: cases, keys, safe.")],
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Dump every database of the running system, and what opens them."""
    from ihala_local.backup import back_up

    with told_failures():
        back_up(State(state.resolve()), folder)
        console.note(f"cases, keys and safe in {folder}: carry them to three places")


def restore(
    folder: Annotated[Path, typer.Argument(help="As backup made it.")],
    ledger: Annotated[Path, typer.Option(metavar="FILE", help="The last export of the ledger of erasures.")],
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Make a new state of a backup; what was erased since is erased again. Start it with `up`."""
    from ihala_local.backup import restore as restore_backup

    with told_failures():
        count = restore_backup(State(state.resolve()), folder, ledger)
        console.note(f"restored, with {count} erasures to apply again; start it with: ./ihala up --state {state}")


@ledger_app.command("export")
def ledger_export(file: Path, state: StateFolder = DEFAULT_FOLDER) -> None:
    """Write every erasure there was into FILE; no person is in it."""
    from ihala_local.given_kafka import kafka_at
    from ihala_local.ledger import export
    from ihala_local.state import write_private_text

    with told_failures():
        lines = export(kafka_at(State(state.resolve()).endpoints()["kafka"]))
        write_private_text(file, "".join(f"{line}\n" for line in lines))
        console.note(f"{len(lines)} erasures")


@ledger_app.command("import")
def ledger_import(file: Path, state: StateFolder = DEFAULT_FOLDER) -> None:
    """Tell a running system of the erasures in FILE, as often as one likes."""
    from ihala_local.given_kafka import kafka_at
    from ihala_local.ledger import bring_in

    with told_failures():
        kafka = kafka_at(State(state.resolve()).endpoints()["kafka"])
        console.note(f"{bring_in(kafka, read(file).splitlines())} erasures")


def check_named(record_ids: list[str] | None, groups: list[str] | None) -> None:
    if not record_ids and not groups:
        fail("name records, or groups with --group")
