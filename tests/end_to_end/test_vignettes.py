"""The vignettes of the specification on the whole system under a test clock: rule, agency, deadlines to the minute.

Every expected value is the specification's, none was read off the program.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from support.intakes import a_person
from support.people import People, intake_of, people_of
from support.system import System, running
from support.waiting import wait_until


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose clock stands where the first vignette begins; the vignettes come in the order of time."""
    with running(tmp_path_factory.mktemp("clocked"), "--test-clock", "2026-11-05T15:00:00Z") as system:
        yield system


@pytest_asyncio.fixture
async def people(clocked: System) -> AsyncIterator[People]:
    async with people_of(clocked) as people:
        yield people


def deadlines(referral: dict[str, Any]) -> tuple[str, str]:
    return referral["ack_due"], referral["contact_due"]


async def happened(people: People, referral: dict[str, Any]) -> list[str]:
    _, timeline, _ = await people.as_role("protection").call("GET", f"/v1/referrals/{referral['referral_id']}/timeline")
    return [item["type"].removeprefix("ihala.referral.").removesuffix(".v1") for item in timeline["items"]]


async def tried(people: People, referral: dict[str, Any]) -> None:
    """The referral service knows that the agency's endpoint was tried: else our outage is no silence of its."""

    async def is_tried() -> bool:
        connection = await asyncpg.connect(people.endpoints["postgres"]["referral"])
        try:
            return bool(
                await connection.fetchval("SELECT tried FROM attempt WHERE referral_id = $1", referral["referral_id"])
            )
        finally:
            await connection.close()

    await wait_until(is_tried, within_seconds=30)


async def at_attempt(people: People, referral: dict[str, Any], number: int) -> dict[str, Any]:
    async def reached() -> dict[str, Any] | None:
        found = await people.referral(referral["referral_id"])
        return found if found["attempt_no"] == number else None

    return await wait_until(reached, within_seconds=30) or {}


async def has_happened(people: People, referral: dict[str, Any], event: str) -> None:
    async def seen() -> bool:
        return event in await happened(people, referral)

    await wait_until(seen, within_seconds=30, what=f"{event} of {referral['referral_id']}")


FRENCH = {
    "referred": "Ihala : votre demande {} est transmise. Passez au bureau ou appelez-nous pour la suite.",
    "news": "Ihala : il y a du nouveau pour {}. Passez au bureau ou appelez-nous.",
}


async def to_be_told(people: People, referral: dict[str, Any]) -> list[str]:
    """What was ever to be told to the person of a referral, told or not; an event and its webhook come with it."""
    connection = await asyncpg.connect(people.endpoints["postgres"]["notification"])
    try:
        query = "SELECT message FROM person_message WHERE referral_id = $1 ORDER BY position"
        return [row["message"] for row in await connection.fetch(query, referral["referral_id"])]
    finally:
        await connection.close()


async def test_v03_mother_and_daughter_are_two_linked_cases_each_with_its_own_clock(people: People) -> None:
    received_at = "2026-11-05T15:00:00Z"
    mother = await people.hand_in(
        intake_of(
            "EDU-ADL",
            "PT-NGO-SOC",
            "PT-COM",
            commune="INE-DCHEIRA",
            received_at=received_at,
            sex="F",
            safe_contact={"channel": "CALL", "language": "fr", "hours": "9-12"},
            **a_person(),
        )
    )
    guardian = {
        "text_version": "2026-11",
        "lang": "fr",
        "mode": "oral",
        "basis": "GUARDIAN",
        "scope": [{"need_code": "EDU-ENR", "partner_types": ["PT-EDU-DP", "PT-NGO-CHI"]}],
    }
    daughter = await people.hand_in(
        intake_of(
            "EDU-ENR",
            commune="INE-DCHEIRA",
            received_at=received_at,
            age_band="6-11",
            consent=guardian,
            docs_seen=["DOC-NONE"],
            safe_contact={"channel": "NONE"},
            household=[{"case_ref": mother["case_ref"], "relation": "PARENT"}],
        )
    )

    (schooling,) = await people.routed(daughter["case_ref"])
    (language,) = await people.routed(mother["case_ref"])

    assert (schooling["rule_id"], schooling["partner_type"], schooling["urgency"]) == ("R19", "PT-EDU-DP", "U3")
    assert schooling["partner_id"].startswith("edu-dp-ine")
    assert deadlines(schooling) == ("2026-11-10T16:30:00Z", "2026-11-13T16:30:00Z")
    assert (language["rule_id"], language["urgency"]) == ("R24", "U4")
    assert "siblings_split" not in schooling["flags"] + language["flags"]
    _, of_mother, _ = await people.as_role("desk").call("GET", f"/v1/referrals?case_ref={mother['case_ref']}")
    _, of_daughter, _ = await people.as_role("desk").call("GET", f"/v1/referrals?case_ref={daughter['case_ref']}")
    assert (of_mother["household"], of_daughter["household"]) == ([daughter["case_ref"]], [mother["case_ref"]])
    (call,) = await wait_until(lambda: people.tasks(mother["case_ref"]), within_seconds=30) or []
    told = (call["message"], call["channel"], call["hours"], call["voicemail_ok"], call["to_guardian"])
    assert told == ("referred", "CALL", "09:00-12:00", False, False)
    await people.told(schooling["referral_id"])
    assert await to_be_told(people, schooling) == []  # nothing for the child
    await people.move(language["partner_id"], language["referral_id"], "decline", {"reason_code": "CAPACITY"})
    unmoved = await people.referral(schooling["referral_id"])
    assert (unmoved["state"], unmoved["partner_id"]) == (schooling["state"], schooling["partner_id"])


