"""A case comes by Kafka, agencies answer over HTTP and Kafka."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer
from ihala_events import catalogue
from ihala_events.intake import ConsentRecorded, ConsentWithdrawn, ProfileMember, RoutingProfile, SubjectErased
from ihala_events.topics import party_in
from ihala_events.vocabulary import Relation
from ihala_referral.adapters import reconciliation
from ihala_runtime.identifiers import uuid7
from ihala_runtime.reconciliation import Span
from support.events import publish
from support.referral_service import CENTRE, WOMEN, Running, answers, receipt, receipt_noted, refusal, topics_of
from support.referral_units import a_consent, a_profile
from support.referral_world import at
from support.serving import Client, move, try_move
from support.waiting import wait_until


async def test_one_intake_with_two_needs_gives_two_referrals(referral: Running) -> None:
    found = await referral.routed("HEA-MAT", "EDU-ADL")

    assert [(each["need_code"], each["rule_id"], each["state"]) for each in found] == [
        ("EDU-ADL", "R24", "sent"),
        ("HEA-MAT", "R11", "sent"),
    ]
    assert found[1]["partner_id"] == CENTRE
    assert (found[1]["ack_due"], found[1]["contact_due"]) == ("2026-11-17T10:15:00Z", "2026-11-19T10:15:00Z")
    assert found[1]["rule_set_version"] == "2026-11.1"
    assert found[1]["explanation"]["partner_chain"][0]["why"] == "chosen"


async def test_the_same_event_again_has_no_effect(referral: Running) -> None:
    profile = a_profile("HEA-MAT")
    event_id = await referral.tell(catalogue.CASE_SUBMITTED, profile, profile.case_id)
    await referral.of_case(profile)

    await referral.tell(catalogue.CASE_SUBMITTED, profile, profile.case_id, event_id)
    other = a_profile("HEA-MAT", case_id=profile.case_id)
    await referral.tell(catalogue.CASE_SUBMITTED, other, profile.case_id)
    await referral.routed("HEA-MAT")

    assert len(await referral.listed(profile.case_ref)) == 1


async def test_an_agency_takes_a_case_from_sent_to_closed(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    referral_id = made["referral_id"]

    states = [
        (await move(referral.centre, referral_id, name, body))["state"]
        for name, body in (
            ("acknowledge", None),
            ("accept", None),
            ("contacted", None),
            ("start", None),
            ("close", {"outcome_code": "RECEIVED"}),
        )
    ]

    assert states == ["acknowledged", "accepted", "accepted", "in_service", "closed"]
    assert await referral.happened(referral_id) == [
        "proposed",
        "sent",
        "acknowledged",
        "accepted",
        "contacted",
        "started",
        "closed",
    ]
    final = await referral.seen(referral_id)
    assert (final["outcome_code"], final["contacted_at"]) == ("RECEIVED", "2026-11-16T10:15:00Z")


async def test_a_declined_referral_goes_to_the_next_agency(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")

    answer = await move(referral.centre, made["referral_id"], "decline", {"reason_code": "CAPACITY"})

    assert answer["state"] == "sent"
    assert [(each["partner_id"], each["state"]) for each in answer["attempts"]] == [(CENTRE, "declined")]
    seen = await referral.seen(made["referral_id"])
    assert (seen["partner_id"], seen["attempt_no"]) == (WOMEN, 2)
    status, ended = await try_move(referral.centre, made["referral_id"], "accept")
    assert (status, ended["type"], ended["state"]) == (409, "urn:ihala:problem:attempt-ended", "sent")


async def test_a_person_is_handed_over_once_both_agencies_agree(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    referral_id = made["referral_id"]
    await move(referral.centre, referral_id, "accept")
    unseen, _, _ = await referral.women.call("GET", f"/v1/referrals/{referral_id}")

    proposed = await move(referral.centre, referral_id, "handover", {"partner_id": WOMEN})
    again, _ = await try_move(referral.centre, referral_id, "handover", {"partner_id": "ngo-hea"})
    _, asked, _ = await referral.women.call("GET", f"/v1/referrals/{referral_id}")
    early, _ = await try_move(referral.women, referral_id, "start")
    await answers(referral, WOMEN, {"referral_id": referral_id, "response": "handover-acceptance"})
    await wait_until(lambda: _at_attempt(referral, made, 2))
    late, problem = await try_move(referral.centre, referral_id, "start")
    started = await move(referral.women, referral_id, "start")

    assert (unseen, again, early, late) == (404, 409, 409, 409)
    assert (proposed["state"], proposed["partner_id"]) == ("accepted", CENTRE)
    assert (asked["handover"]["from_partner_id"], asked["handover"]["to_partner_id"]) == (CENTRE, WOMEN)
    assert problem["type"] == "urn:ihala:problem:attempt-ended"
    assert (started["state"], started["partner_id"], started["contact_due"]) == (
        "in_service",
        WOMEN,
        made["contact_due"],
    )
    assert [each["state"] for each in (await referral.seen(referral_id))["attempts"]] == ["handed_over", "accepted"]
    assert (await referral.happened(referral_id))[-4:] == [
        "handover-proposed",
        "handed-over",
        "handover-accepted",
        "started",
    ]


async def test_the_same_call_again_gets_the_same_answer_and_another_body_is_refused(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    key, path = str(uuid7()), f"/v1/referrals/{made['referral_id']}/decline"

    first = await referral.centre.call("POST", path, {"reason_code": "CAPACITY"}, Idempotency_Key=key)
    again = await referral.centre.call("POST", path, {"reason_code": "CAPACITY"}, Idempotency_Key=key)
    other = await referral.centre.call("POST", path, {"reason_code": "OTHER"}, Idempotency_Key=key)

    assert (first[0], again[0], again[1]) == (200, 200, first[1])
    assert again[2]["Idempotency-Replayed"] == "true"
    assert (other[0], other[1]["type"]) == (409, "urn:ihala:problem:idempotency-key-reused")


async def test_repeating_the_last_move_under_a_new_key_makes_no_event(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")

    for _ in range(2):
        await move(referral.centre, made["referral_id"], "acknowledge")

    assert await referral.happened(made["referral_id"]) == ["proposed", "sent", "acknowledged"]


async def test_a_withdrawn_consent_takes_the_referral_back(referral: Running) -> None:
    made = await _withdrawn(referral)
    assert await referral.happened(made["referral_id"]) == [
        "proposed",
        "sent",
        "recalled",
        "withdrawn",
        "deletion-requested",
    ]
    await move(referral.centre, made["referral_id"], "deletion-confirmation")


async def test_a_new_consent_ends_the_hold(referral: Running) -> None:
    profile = a_profile("HEA-MAT", consent=a_consent())
    await referral.tell(catalogue.CASE_SUBMITTED, profile, profile.case_id)
    (made,) = await referral.of_case(profile)
    assert (made["state"], made["hold_reason"], made["partner_id"]) == ("proposed", "consent", None)

    recorded = ConsentRecorded(case_id=profile.case_id, case_ref=profile.case_ref, consent=a_consent("HEA-MAT"))
    await referral.tell(catalogue.CONSENT_RECORDED, recorded, profile.case_id)

    await wait_until(lambda: _in_state(referral, made, "sent"))


async def test_a_consent_about_an_unknown_case_waits_and_blocks_nobody_else(referral: Running) -> None:
    early = a_profile("HEA-MAT", consent=a_consent())
    recorded = ConsentRecorded(case_id=early.case_id, case_ref=early.case_ref, consent=a_consent("HEA-MAT"))

    await referral.tell(catalogue.CONSENT_RECORDED, recorded, early.case_id)
    await referral.routed("HEA-MAT")

    async with referral.database.connection() as connection:
        reasons = await connection.fetch("SELECT error_class FROM parked WHERE key = $1", str(early.case_id).encode())
    assert [row["error_class"] for row in reasons] == ["unknown-case"]


async def test_events_carry_the_case_the_cause_and_a_growing_sequence(referral: Running) -> None:
    profile = a_profile("HEA-MAT")
    cause = await referral.tell(catalogue.CASE_SUBMITTED, profile, profile.case_id)
    (made,) = await referral.of_case(profile)

    async with referral.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT headers, key FROM event WHERE aggregate_id = $1 ORDER BY sequence", made["referral_id"]
        )

    assert [row["headers"]["ce_sequence"] for row in rows] == ["0000000001", "0000000002"]
    assert {row["headers"]["ce_correlationid"] for row in rows} == {str(profile.case_id)}
    assert {row["headers"]["ce_causationid"] for row in rows} == {cause}
    assert {row["headers"]["ce_source"] for row in rows} == {"/ihala/referral"}
    assert {row["key"] for row in rows} == {made["referral_id"]}


async def test_the_desk_sees_a_linked_case_and_an_erased_one_is_forgotten(referral: Running) -> None:
    mother = a_profile("HEA-MAT")
    await referral.tell(catalogue.CASE_SUBMITTED, mother, mother.case_id)
    await referral.of_case(mother)
    link = ProfileMember(case_id=mother.case_id, relation=Relation.PARENT)
    daughter = a_profile("HEA-MAT", household=[link])
    elsewhere = a_profile("HEA-MAT", household=[link], desk_id="ngo-tiznit")
    for profile in (daughter, elsewhere):
        await referral.tell(catalogue.CASE_SUBMITTED, profile, profile.case_id)
        await referral.of_case(profile)

    async def household(client: Client, profile: RoutingProfile) -> list[str] | None:
        _, page, _ = await client.call("GET", f"/v1/referrals?case_ref={profile.case_ref}")
        refs: list[str] | None = page.get("household")
        return refs

    assert await household(referral.desk, mother) == [daughter.case_ref]
    assert await household(referral.desk, daughter) == [mother.case_ref]
    assert await household(referral.desk, elsewhere) == []
    assert await household(referral.protection, mother) == sorted([daughter.case_ref, elsewhere.case_ref])
    assert await household(referral.centre, mother) is None
    assert await household(referral.operator, mother) is None

    erased = SubjectErased(case_id=daughter.case_id, case_ref=daughter.case_ref, erased_at=at("2026-11-16 10:15"))
    await referral.tell(catalogue.SUBJECT_ERASED, erased, daughter.case_id)

    async def forgotten() -> bool:
        return await household(referral.desk, mother) == []

    await wait_until(forgotten)
    assert [each["state"] for each in await referral.listed(mother.case_ref)] == ["sent"]


async def test_a_sent_event_without_a_receipt_is_published_again(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    (told,) = await referral.routed("HEA-MAT")
    await receipt_noted(referral, told, tried=False)
    async with referral.database.connection() as connection:
        await wait_until(lambda: connection.fetchval("SELECT NOT EXISTS (SELECT FROM outbox)"))
        await connection.execute(
            "UPDATE event SET created_at = created_at - interval '2 min' WHERE aggregate_id = ANY($1::uuid[])",
            [made["referral_id"], told["referral_id"]],
        )
        await connection.execute(
            "UPDATE attempt SET receipt_at = now() WHERE referral_id <> $1 AND receipt_at IS NULL", made["referral_id"]
        )
        sent = await connection.fetchval(
            "SELECT event_id FROM event WHERE aggregate_id = $1 AND type = $2",
            made["referral_id"],
            catalogue.SENT.type,
        )

    records = await _lifecycle_of(referral, made["referral_id"], 3)
    assert [dict(each.headers)["ce_id"].decode() for each in records].count(str(sent)) == 2
    assert dict(records[-1].headers)["ce_again"] == b"unanswered"
    async with referral.database.connection() as connection:
        asked = await connection.fetch("SELECT event_id FROM unanswered WHERE asked > 0 AND expectation = 'told'")
    assert [row["event_id"] for row in asked] == [sent]


async def test_every_agency_that_was_asked_is_counted_where_the_asking_is(referral: Running) -> None:
    told, over, waiting, stuck = [(await referral.routed("HEA-MAT"))[0] for _ in range(4)]
    await receipt_noted(referral, told, tried=True)
    await move(referral.centre, over["referral_id"], "acknowledge")
    await move(referral.centre, over["referral_id"], "decline", {"reason_code": "CAPACITY"})
    async with referral.database.connection() as connection:
        now = await connection.fetchval("SELECT clock_timestamp()") - timedelta(days=1)  # when nobody else was asked
        for made, seconds in ((told, 70), (over, 70), (waiting, 59), (stuck, 61)):
            await connection.execute(
                "UPDATE event SET created_at = $1 WHERE aggregate_id = $2::uuid AND sequence = 2",
                now - timedelta(seconds=seconds),
                made["referral_id"],
            )

        counted = await reconciliation.ASKED.by_place(connection, Span(now - timedelta(minutes=5), now))

    assert counted == {"told": 1, "over": 1, "waiting": 1, "stuck": 1}


async def test_whatever_else_an_agency_is_told_is_published_again_until_its_receipt_comes(referral: Running) -> None:
    made = await _withdrawn(referral)
    recalled, deletion = [
        await _event_of(referral, made, kind) for kind in (catalogue.RECALLED, catalogue.DELETION_REQUESTED)
    ]
    await receipt(referral, made, catalogue.DELIVERED, of=catalogue.RECALLED, event_id=recalled)
    async with referral.database.connection() as connection:
        await wait_until(lambda: connection.fetchval("SELECT EXISTS (SELECT FROM told WHERE event_id = $1)", recalled))
        await connection.execute(
            "UPDATE event SET created_at = created_at - interval '1 min' WHERE aggregate_id = $1::uuid",
            made["referral_id"],
        )

    async def waits_for() -> set[UUID]:
        async with referral.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT event_id FROM unanswered JOIN event USING (event_id)"
                " WHERE asked > 0 AND expectation = 'copy-told' AND key = $1",
                made["referral_id"],
            )
        return {row["event_id"] for row in rows}

    assert await wait_until(waits_for) == {deletion}
    await receipt(referral, made, catalogue.DELIVERED, of=catalogue.DELETION_REQUESTED, event_id=deletion)

    async def waits_for_nothing() -> bool:
        return not await waits_for()

    await wait_until(waits_for_nothing)


async def _event_of(referral: Running, made: dict[str, Any], kind: catalogue.EventType) -> UUID:
    async with referral.database.connection() as connection:
        found: UUID = await connection.fetchval(
            "SELECT event_id FROM event WHERE aggregate_id = $1::uuid AND type = $2", made["referral_id"], kind.type
        )
    return found


# --- the agency's own topic


async def test_an_agency_answers_on_its_own_topic(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")

    await answers(referral, CENTRE, {"referral_id": made["referral_id"], "response": "accept"})

    await wait_until(lambda: _in_state(referral, made, "accepted"))


async def test_a_refused_answer_is_told_on_the_agencys_topic(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    wrong = [
        (CENTRE, {"referral_id": made["referral_id"], "response": "start"}, None, "illegal-move"),
        (CENTRE, {"referral_id": made["referral_id"], "response": "decline"}, None, "invalid-input"),
        (CENTRE, {"referral_id": made["referral_id"], "response": "fly"}, None, "invalid-input"),
        (WOMEN, {"referral_id": made["referral_id"], "response": "accept"}, None, "not-found"),
        (WOMEN, {"referral_id": made["referral_id"], "response": "accept"}, f"/party/{CENTRE}", "source-mismatch"),
    ]

    for party_id, answer, source, reason in wrong:
        request_id = await answers(referral, party_id, answer, source)
        told = await wait_until(lambda: refusal(referral, party_id, request_id))  # noqa: B023
        assert told["reason"] == reason

    assert (await referral.seen(made["referral_id"]))["state"] == "sent"


async def test_an_agency_publishes_its_places_on_its_own_topic_and_the_next_choice_knows(referral: Running) -> None:
    await publishes(referral, "ngo-chi", {"SOC-CHC": 0})
    (waiting,) = await referral.routed("SOC-CHC")
    assert (waiting["partner_id"], waiting["state"]) == ("ngo-chi", "waitlisted")

    await publishes(referral, "ngo-chi", {"SOC-CHC": 1})

    async def offered() -> bool:
        return "place-offered" in await referral.happened(waiting["referral_id"])

    await wait_until(offered)
    await publishes(referral, "ngo-chi", {"SOC-CHC": None})


async def publishes(referral: Running, party_id: str, places: dict[str, int | None]) -> None:
    """Free places, over the agency's own topic; returns when they are in the directory."""
    await topics_of(referral, party_id)
    await publish(
        referral.producer,
        catalogue.CAPACITY_CHANGED,
        json.dumps({"places": places}).encode(),
        key="k",
        source=f"/party/{party_id}",
        topic=party_in(party_id).name,
    )

    async def published() -> bool:
        _, record, _ = await referral.operator.call("GET", f"/v1/partners/{party_id}")
        return all(record["capacity"].get(code, "none") == number for code, number in places.items())

    await wait_until(published, within_seconds=30)


