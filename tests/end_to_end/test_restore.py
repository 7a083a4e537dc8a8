"""Backups of a working system brought into new servers, by the commands of docs/deploying.md: work goes on, what waited
in an outbox is published, and whoever was erased since is erased again, in every service."""

import json
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from ihala_local.checkout import CHECKOUT
from support.databases import all_handled, asked
from support.intakes import a_person
from support.people import People, intake_of, people_of
from support.system import StartSystem, System
from support.waiting import wait_until

PAGE = (CHECKOUT / "docs" / "deploying.md").read_text()


def commands(heading: str) -> list[list[str]]:
    """The words after `./ihala` in the block below these words of the page."""
    block = PAGE.split(heading, 1)[1].split("```", 2)[1]
    return [line.split("#")[0].split() for line in re.findall(r"^\./ihala (.*)$", block, re.MULTILINE)]


def run_those_of(heading: str, system: System, places: Path) -> None:
    """Each as it is written, with the test's folder in place of the page's."""
    for words in commands(heading):
        named = [word.replace("/backups", str(places)) for word in without_state(words)]
        system.ihala(*named, within_seconds=180)


def without_state(words: list[str]) -> list[str]:
    """The test's systems name their state themselves."""
    at = words.index("--state") if "--state" in words else len(words)
    return words[:at] + words[at + 2 :]


def modes_below(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.rglob("*") if file.is_file()}


async def a_case(people: People) -> dict[str, Any]:
    return await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))


async def told(people: People, case: dict[str, Any]) -> dict[str, Any]:
    """Its referral, whose webhook was received and is what its agency can verify."""
    (referral,) = await people.routed(case["case_ref"], within_seconds=60)
    await people.told(referral["referral_id"], "sent", within_seconds=60)
    return referral


@pytest.fixture
def new_system(tmp_path: Path) -> Iterator[System]:
    """A folder in which nothing ever ran."""
    system = System(tmp_path / "new")
    try:
        yield system
    finally:
        system.end()


async def erase(system: System, people: People, case: dict[str, Any]) -> None:
    status, _, _ = await people.as_role("protection", "intake").call("POST", f"/v1/cases/{case['case_ref']}/erasure")
    assert status == 200
    await wait_until(lambda: all_handled(system), 60)


SENT = "SELECT FROM delivery WHERE event_type = 'ihala.referral.sent.v1'"


async def still_known(system: System, case_id: str) -> set[str]:
    """Where: the key and the sealed file of intake, the profile of referral, the message that asked the agency.

    (The one that asks it to delete keeps its body until it has ended, and the hour with it.)
    """
    looked: dict[str, tuple[str, str]] = {
        "key": ("intake_keys", "SELECT FROM case_key WHERE case_id::text = $1"),
        "file": ("intake", "SELECT FROM case_file WHERE case_id::text = $1 AND (erased_at IS NULL OR sealed <> '')"),
        "profile": ("referral", "SELECT FROM case_profile WHERE case_id::text = $1 AND erased_at IS NULL"),
        "messages": ("notification", f"{SENT} AND correlation_id = $1 AND body <> ''"),
    }
    return {name for name, (database, query) in looked.items() if await asked(system, database, query, case_id)}


async def erased_everywhere(system: System, case_id: str) -> bool:
    return not await still_known(system, case_id)


async def sequences(system: System, referral_id: str) -> list[int]:
    query = "SELECT sequence FROM event WHERE aggregate_id = $1 ORDER BY sequence"
    return [row["sequence"] for row in await asked(system, "referral", query, UUID(referral_id))]


async def waiting_in_the_outbox(system: System) -> int:
    (row,) = await asked(system, "intake", "SELECT count(*) AS waiting FROM outbox")
    return int(row["waiting"])


@pytest.mark.timeout(600)
async def test_in_new_servers_work_goes_on_and_what_was_erased_since_is_erased_again(
    start_system: StartSystem, new_system: System, tmp_path: Path
) -> None:
    old = start_system()
    async with people_of(old) as people:
        erased, kept = await a_case(people), await a_case(people)
        gone, open_ = await told(people, erased), await told(people, kept)
        await wait_until(lambda: all_handled(old), 60)
        dumped = await sequences(old, open_["referral_id"])
        old.signal("kafka", signal.SIGSTOP)
        unpublished = await a_case(people)
        run_those_of("Without containers", old, tmp_path)
        assert await waiting_in_the_outbox(old) > 0
        assert modes_below(tmp_path / "today") == {0o600}
        old.signal("kafka", signal.SIGCONT)
        await erase(old, people, erased)
        await told(people, await a_case(people))  # is lost with the servers
        run_those_of("The ledger of erasures, often", old, tmp_path)
    old.down()

    run_those_of("Into a new state", new_system, tmp_path)

    async with people_of(new_system) as people:
        await wait_until(lambda: erased_everywhere(new_system, erased["case_id"]), 60)
        assert (await people.referral(gone["referral_id"]))["state"] == "withdrawn"
        await told(people, unpublished)
        await told(people, await a_case(people))
        assert await still_known(new_system, kept["case_id"]) == {"key", "file", "profile", "messages"}
        await people.move(open_["partner_id"], open_["referral_id"], "accept")
        # proposed, sent; acknowledged and accepted by one move
        assert (dumped, await sequences(new_system, open_["referral_id"])) == ([1, 2], [1, 2, 3, 4])
        await wait_until(lambda: all_handled(new_system), 60)
    for model in ("intake.credentials", "intake.directory", "notification.partners"):
        compared = json.loads(new_system.ihala("replay", "--rebuild", model, "--check", "--json"))
        assert compared["equal"], model