async def test_v01_maternal_care_goes_to_the_health_centre(clocked: System, people: People) -> None:
    clocked.ihala("clock", "set", "2026-11-16T10:15:00Z")
    person = a_person()
    case = await people.hand_in(
        intake_of(
            "HEA-MAT",
            "PT-ESSP",
            "PT-NGO-WOM",
            received_at="2026-11-16T10:15:00Z",
            facts={"pregnancy_weeks": 30, "danger_sign": False},
            sex="F",
            birth_year=1999,
            vulnerabilities=["V-PRG"],
            languages=[{"tag": "wo", "level": "native"}, {"tag": "fr", "level": "basic"}],
            **person,
        )
    )

    (referral,) = await people.routed(case["case_ref"])

    assert (referral["rule_id"], referral["partner_type"], referral["urgency"]) == ("R11", "PT-ESSP", "U2")
    assert deadlines(referral) == ("2026-11-17T10:15:00Z", "2026-11-19T10:15:00Z")
    (webhook,) = await people.told(referral["referral_id"])
    assert webhook["verified"] is True
    (message,) = await people.messaged(case["case_ref"])
    assert (message["channel"], message["to"]) == ("sms", person["phone"])
    assert message["text"] == FRENCH["referred"].format(case["case_ref"])


async def test_v08_two_spellings_of_one_person_wait_for_a_human_and_are_never_merged_alone(
    clocked: System, people: People
) -> None:
    clocked.ihala("clock", "set", "2026-11-24T09:20:00Z")
    person = {"phone": a_person()["phone"], "birth_precision": "EST"}
    chronic = ("HEA-CHR", "PT-ESSP", "PT-NGO-HEA", "PT-HOS")
    first = await people.hand_in(
        intake_of(
            *chronic,
            received_at="2026-11-24T09:20:00Z",
            names=[{"script": "Latn", "value": "Aïssatou Diallo", "role": "full"}],
            birth_year=1998,
            **person,
        )
    )
    (kept,) = await people.routed(first["case_ref"])
    assert (kept["state"], kept["urgency"]) == ("sent", "U3")
    assert deadlines(kept) == ("2026-11-26T16:30:00Z", "2026-12-01T16:30:00Z")

    clocked.ihala("clock", "set", "2026-11-24T11:05:00Z")
    again = intake_of(
        *chronic,
        received_at="2026-11-24T11:05:00Z",
        names=[{"script": "Latn", "value": "Aisatu Jallow", "role": "full"}],
        birth_year=1997,
        **person,
    )
    status, second, _ = await people.as_role("integrator", "intake").call(
        "POST", "/v1/intakes", again, Idempotency_Key=str(uuid4())
    )
    assert (status, second["state"]) == (201, "submitted")  # whoever handed it in is not told of the other case
    (held,) = await people.routed(second["case_ref"])
    assert (held["state"], held["hold_reason"]) == ("proposed", "duplicate")
    assert held["ack_due"] == "2026-11-24T15:05:00Z"

    clocked.ihala("clock", "set", "2026-11-24T15:05:00Z")
    await has_happened(people, held, "escalated")
    assert await redeliver_case(people, second["case_id"]) == 1
    status, _, _ = await people.as_role("desk", "intake").call(
        "POST",
        f"/v1/cases/{second['case_ref']}/duplicate-decision",
        {"decision": "same_person", "other_case_ref": first["case_ref"], "staff": "officer-9"},
    )
    assert status == 200
    await has_happened(people, held, "withdrawn")

    # the decision came behind the repeated event, on the same partition
    assert [each["referral_id"] for each in await people.referrals(second["case_ref"])] == [held["referral_id"]]
    assert await happened(people, held) == ["proposed", "escalated", "withdrawn"]
    assert [hook["type"] for hook in await people.told(kept["referral_id"])] == ["ihala.referral.sent.v1"]
    assert await people.webhooks(held["referral_id"]) == []