async def test_an_agency_announces_its_closures_on_its_topic_and_impossible_ones_are_refused(referral: Running) -> None:
    await announces(referral, "ngo-leg", "2026-11-16", "2026-11-30")
    await wait_until(lambda: _is_closed(referral, "ngo-leg", ["2026-11-16"]), within_seconds=30)

    request_id = await announces(referral, "ngo-leg", "2026-12-02", "2026-12-01")
    told = await wait_until(lambda: refusal(referral, "ngo-leg", request_id), within_seconds=30)

    assert (told["reason"], told["detail"]) == ("invalid-input", "/closures/0/last_day must not be before first_day")
    assert await _is_closed(referral, "ngo-leg", ["2026-11-16"])
    (made,) = await referral.routed("SOC-LEG")
    assert made["explanation"]["partner_chain"][0] | {"chosen": False} == {
        "partner_id": "ngo-leg",
        "partner_type": "PT-NGO-LEG",
        "chosen": False,
        "why": "closed",
    }
    await referral.operator.call("PUT", "/v1/partners/ngo-leg/closures", {"closures": []})


async def announces(referral: Running, party_id: str, first_day: str, last_day: str) -> str:
    """One closure, over the agency's own topic; the id of the event."""
    await topics_of(referral, party_id)
    body = {"closures": [{"first_day": first_day, "last_day": last_day}]}
    return await publish(
        referral.producer,
        catalogue.CLOSURES_CHANGED,
        json.dumps(body).encode(),
        key="k",
        source=f"/party/{party_id}",
        topic=party_in(party_id).name,
    )


