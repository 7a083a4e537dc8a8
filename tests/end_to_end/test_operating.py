"""What operators do to a running system: look after what failed, replay, rebuild, restore; nothing acts twice."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio
from support.databases import all_handled, asked, effects
from support.intakes import a_person
from support.people import People, intake_of, people_of
from support.runtime import raw_producer
from support.system import System, running
from support.waiting import wait_until

READ_MODELS = (
    "intake.addressees",
    "intake.credentials",
    "intake.directory",
    "referral.credentials",
    "notification.credentials",
    "notification.partners",
)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that these tests may break."""
    with running(tmp_path_factory.mktemp("operating")) as own:
        yield own


@pytest_asyncio.fixture
async def people(system: System) -> AsyncIterator[People]:
    async with people_of(system) as found:
        yield found


async def an_open_referral(people: People) -> dict[str, Any]:
    """A referral whose agency received its webhook and did not answer yet."""
    case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))
    (referral,) = await people.routed(case["case_ref"], within_seconds=60)
    await people.told(referral["referral_id"], within_seconds=60)
    return referral


async def a_told_referral(people: People) -> dict[str, Any]:
    """A referral whose agency received its webhook and took the case."""
    referral = await an_open_referral(people)
    await people.move(referral["partner_id"], referral["referral_id"], "accept")
    return referral


async def settled(system: System) -> None:
    await wait_until(lambda: all_handled(system), 90, "everything is published and handled")


async def test_a_replay_of_everything_has_no_second_effect_and_tells_nobody(system: System, people: People) -> None:
    referrals = [await a_told_referral(people) for _ in range(3)]
    await settled(system)
    before = await effects(system)

    replayed = json.loads(system.ihala("replay", "--from", "2020-01-01T00:00:00Z", "--json"))
    await settled(system)

    assert replayed["referral"] >= 3 * 4  # proposed, sent, acknowledged, accepted
    assert replayed["intake"] >= 3
    assert replayed["notification"] >= 3
    assert await effects(system) == before
    for referral in referrals:
        assert len(await people.webhooks(referral["referral_id"])) == 1
    log, *_ = await asked(system, "referral", "SELECT actor FROM operator_log WHERE action = 'replay'")
    assert log["actor"].startswith("operator:")


@pytest.mark.parametrize("choice", ["referral", "partner", "consumer"])
async def test_one_referral_one_agency_or_one_consumer_is_replayed(system: System, people: People, choice: str) -> None:
    referral = await a_told_referral(people)
    await settled(system)
    before = await effects(system)
    value = {
        "referral": referral["referral_id"],
        "partner": referral["partner_id"],
        "consumer": "notification.dispatch",
    }[choice]

    replayed = json.loads(system.ihala("replay", f"--{choice}", value, "--json"))
    await settled(system)

    assert replayed["referral"] >= 4
    assert (replayed["intake"] > 0) == (choice != "consumer")  # the dispatch reads no event of intake
    assert await effects(system) == before


async def test_what_an_agency_was_asked_for_before_is_replayed_too(system: System, people: People) -> None:
    case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", "PT-NGO-HEA", commune="INE-LQLIAA", **a_person()))
    (referral,) = await people.routed(case["case_ref"], within_seconds=60)
    await people.move(referral["partner_id"], referral["referral_id"], "decline", {"reason_code": "CAPACITY"})
    await settled(system)
    before = await effects(system)

    replayed = json.loads(system.ihala("replay", "--partner", referral["partner_id"], "--json"))
    await settled(system)

    assert (await people.referral(referral["referral_id"]))["partner_id"] != referral["partner_id"]
    assert replayed["referral"] >= 4  # proposed, sent, declined, sent to the next
    assert replayed["intake"] == 1
    assert await effects(system) == before


async def test_an_agency_is_told_again_under_the_same_id_when_asked(system: System, people: People) -> None:
    referral = await a_told_referral(people)
    (first,) = await people.webhooks(referral["referral_id"])

    replayed = json.loads(system.ihala("replay", "--referral", referral["referral_id"], "--notify", "--json"))

    # accepting did not end the attempt, so its `sent` may be told again
    async def told_twice() -> bool:
        return len(await people.webhooks(referral["referral_id"])) == 2

    assert replayed["notified"] == 1
    await wait_until(told_twice, 60)
    assert {each["webhook_id"] for each in await people.webhooks(referral["referral_id"])} == {first["webhook_id"]}


@pytest.mark.parametrize("notify", [(), ("--notify",)], ids=["silently", "notify"])
async def test_a_person_is_told_once_whoever_else_is_told_again(
    system: System, people: People, notify: tuple[str, ...]
) -> None:
    case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))
    (referral,) = await people.routed(case["case_ref"], within_seconds=60)
    (message,) = await people.messaged(case["case_ref"], within_seconds=60)
    await people.told(referral["referral_id"], within_seconds=60)
    await settled(system)
    before = await person_messages(system, case["case_ref"])
    # as if no inbox remembered: what is to be told is made of the event alone
    await asked(system, "notification", "DELETE FROM inbox")

    replayed = json.loads(system.ihala("replay", "--referral", referral["referral_id"], *notify, "--json"))
    await settled(system)

    assert replayed.get("notified", 0) == len(notify)
    assert await person_messages(system, case["case_ref"]) == before == [("sent", "SMS")]
    assert await people.messages(case["case_ref"]) == [message]


