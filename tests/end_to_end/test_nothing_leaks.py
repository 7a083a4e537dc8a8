"""A byte scan after real journeys: the seeded names, telephones and notes stand nowhere outside the vault (P08), and
a restricted need on nothing that an agency, an operator or a collector reads (P07)."""

import json
import re
from collections.abc import Iterable, Sequence

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from support.intakes import an_intake
from support.people import People, intake_of, people_of
from support.system import System

NAME = "Zenobia Kanari-Exemple"
ARABIC_NAME = "زنوبيا كناري"
PHONE = "+212600000042"
NOTE = "la porte bleue du canari"
STAFF = "officer-canari"
TEXT = "est transmise. Passez au bureau"
SECRETS = (TEXT, NAME, ARABIC_NAME, PHONE, PHONE.removeprefix("+212"), NOTE, STAFF)


def seeded_intake() -> dict[str, object]:
    return an_intake(
        names=[
            {"script": "Latn", "value": NAME, "role": "full"},
            {"script": "Arab", "value": ARABIC_NAME, "role": "full"},
        ],
        phone=PHONE,
        staff=[STAFF],
        needs=[{"need_code": "HEA-PHC", "note": NOTE}],
        consent={
            "text_version": "2026-11",
            "lang": "fr",
            "mode": "oral",
            "basis": "CONSENT",
            "scope": [{"need_code": "HEA-PHC", "partner_types": ["PT-ESSP"]}],
        },
    )


def forms_of(secret: str) -> Iterable[bytes]:
    """As text, and as JSON writes it with and without escapes."""
    return {secret.encode(), json.dumps(secret)[1:-1].encode(), secret.encode("utf-16-le")}


def leaks(where: str, content: bytes, secrets: Sequence[str] = SECRETS) -> list[str]:
    return [f"{secret!r} in {where}" for secret in secrets for form in forms_of(secret) if form in content]


@pytest.mark.timeout(180)
async def test_no_topic_log_span_metric_or_table_holds_a_seeded_name_phone_or_note(system: System) -> None:
    async with people_of(system) as people:
        await a_whole_journey(people)

        found = [
            *await in_topics(people),
            *in_logs(system),
            *await in_spans(people),
            *await in_metrics(people),
            *await in_databases(people),
        ]

    assert found == []


@pytest.mark.timeout(180)
async def test_a_restricted_need_and_its_row_stand_on_no_agencys_topic_in_no_log_span_or_metric(system: System) -> None:
    gives_away = ("SOC-GBV", "R27b", "care_window")
    async with people_of(system) as people:
        agency = await a_restricted_journey(people)

        found = [
            *await in_topics(people, gives_away, but=SERVICES_ALONE),
            *in_logs(system, gives_away),
            *await in_spans(people, gives_away),
            *await in_metrics(people, gives_away),
        ]

    assert agency == "emf-agd"
    assert found == []


SERVICES_ALONE = frozenset({"intake.case.v1", "referral.lifecycle.v1", "directory.partner.v1"})


async def a_restricted_journey(people: People) -> str:
    """Confirmed, told, read, handed over and refused: everything that could carry the need somewhere."""
    need = {"need_code": "SOC-GBV", "facts": {"care_window": "closed"}}
    case = await people.hand_in(intake_of("SOC-GBV", "PT-EMF", "PT-NGO-WOM", needs=[need]))
    (referral,) = await people.routed(case["case_ref"])
    referral_id = referral["referral_id"]
    path, key = f"/v1/referrals/{referral_id}/confirm", "restricted-canary"
    status, sent, _ = await people.as_role("desk").call("POST", path, {"staff": "officer-8"}, Idempotency_Key=key)
    assert status == 200
    agency: str = sent["partner_id"]
    await people.told(referral_id)
    _, seen, _ = await people.agency(agency).call("GET", f"/v1/referrals/{referral_id}")
    assert (seen["need_code"], seen["row"]) == ("SOC-GBV", "R27b")
    await people.move(agency, referral_id, "accept")
    await people.move(agency, referral_id, "handover", {"partner_id": "ngo-wom"})
    await people.move("ngo-wom", referral_id, "handover-refusal", {"reason_code": "CAPACITY"})
    await people.told(referral_id, "sent", "handover-proposed", "handover-failed")
    return agency


