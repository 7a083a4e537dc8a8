"""The commands that speak with a running system: parties, directory, routing, demo.

Rule: like cli.py, a thin door to the module that does the work.
"""

import asyncio
import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ihala_local.shell import StateFolder, console, fail, told_failures
from ihala_local.state import DEFAULT_FOLDER, State

access_app = typer.Typer(no_args_is_help=True, help="Keys of parties and people.")
directory_app = typer.Typer(no_args_is_help=True, help="The agencies.")
audit_app = typer.Typer(no_args_is_help=True, help="The trail of who read personal data.")

route_app = typer.Typer(no_args_is_help=True, help="Routing without storing.")


class Language(StrEnum):
    FR = "fr"
    AR = "ar"
    EN = "en"


@access_app.command("create")
def access_create(
    role: str,
    party: Annotated[str | None, typer.Option(help="Of an agency or an integrator.")] = None,
    desk: Annotated[list[str] | None, typer.Option(help="Of a desk officer or an integrator; repeat it.")] = None,
    label: Annotated[str, typer.Option(help="Whose it is; the role and the party if not given.")] = "",
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Make a key and print it once, when every service knows it."""
    from ihala_local.access import create

    with told_failures():
        endpoints = State(state.resolve()).endpoints()
        made = asyncio.run(create(endpoints, role, party, desk or [], label or named(role, party)))
        console.print_raw(json.dumps(made))


def named(role: str, party: str | None) -> str:
    return f"{role} {party}" if party else role


@access_app.command("revoke")
def access_revoke(credential_id: str, state: StateFolder = DEFAULT_FOLDER) -> None:
    """End a key; it is refused everywhere within seconds."""
    from ihala_local.access import revoke

    with told_failures():
        asyncio.run(revoke(State(state.resolve()).endpoints(), credential_id))
        console.note(f"revoked {credential_id}")


@access_app.command("stop")
def access_stop(
    partner_id: str,
    reason: Annotated[str, typer.Option(help="KEY_LEAKED, SYSTEM_COMPROMISED, DATA_MISUSED, …")],
    as_json: Annotated[bool, typer.Option("--json", help="The affected referrals as JSON, not CSV.")] = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Stop an agency at once, revoke its keys, and print every referral it was ever asked for."""
    from ihala_local.stops import as_csv, stop

    with told_failures():
        stopped, affected = asyncio.run(stop(State(state.resolve()).endpoints(), partner_id, reason))
        still_open = sum(each["open"] for each in affected)
        console.note(f"stopped {partner_id}: {len(stopped['revoked_credentials'])} keys revoked")
        console.note(f"{len(affected)} referrals affected, {still_open} of them open")
        console.print_raw(json.dumps(affected) if as_json else as_csv(affected))


@access_app.command("resume")
def access_resume(partner_id: str, state: StateFolder = DEFAULT_FOLDER) -> None:
    """Ask a stopped agency again; its old keys stay revoked."""
    from ihala_local.stops import resume

    with told_failures():
        asyncio.run(resume(State(state.resolve()).endpoints(), partner_id))
        console.note(f"resumed {partner_id}")


@access_app.command("list")
def access_list(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Who may call; never a key."""
    from ihala_local.access import every_credential
    from ihala_local.journeys import plain_table

    with told_failures():
        table = plain_table("credential", "role", "party", "desks", "label", "revoked")
        for each in asyncio.run(every_credential(State(state.resolve()).endpoints())):
            desks = " ".join(each["desk_ids"])
            table.add_row(
                each["credential_id"], each["role"], each["party_id"], desks, each["label"], each["revoked_at"]
            )
        console.show(table)


@directory_app.command("import")
def directory_import(file: Path, state: StateFolder = DEFAULT_FOLDER) -> None:
    """Add or replace agencies: TOML with one partner table for each, as export prints them."""
    from ihala_local.directory import contents_of, import_directory

    with told_failures():
        partners, programmes = contents_of(read(file))
        warnings = asyncio.run(import_directory(State(state.resolve()).endpoints(), partners, programmes))
        for warning in warnings:
            console.note(f"warning: {warning}")
        console.note(f"{len(partners)} agencies, {len(programmes)} programmes")


@directory_app.command("export")
def directory_export(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Print all agencies as TOML."""
    from ihala_local.directory import export

    with told_failures():
        console.print_raw(asyncio.run(export(State(state.resolve()).endpoints())))


@route_app.command("explain")
def route_explain(
    file: Annotated[Path, typer.Argument(help="An intake as JSON; - reads standard input.")],
    at: Annotated[str | None, typer.Option(metavar="INSTANT", help="The instant of routing.")] = None,
    lang: Annotated[Language, typer.Option(help="Of the sentences.")] = Language.EN,
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer.")] = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Where an intake would go and why; nothing is stored."""
    from ihala_local.explain import explain

    with told_failures():
        answer = asyncio.run(explain(State(state.resolve()).endpoints(), json_in(read(file)), at))
        if as_json:
            console.print_raw(json.dumps(answer, ensure_ascii=False))
        else:
            show_explained(answer, lang)


def show_explained(answer: dict[str, Any], language: Language) -> None:
    from ihala_local.explain import as_table, sentences

    if answer["referrals"]:
        console.show(as_table(answer))
        for line in sentences(answer, language):
            console.print_raw(line)
    else:
        console.print_raw(f"{answer['state']}: no referral")


@audit_app.command("verify")
def audit_verify(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Walk the whole trail; exit code 1 and the first row that does not hold, if there is one."""
    from ihala_local.audit import verify

    with told_failures():
        console.print_raw(asyncio.run(verify(State(state.resolve()).endpoints())))


def demo(
    state: StateFolder = DEFAULT_FOLDER,
    endpoints_file: Annotated[
        Path | None, typer.Option("--endpoints", metavar="FILE", help="endpoints.json of another system.")
    ] = None,
) -> None:
    """Sample intakes, and one referral's journey to the agency's verified webhook and its outcome."""
    from ihala_local.demo import run, spans_by_service
    from ihala_local.journeys import overview, steps, trace_line
    from ihala_local.test_clock import read_clock

    with told_failures():
        place = State(state.resolve())
        endpoints = endpoints_in(endpoints_file) if endpoints_file else place.endpoints()
        now = (None if endpoints_file else read_clock(place.clock_file)) or datetime.now(UTC)
        journeys = asyncio.run(run(endpoints, now, console.note))
        console.show(overview(journeys))
        console.show(steps(journeys[0]))
        trace_id = journeys[0].referral["trace_id"]
        spans = asyncio.run(spans_by_service(endpoints, trace_id))
        console.print_raw(trace_line(trace_id, spans, endpoints["traces"]))
        if not all(journey.all_verified for journey in journeys):
            fail("a webhook was not verified")


def read(file: Path) -> str:
    """The file's text, or standard input for -."""
    try:
        return typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{file}: {error.strerror}")


def endpoints_in(file: Path) -> dict[str, Any]:
    content = json_in(read(file))
    if not isinstance(content, dict) or "credentials" not in content:
        fail(f"{file} holds no endpoints")
    return content


def json_in(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fail(f"no JSON: line {error.lineno}, column {error.colno}")