async def person_messages(system: System, case_ref: str) -> list[tuple[str, str]]:
    query = "SELECT state, channel FROM person_message WHERE case_ref = $1"
    return [tuple(row) for row in await asked(system, "notification", query, case_ref)]


async def test_a_time_replays_what_was_published_in_it(system: System, people: People) -> None:
    _, second, third = [await a_told_referral(people) for _ in range(3)]
    await settled(system)
    before = await effects(system)
    begin, end = [await published_first(system, referral) for referral in (second, third)]

    replayed = json.loads(system.ihala("replay", "--from", begin, "--to", end, "--json"))
    await settled(system)

    within = "SELECT FROM event WHERE created_at >= $1::text::timestamptz AND created_at < $2::text::timestamptz"
    counts = {name: len(await asked(system, name, within, begin, end)) for name in ("intake", "referral")}
    assert {name: replayed[name] for name in counts} == counts
    assert counts["referral"] >= 4  # proposed, sent, acknowledged, accepted
    assert await effects(system) == before


async def published_first(system: System, referral: dict[str, Any]) -> str:
    """When the referral's first event was written, as the command takes it."""
    query = "SELECT min(created_at) AS at FROM event WHERE aggregate_id = $1"
    (row,) = await asked(system, "referral", query, UUID(referral["referral_id"]))
    at: str = row["at"].isoformat()
    return at


def test_what_cannot_be_replayed_is_said(system: System) -> None:
    for words in (["--consumer", "referral.parties"], ["--consumer", "referral.nobody"], ["--rebuild", "intake.x"], []):
        done = system.run("replay", *words)

        assert done.returncode == 1
        assert "✗" in done.stderr


async def test_every_read_model_is_what_its_history_gives(system: System, people: People) -> None:
    await a_told_referral(people)
    await settled(system)

    for model in READ_MODELS:
        compared = json.loads(system.ihala("replay", "--rebuild", model, "--check", "--json"))
        assert compared == {"rows": compared["rows"], "missing": 0, "unexplained": 0, "replaced": False, "equal": True}
        assert compared["rows"] > 0


async def test_a_read_model_that_was_damaged_is_found_and_made_anew(system: System, people: People) -> None:
    referral = await a_told_referral(people)
    await settled(system)
    referral_id = UUID(referral["referral_id"])
    await asked(system, "intake", "UPDATE addressee SET partner_id = NULL WHERE referral_id = $1", referral_id)

    found = system.run("replay", "--rebuild", "intake.addressees", "--check", "--json")
    system.ihala("replay", "--rebuild", "intake.addressees")

    assert found.returncode == 1
    assert json.loads(found.stdout)["missing"] == 1
    (row,) = await asked(system, "intake", "SELECT partner_id FROM addressee WHERE referral_id = $1", referral_id)
    assert row["partner_id"] == referral["partner_id"]
    again = json.loads(system.ihala("replay", "--rebuild", "intake.addressees", "--check", "--json"))
    assert again["equal"] is True


async def test_what_failed_is_listed_shown_and_given_up(system: System, people: People) -> None:
    async with raw_producer(people.endpoints["kafka"]) as producer:
        await producer.send_and_wait("intake.case.v1", b"no event at all", b"operating")

    async def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(system.ihala("parked", "list", "--only", "dead", "--json"))
        return found

    (record,) = await wait_until(listed, 60)
    (group,) = json.loads(system.ihala("parked", "list", "--groups", "--json"))
    shown = json.loads(system.ihala("parked", "show", record["record_id"], "--payload"))
    system.ihala("parked", "discard", "--group", group["group"], "--reason", "no event of ours")

    assert record["record_id"].startswith("referral:")
    assert group["group"] == "referral.router/malformed-envelope"
    assert shown["payload"] == "no event at all"
    assert json.loads(system.ihala("parked", "list", "--json")) == []
    assert system.run("parked", "retry", record["record_id"]).returncode == 1


async def test_everything_accepted_is_accounted_for_by_id(system: System, people: People) -> None:
    await a_told_referral(people)
    await settled(system)

    found = json.loads(system.ihala("reconcile", "--json"))

    assert found["stuck"] == found["unanswered"] == []
    assert found["places"]["delivered"] >= 1
    assert sum(found["places"].values()) == found["referrals"] >= found["needs"]