async def redeliver_case(people: People, case_id: str) -> int:
    """Publish what the intake service told of a case once more, under the same event ids; how many events."""
    bootstrap, topic = people.endpoints["kafka"], "intake.case.v1"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    async with consumer, producer:
        found: list[Any] = []
        while not found:
            batches = await consumer.getmany(timeout_ms=1000)
            found = [each for batch in batches.values() for each in batch if each.key == case_id.encode()]
        for record in found:
            await producer.send_and_wait(topic, record.value, record.key, headers=list(record.headers))
    return len(found)


async def test_v02_a_boy_alone_goes_to_child_protection_by_night_and_silence_to_mutual_aid(
    clocked: System, people: People
) -> None:
    clocked.ihala("clock", "set", "2026-12-05T21:40:00Z")
    best_interest = {"text_version": "2026-11", "lang": "fr", "mode": "oral", "basis": "BEST_INTEREST", "scope": []}
    case = await people.hand_in(
        intake_of(
            "SOC-CPU",
            received_at="2026-12-05T21:40:00Z",
            age_band="12-15",
            sex="M",
            languages=[{"tag": "fuf", "level": "native"}],
            vulnerabilities=["V-UAC"],
            consent=best_interest,
            safe_contact={"channel": "NONE", "language": "fr"},
            staff=["officer-7", "officer-8"],
        )
    )
    (proposed,) = await people.routed(case["case_ref"])
    assert (proposed["rule_id"], proposed["urgency"], proposed["hold_reason"]) == ("R03", "U1", "confirmation")
    assert proposed["explanation"]["notify"]["person"] == "none"
    path = f"/v1/referrals/{proposed['referral_id']}/confirm"
    recorder, _, _ = await people.as_role("desk").call("POST", path, {"staff": "officer-8"}, Idempotency_Key="v02-8")
    _, sent, _ = await people.as_role("desk").call("POST", path, {"staff": "officer-9"}, Idempotency_Key="v02-9")

    assert (recorder, sent["state"], sent["partner_type"]) == (409, "sent", "PT-CAPE")
    assert deadlines(sent) == ("2026-12-06T01:40:00Z", "2026-12-06T21:40:00Z")
    await people.told(sent["referral_id"])
    await tried(people, sent)
    clocked.ihala("clock", "set", "2026-12-06T01:40:00Z")
    second = await at_attempt(people, sent, 2)
    assert (second["partner_type"], second["contact_due"]) == ("PT-EN", "2026-12-06T21:40:00Z")
    assert await to_be_told(people, sent) == []
    assert (await happened(people, sent))[-4:] == ["deadline-missed", "escalated", "rerouted", "sent"]


async def test_v06_silence_reroutes_at_ack_due_and_contact_due_stays(clocked: System, people: People) -> None:
    clocked.ihala("clock", "set", "2026-12-07T09:00:00Z")
    await people.behave("essp-ine-inezgane", "down")
    case = await people.hand_in(
        intake_of(
            "HEA-MED",
            "PT-ESSP",
            "PT-NGO-HEA",
            "PT-HOS",
            commune="INE-INEZGANE",
            received_at="2026-12-07T09:00:00Z",
            facts={"treatment_interrupted": True},
            sex="M",
            **a_person(),
        )
    )
    (first,) = await people.routed(case["case_ref"])
    assert (first["rule_id"], first["urgency"], first["partner_type"]) == ("R13", "U2", "PT-ESSP")
    assert deadlines(first) == ("2026-12-08T09:00:00Z", "2026-12-10T09:00:00Z")

    await tried(people, first)
    clocked.ihala("clock", "set", "2026-12-08T09:00:00Z")

    second = await at_attempt(people, first, 2)
    assert second["partner_type"] == "PT-NGO-HEA"
    assert second["contact_due"] == "2026-12-10T09:00:00Z"
    assert [each["state"] for each in second["attempts"]] == ["silent", "offered"]
    assert (await happened(people, first))[-4:] == ["deadline-missed", "escalated", "rerouted", "sent"]
    await people.told(first["referral_id"])
    await people.messaged(case["case_ref"])
    assert await to_be_told(people, first) == ["referred"]  # once, although another agency has it now


