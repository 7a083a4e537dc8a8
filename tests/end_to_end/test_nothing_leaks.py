"""A byte scan after real journeys: the seeded names, telephones and notes stand nowhere outside the vault (P08)."""

import json
import re
from collections.abc import Iterable

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from support.intakes import an_intake
from support.people import People, people_of
from support.system import System

NAME = "Zenobia Kanari-Exemple"
ARABIC_NAME = "زنوبيا كناري"
PHONE = "+212600000042"
NOTE = "la porte bleue du canari"
STAFF = "officer-canari"
SECRETS = (NAME, ARABIC_NAME, PHONE, PHONE.removeprefix("+212"), NOTE, STAFF)


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


def leaks(where: str, content: bytes) -> list[str]:
    return [f"{secret!r} in {where}" for secret in SECRETS for form in forms_of(secret) if form in content]


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
    _, problem, _ = await desk.call("POST", "/v1/intakes", refused, Idempotency_Key="canary")
    assert leaks("a problem", json.dumps(problem, ensure_ascii=False).encode()) == []
    await people.move(agency, referral_id, "accept")


async def in_topics(people: People) -> list[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=people.endpoints["kafka"], auto_offset_reset="earliest")
    await consumer.start()
    try:
        topics = sorted(await consumer.topics())
        assert "intake.case.v1" in topics
        consumer.subscribe(topics)
        found: list[str] = []
        seen = 0
        while batch := await consumer.getmany(timeout_ms=3000):
            for records in batch.values():
                for record in records:
                    seen += 1
                    content = b"\n".join([record.key or b"", record.value or b"", repr(record.headers).encode()])
                    found += leaks(f"topic {record.topic}", content)
        assert seen > 20
        return found
    finally:
        await consumer.stop()


def in_logs(system: System) -> list[str]:
    logs = sorted((system.folder / "logs").glob("*"))
    assert any(log.stat().st_size for log in logs)
    return [leak for log in logs for leak in leaks(f"log {log.name}", log.read_bytes())]


async def in_spans(people: People) -> list[str]:
    found: list[str] = []
    for service in ("ihala-intake", "ihala-referral", "ihala-notification"):
        url = f"{people.endpoints['traces']}/api/traces?service={service}&limit=1500"
        async with people.session.get(url) as answer:
            content = await answer.read()
        assert b"traceID" in content
        found += leaks(f"spans of {service}", content)
    return found


async def in_metrics(people: People) -> list[str]:
    found: list[str] = []
    for service in ("intake", "referral", "notification"):
        async with people.session.get(f"{people.endpoints[service]}/metrics") as answer:
            found += leaks(f"metrics of {service}", await answer.read())
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