async def _is_closed(referral: Running, party_id: str, first_days: list[str]) -> bool:
    _, record, _ = await referral.operator.call("GET", f"/v1/partners/{party_id}")
    return [each["first_day"] for each in record["closures"]] == first_days


async def test_what_is_no_event_is_set_aside_and_the_partition_goes_on(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    await topics_of(referral, CENTRE)

    await referral.producer.send_and_wait(party_in(CENTRE).name, b"\xff\xfe", b"garbage")
    await answers(referral, CENTRE, {"referral_id": made["referral_id"], "response": "acknowledge"})

    await wait_until(lambda: _in_state(referral, made, "acknowledged"))
    async with referral.database.connection() as connection:
        states = await connection.fetch("SELECT state FROM parked WHERE consumer = 'referral.parties'")
    assert {row["state"] for row in states} == {"dead"}


async def _withdrawn(referral: Running) -> dict[str, Any]:
    """A referral whose person took the consent back."""
    profile = a_profile("HEA-MAT")
    await referral.tell(catalogue.CASE_SUBMITTED, profile, profile.case_id)
    (made,) = await referral.of_case(profile)
    withdrawn = ConsentWithdrawn(
        case_id=profile.case_id, case_ref=profile.case_ref, consent_id=uuid7(), withdrawn_at=at("2026-11-16 10:20")
    )
    await referral.tell(catalogue.CONSENT_WITHDRAWN, withdrawn, profile.case_id)
    await wait_until(lambda: _in_state(referral, made, "withdrawn"))
    return dict(made)


async def _in_state(referral: Running, made: dict[str, Any], state: str) -> bool:
    return bool((await referral.seen(made["referral_id"]))["state"] == state)


async def _at_attempt(referral: Running, made: dict[str, Any], number: int) -> bool:
    return bool((await referral.seen(made["referral_id"]))["attempt_no"] == number)


async def _lifecycle_of(referral: Running, referral_id: str, count: int) -> list[Any]:
    """At least so many records of one referral."""

    async def found() -> list[Any]:
        records = await _everything(referral, catalogue.SENT.topic.name)
        own = [record for record in records if record.key.decode() == referral_id]
        return own if len(own) >= count else []

    return await wait_until(found, 40)


async def _everything(referral: Running, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=referral.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        batches = [await consumer.getmany(timeout_ms=1000, max_records=5000) for _ in range(3)]
        return [record for batch in batches for records in batch.values() for record in records]
    finally:
        await consumer.stop()