async def test_v11b_a_full_class_keeps_a_list_and_a_freed_place_is_offered_to_one_after_the_other(
    clocked: System, people: People
) -> None:
    clocked.ihala("clock", "set", "2026-12-14T10:30:00Z")
    await has_places(people, 0)
    waiting = []
    for received_at in ("10:30", "10:40", "10:50", "11:00"):
        clocked.ihala("clock", "set", f"2026-12-14T{received_at}:00Z")
        case = await people.hand_in(
            intake_of(
                "EDU-ADL", "PT-NGO-SOC", "PT-COM", received_at=f"2026-12-14T{received_at}:00Z", sex="F", **a_person()
            )
        )
        waiting += await people.routed(case["case_ref"])
        await people.move("ngo-soc", waiting[-1]["referral_id"], "acknowledge")
    first, second, _, last = waiting
    assert [each["state"] for each in waiting] == ["waitlisted"] * 4
    assert (last["rule_id"], last["urgency"], last["partner_id"]) == ("R24", "U4", "ngo-soc")
    assert deadlines(last) == ("2026-12-17T16:30:00Z", "2026-12-28T16:30:00Z")
    assert (last["waiting_position"], last["explanation"]["notify"]["person"]) == (4, "sms")

    await has_places(people, 1)
    await has_happened(people, first, "place-offered")
    clocked.ihala("clock", "set", "2026-12-17T16:29:00Z")
    assert "place-offered" not in await happened(people, second)
    clocked.ihala("clock", "set", "2026-12-17T16:30:00Z")
    await has_happened(people, second, "place-offered")

    assert "ihala.referral.place-offered.v1" in {hook["type"] for hook in await people.webhooks(first["referral_id"])}
    listed_and_offered = await people.messaged(first["case_ref"], 3)
    expected = [FRENCH[message].format(first["case_ref"]) for message in ("referred", "news", "news")]
    assert sorted(message["text"] for message in listed_and_offered) == sorted(expected)  # no position, no need
    assert (await happened(people, first))[-1] == "escalated"
    lapsed, behind = await people.referral(first["referral_id"]), await people.referral(last["referral_id"])
    assert (lapsed["state"], lapsed["waiting_position"], behind["waiting_position"]) == ("waitlisted", 4, 3)
    accepted = await people.move("ngo-soc", second["referral_id"], "accept")
    assert (accepted["state"], accepted["contact_due"]) == ("accepted", "2026-12-28T16:30:00Z")


async def has_places(people: People, count: int) -> None:
    """What the class announces."""
    places = {"places": {"EDU-ADL": count}}
    status, problem, _ = await people.agency("ngo-soc").call("PUT", "/v1/partners/ngo-soc/capacity", places)
    assert status == 200, problem


async def test_v13_a_birth_is_registered_where_the_child_was_born(clocked: System, people: People) -> None:
    clocked.ihala("clock", "set", "2026-12-28T14:00:00Z")
    guardian = {
        "text_version": "2026-11",
        "lang": "fr",
        "mode": "oral",
        "basis": "GUARDIAN",
        "scope": [{"need_code": "SOC-CIV", "partner_types": ["PT-CIV", "PT-CRDH"]}],
    }
    case = await people.hand_in(
        intake_of(
            "SOC-CIV",
            commune="INE-LQLIAA",
            received_at="2026-12-28T14:00:00Z",
            age_band="0-4",
            consent=guardian,
            facts={"birth_date": "2026-12-19", "birth_commune_code": "AGD-AGADIR"},
            safe_contact={"channel": "CALL", "language": "fr"},
        )
    )

    (referral,) = await people.routed(case["case_ref"])

    assert (referral["rule_id"], referral["partner_type"], referral["urgency"]) == ("R32", "PT-CIV", "U2")
    assert referral["partner_id"].startswith("civ-agd-agadir")
    assert deadlines(referral) == ("2026-12-29T14:00:00Z", "2026-12-31T14:00:00Z")
    assert referral["hard_deadline"] == "2027-01-19"