async def a_whole_journey(people: People) -> None:
    """Read, moved, refused, parked: everything that could carry a value somewhere."""
    case = await people.hand_in(seeded_intake())
    (referral,) = await people.routed(case["case_ref"])
    agency, referral_id = referral["partner_id"], referral["referral_id"]
    await people.told(referral_id)
    status, person, _ = await people.agency(agency, "intake").call(
        "GET", f"/v1/cases/{case['case_ref']}/disclosure?referral_id={referral_id}"
    )
    assert status == 200
    assert person["names"][0]["value"] == NAME
    desk = people.as_role("desk", "intake")
    assert (await desk.call("GET", f"/v1/cases/{case['case_ref']}"))[1]["person"]["phone"] == PHONE
    refused = {**seeded_intake(), "sex": NAME, "unknown": PHONE}
    status, problem, _ = await desk.call("POST", "/v1/intakes", refused, Idempotency_Key="canary")
    assert status == 422
    assert leaks("a problem", json.dumps(problem, ensure_ascii=False).encode()) == []
    await people.move(agency, referral_id, "accept")
    (message,) = await people.messaged(case["case_ref"])
    assert message["to"] == PHONE
    assert TEXT in message["text"]


async def in_topics(people: People, secrets: Sequence[str] = SECRETS, but: frozenset[str] = frozenset()) -> list[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=people.endpoints["kafka"], auto_offset_reset="earliest")
    await consumer.start()
    try:
        topics = sorted(await consumer.topics())
        assert "intake.case.v1" in topics
        consumer.subscribe([topic for topic in topics if topic not in but])
        found: list[str] = []
        seen = 0
        while batch := await consumer.getmany(timeout_ms=3000):
            for records in batch.values():
                for record in records:
                    seen += 1
                    content = b"\n".join([record.key or b"", record.value or b"", repr(record.headers).encode()])
                    found += leaks(f"topic {record.topic}", content, secrets)
        assert seen > 20
        return found
    finally:
        await consumer.stop()


def in_logs(system: System, secrets: Sequence[str] = SECRETS) -> list[str]:
    logs = sorted((system.folder / "logs").glob("*"))
    assert any(log.stat().st_size for log in logs)
    return [leak for log in logs for leak in leaks(f"log {log.name}", log.read_bytes(), secrets)]


async def in_spans(people: People, secrets: Sequence[str] = SECRETS) -> list[str]:
    found: list[str] = []
    for service in ("ihala-intake", "ihala-referral", "ihala-notification"):
        url = f"{people.endpoints['traces']}/api/traces?service={service}&limit=1500"
        async with people.session.get(url) as answer:
            content = await answer.read()
        assert b"traceID" in content
        found += leaks(f"spans of {service}", content, secrets)
    return found


async def in_metrics(people: People, secrets: Sequence[str] = SECRETS) -> list[str]:
    found: list[str] = []
    for service in ("intake", "referral", "notification"):
        async with people.session.get(f"{people.endpoints[service]}/metrics") as answer:
            assert answer.status == 200
            found += leaks(f"metrics of {service}", await answer.read(), secrets)
    return found


async def in_databases(people: People) -> list[str]:
    """Every row of every table as text; the vault's ciphertext is among them."""
    found: list[str] = []
    for name, dsn in people.endpoints["postgres"].items():
        connection = await asyncpg.connect(dsn)
        try:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            assert tables
            for (table,) in tables:
                rows = await connection.fetch(f'SELECT t::text AS row FROM "{table}" AS t')
                for row in rows:
                    found += leaks(f"{name}.{table}", row["row"].encode())
                    found += leaks(f"{name}.{table}", unescaped(row["row"]))
        finally:
            await connection.close()
    return found


def unescaped(text: str) -> bytes:
    """bytea columns read as hexadecimal: look inside them too."""
    return b"\n".join(bytes.fromhex(match) for match in re.findall(r"\\\\?x((?:[0-9a-f]{2}){8,})", text))
