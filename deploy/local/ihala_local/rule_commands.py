"""The commands about rule sets.

Rule: like cli.py, a thin door to the module that does the work.
"""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ihala_local.shell import StateFolder, console, told_failures
from ihala_local.state import DEFAULT_FOLDER, State

rules_app = typer.Typer(no_args_is_help=True, help="The routing rules.")


@rules_app.command("lint")
def rules_lint(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE…]", help="Those of this release if none.")
    ] = None,
    state: StateFolder = DEFAULT_FOLDER,  # noqa: ARG001 (all commands take it)
) -> None:
    """Check rule files, also against the sample directory; exit code 1 for an error. No running system is needed."""
    from ihala_local.rules import lint

    with told_failures():
        linted = lint(files or [])
        for each in linted:
            for line in each.lines():
                console.print_raw(line)
        if any(each.errors for each in linted):
            raise typer.Exit(1)


@rules_app.command("list")
def rules_list(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Every version, and which is in force."""
    from ihala_local.rules import as_table, versions

    with told_failures():
        console.show(as_table(asyncio.run(versions(State(state.resolve()).endpoints()))))


@rules_app.command("compare")
def rules_compare(
    old: Annotated[str, typer.Argument(help="A version, or a file, which is loaded first.")],
    new: Annotated[str, typer.Argument(help="Likewise.")],
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer.")] = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """What would have gone elsewhere, over the cases that are kept: counts, and examples by id."""
    from ihala_local.rules import compare, named

    with told_failures():
        answer = asyncio.run(compare(State(state.resolve()).endpoints(), named(old), named(new)))
        if as_json:
            console.print_raw(json.dumps(answer))
        else:
            show_compared(answer)


def show_compared(answer: dict[str, Any]) -> None:
    from ihala_local.rules import change_table, example_table

    console.print_raw(f"{answer['changed']} of {answer['referrals']} referrals of {answer['cases']} cases differ")
    if answer["changed"]:
        console.show(change_table(answer))
    if answer["examples"]:
        console.show(example_table(answer))


@rules_app.command("activate")
def rules_activate(version: str, state: StateFolder = DEFAULT_FOLDER) -> None:
    """Route by this version from now on; what was routed keeps the version it was routed with."""
    from ihala_local.rules import activate

    with told_failures():
        answer = asyncio.run(activate(State(state.resolve()).endpoints(), version))
        console.note(f"{answer['version']} is in force")