async def test_what_is_parked_and_what_is_stuck_is_named_and_both_go_on_by_themselves(
    system: System, people: People
) -> None:
    refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not now''; END'"
    await asked(system, "referral", refuse)
    await asked(
        system, "referral", "CREATE TRIGGER refuse BEFORE INSERT ON referral FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    parked = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))

    async def is_parked() -> bool:
        places = json.loads(system.run("reconcile", "--json").stdout)["places"]
        return any(place.startswith("parked referral:") for place in places)

    await wait_until(is_parked, 60)
    stuck = await a_lost_case(system, people)
    await asked(
        system,
        "intake",
        "UPDATE case_file SET created_at = created_at - interval '61 s' WHERE case_id = $1",
        UUID(stuck["case_id"]),
    )

    done, found = system.run("reconcile"), json.loads(system.run("reconcile", "--json").stdout)
    await asked(system, "referral", "DROP TRIGGER refuse ON referral")

    assert done.returncode == 1
    assert "1 stuck" in done.stderr
    assert [(each["place"], each["case_id"]) for each in found["stuck"]] == [("stuck: routing", stuck["case_id"])]
    assert [count for place, count in found["places"].items() if place.startswith("parked referral:")] == [1]
    for case in (parked, stuck):
        await people.routed(case["case_ref"], within_seconds=60)
    await settled(system)
    assert system.run("reconcile").returncode == 0


async def reconciled(system: System, service: str) -> float:
    """How many events the service published again because nobody answered."""
    url = f"{system.endpoints[service]}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("ihala_reconciled_total{"))


@dataclass(frozen=True)
class Lost:
    """before: every referral there was.  reconciled: how many events intake had published again by then.

    case: never reached Kafka.  answered: a referral whose answers to intake and whose receipt were lost.
    delivered: one whose delivery was, after this webhook.
    """

    before: frozenset[str]
    reconciled: float
    case: dict[str, Any]
    answered: str
    delivered: str
    webhook: dict[str, Any]


@pytest_asyncio.fixture(scope="module")
async def lost(system: System) -> Lost:
    """All at once: what is lost is missed after most of a minute, whatever it is."""
    async with people_of(system) as people:
        answered, delivered = [(await an_open_referral(people))["referral_id"] for _ in range(2)]
        await settled(system)
        (webhook,) = await people.webhooks(delivered)
        before = frozenset((await effects(system))["referral.referral"])
        so_far = await reconciled(system, "intake")
        await lose_answers(system, UUID(answered))
        await lose_delivery(system, UUID(delivered))
        return Lost(before, so_far, await a_lost_case(system, people), answered, delivered, webhook)


async def a_lost_case(system: System, people: People) -> dict[str, Any]:
    """The outbox row is taken away in the very transaction that writes it: the event never reaches Kafka."""
    lose = "CREATE OR REPLACE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    when = "BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.again IS NULL)"
    await asked(system, "intake", lose)
    await asked(system, "intake", f"CREATE TRIGGER lose {when} EXECUTE FUNCTION lose()")
    case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))
    await asked(system, "intake", "DROP TRIGGER lose ON outbox")
    return case


async def lose_answers(system: System, referral_id: UUID) -> None:
    """The case was routed and told; intake never heard of it, and the receipt did not come."""
    await asked(system, "intake", "DELETE FROM addressee WHERE referral_id = $1", referral_id)
    await asked(system, "intake", "DELETE FROM inbox WHERE consumer = 'intake.addressees'")
    await asked(
        system, "referral", "UPDATE attempt SET receipt_at = NULL, tried = false WHERE referral_id = $1", referral_id
    )
    await asked(system, "referral", "DELETE FROM inbox WHERE consumer = 'referral.receipts'")


async def lose_delivery(system: System, referral_id: UUID) -> None:
    await asked(system, "notification", "DELETE FROM delivery WHERE referral_id = $1", referral_id)
    await asked(system, "notification", "DELETE FROM event WHERE key = $1", str(referral_id))
    await asked(system, "referral", "UPDATE attempt SET receipt_at = NULL WHERE referral_id = $1", referral_id)


async def test_a_case_lost_on_its_way_is_found_within_a_minute_and_routed_once(people: People, lost: Lost) -> None:
    (referral,) = await people.routed(lost.case["case_ref"], within_seconds=60)
    await people.told(referral["referral_id"], within_seconds=30)

    assert len(await people.webhooks(referral["referral_id"])) == 1


async def test_answers_that_were_lost_are_given_again(system: System, people: People, lost: Lost) -> None:
    receipt = "SELECT FROM attempt WHERE receipt_at IS NOT NULL AND referral_id = $1"

    async def known_again() -> bool:
        rows = await asked(system, "intake", "SELECT FROM addressee WHERE referral_id = $1", UUID(lost.answered))
        told = await asked(system, "referral", receipt, UUID(lost.answered))
        return bool(rows and told)

    await wait_until(known_again, 100)
    (routed,) = await people.routed(lost.case["case_ref"], within_seconds=60)
    assert len(await people.webhooks(lost.answered)) == 1
    # that case; and the one whose answers were lost, unless the referral service asked again for its receipt before
    assert await reconciled(system, "intake") - lost.reconciled in (1, 2)
    assert {*(await effects(system))["referral.referral"]} == lost.before | {routed["referral_id"]}


async def test_a_delivery_that_was_lost_is_made_anew(people: People, lost: Lost) -> None:
    async def told_again() -> bool:
        return len(await people.webhooks(lost.delivered)) == 2

    await wait_until(told_again, 100)
    webhooks = await people.webhooks(lost.delivered)
    assert {each["webhook_id"] for each in webhooks} == {lost.webhook["webhook_id"]}
