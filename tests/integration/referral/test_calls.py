"""Who may call what, what each may see, and how wrong calls are refused."""

from typing import Any

import pytest
from ihala_events.access import Role
from ihala_events.intake import ProfileConsent, staff_digest
from ihala_events.vocabulary import AgeBand, ConsentBasis, Vulnerability
from ihala_runtime.identifiers import uuid7
from support.intakes import an_intake
from support.referral_service import CENTRE, WOMEN, Running
from support.referral_world import at
from support.serving import Client, move, try_move
from support.waiting import wait_until

EVERYONE = ("admin", "desk", "operator", "protection", "integrator", "centre")
ALLOWED = [
    ("GET", "/v1/referrals", "desk operator protection centre"),
    ("POST", "/v1/routing/explain", "desk integrator"),
    ("GET", "/v1/rules", "desk operator protection"),
    ("GET", "/v1/rules/2026-11.1", "desk operator protection"),
    ("PUT", "/v1/rules/2026-11.1", "operator"),
    ("POST", "/v1/rules/none/activate", "operator"),
    ("POST", "/v1/rules/compare", "operator"),
    ("GET", "/v1/reports/indicators?from=2026-07-01&to=2026-10-01", "operator protection admin"),
    ("GET", "/v1/credentials", "admin"),
    ("POST", "/v1/credentials", "admin"),
    ("DELETE", "/v1/credentials/none", "admin"),
    ("GET", "/v1/partners:lint", "operator"),
    ("PUT", f"/v1/partners/{CENTRE}", "operator"),
    ("PUT", f"/v1/partners/{CENTRE}/closures", "operator centre"),
    ("PUT", f"/v1/partners/{CENTRE}/capacity", "operator centre"),
    ("GET", "/v1/programmes", "admin desk operator protection integrator centre"),
    ("PUT", "/v1/programmes/none", "operator"),
    ("DELETE", "/v1/programmes/none", "operator"),
    ("GET", "/v1/agreements", "admin desk operator protection"),
    ("GET", "/v1/agreements/none", "admin desk operator protection"),
    ("PUT", "/v1/agreements/none", "protection"),
    ("DELETE", "/v1/agreements/none", "protection"),
    ("POST", f"/v1/partners/{CENTRE}/stop", "admin"),
    ("POST", "/v1/partners/none/resume", "admin"),
    ("GET", "/v1/partners/none/affected-referrals", "admin protection"),
    ("POST", "/v1/referrals/{id}/confirm", "desk protection"),
    ("POST", "/v1/referrals/{id}/reroute", "desk operator"),
    ("POST", "/v1/referrals/{id}/close", "desk centre"),
    *[
        ("POST", f"/v1/referrals/{{id}}/{name}", "centre")
        for name in (
            "acknowledge",
            "accept",
            "decline",
            "hand-back",
            "waitlist",
            "offer",
            "contacted",
            "start",
            "deletion-confirmation",
            "correction-confirmation",
            "handover",
            "handover-withdrawal",
            "handover-acceptance",
            "handover-refusal",
        )
    ],
]


@pytest.mark.parametrize("who", EVERYONE)
@pytest.mark.parametrize(("method", "path", "allowed"), ALLOWED)
async def test_a_role_may_call_what_is_its_own_and_nothing_else(
    referral: Running, method: str, path: str, allowed: str, who: str
) -> None:
    client: Client = getattr(referral, who)

    status, _, _ = await client.call(method, path.format(id=uuid7()), raw=b'{"wrong": 1}', Idempotency_Key="k")

    assert (status != 403) == (who in allowed.split())


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in ALLOWED])
async def test_without_a_key_nothing_is_answered(referral: Running, method: str, path: str) -> None:
    status, problem, _ = await referral.nobody.call(method, path.format(id=uuid7()), raw=b"{}")

    assert (status, problem["type"]) == (401, "urn:ihala:problem:unauthenticated")


async def test_anothers_referral_is_answered_like_a_missing_one(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    path = f"/v1/referrals/{made['referral_id']}"

    for client in (referral.women, referral.other_desk):
        theirs = await client.call("GET", path)
        missing = await client.call("GET", f"/v1/referrals/{uuid7()}")
        assert theirs[:2] == missing[:2]
        assert theirs[0] == 404
        assert (await client.call("GET", f"{path}/timeline"))[0] == 404
    assert (await try_move(referral.women, made["referral_id"], "accept"))[0] == 404
    assert (await try_move(referral.other_desk, made["referral_id"], "close", {"outcome_code": "MOVED"}))[0] == 404
    assert (await referral.centre.call("GET", "/v1/referrals/not-an-id"))[0] == 404


async def test_lists_hold_the_callers_own_alone(referral: Running) -> None:
    await referral.routed("HEA-MAT")

    _, of_other_desk, _ = await referral.other_desk.call("GET", "/v1/referrals")
    _, of_women, _ = await referral.women.call("GET", "/v1/referrals?limit=200")
    _, of_centre, _ = await referral.centre.call("GET", "/v1/referrals?limit=200")

    assert of_other_desk["items"] == []
    assert all(any(each["partner_id"] == WOMEN for each in item["attempts"]) for item in of_women["items"])
    assert of_centre["items"]
    assert {each["partner_id"] for item in of_centre["items"] for each in item["attempts"]} == {CENTRE}


async def test_a_referral_and_an_explanation_tell_why_in_three_languages(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")

    _, seen, _ = await referral.desk.call("GET", f"/v1/referrals/{made['referral_id']}")
    _, explained, _ = await referral.desk.call("POST", "/v1/routing/explain", an_intake())

    sentences = seen["explanation"]["sentences"]
    assert sentences["fr"][0] == "Besoin « Grossesse, accouchement, post-partum » : ligne R11 des règles, urgence U2."
    assert sentences["en"][1].startswith("Health centre (example) — Agadir: chosen")
    assert seen["explanation"]["passed_over"][0]["count"] == 8
    assert explained["referrals"][0]["explanation"]["sentences"]["ar"][0] == sentences["ar"][0]


async def test_a_restricted_need_is_masked_for_the_operator_and_its_rule_with_it(referral: Running) -> None:
    (made,) = await referral.routed("HEA-INF")
    path = f"/v1/referrals/{made['referral_id']}"
    assert made["hold_reason"] == "confirmation"

    _, masked, _ = await referral.operator.call("GET", path)
    _, for_desk, _ = await referral.desk.call("GET", path)
    await move(referral.desk, made["referral_id"], "confirm", {"staff": "officer-8"})
    _, for_agency, _ = await referral.centre.call("GET", path)
    assert for_agency["explanation"] is None

    assert (masked["need_code"], masked["rule_id"], masked["row"], masked["explanation"]) == (
        "RESTRICTED",
        None,
        None,
        None,
    )
    assert (for_desk["need_code"], for_agency["need_code"]) == ("HEA-INF", "HEA-INF")
    assert for_agency["explanation"] is None


async def test_an_agency_that_declined_no_longer_reads_a_restricted_need(referral: Running) -> None:
    (made,) = await referral.routed("HEA-INF")
    await move(referral.desk, made["referral_id"], "confirm", {"staff": "officer-8"})
    await move(referral.centre, made["referral_id"], "decline", {"reason_code": "CAPACITY"})

    _, seen, _ = await referral.centre.call("GET", f"/v1/referrals/{made['referral_id']}")

    assert (seen["need_code"], seen["partner_id"]) == ("RESTRICTED", None)
    _, timeline, _ = await referral.centre.call("GET", f"/v1/referrals/{made['referral_id']}/timeline")
    assert {item["partner_id"] for item in timeline["items"]} == {CENTRE}


async def test_whoever_recorded_the_case_of_a_child_alone_cannot_confirm_it(referral: Running) -> None:
    case_id = uuid7()
    (made,) = await referral.routed(
        "SOC-CPU",
        case_id=case_id,
        age_band=AgeBand.MIDDLE,
        vulnerabilities=[Vulnerability.UNACCOMPANIED],
        consent=ProfileConsent(consent_id=uuid7(), basis=ConsentBasis.BEST_INTEREST),
        recorded_by=[staff_digest(case_id, "officer-7"), staff_digest(case_id, "officer-9")],
    )

    refused = await try_move(referral.desk, made["referral_id"], "confirm", {"staff": "officer-7"})
    agreed = await move(referral.protection, made["referral_id"], "confirm", {"staff": "officer-8"})

    assert (refused[0], refused[1]["type"]) == (409, "urn:ihala:problem:same-staff")
    assert (agreed["state"], agreed["partner_id"]) == ("sent", "cape")


async def test_pages_are_full_and_follow_each_other(referral: Running) -> None:
    for _ in range(3):
        await referral.routed("EDU-ADL")

    _, first, _ = await referral.desk.call("GET", "/v1/referrals?limit=2")
    _, second, _ = await referral.desk.call("GET", f"/v1/referrals?limit=2&cursor={first['next_cursor']}")

    ids = [item["referral_id"] for page in (first, second) for item in page["items"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == len(first["items"]) + len(second["items"])
    assert (await referral.desk.call("GET", "/v1/referrals?cursor=nonsense"))[0] == 422
    assert (await referral.desk.call("GET", "/v1/referrals?limit=201"))[0] == 422


async def test_lists_are_filtered_by_state_agency_and_lateness(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    (late,) = await referral.routed("HEA-MAT", received_at=at("2026-11-10 10:15"))

    _, sent, _ = await referral.desk.call("GET", f"/v1/referrals?state=sent&partner_id={CENTRE}&limit=200")
    _, overdue, _ = await referral.desk.call("GET", "/v1/referrals?overdue=true&limit=200")

    assert {made["referral_id"], late["referral_id"]} <= {item["referral_id"] for item in sent["items"]}
    overdue_ids = {item["referral_id"] for item in overdue["items"]}
    assert late["referral_id"] in overdue_ids
    assert made["referral_id"] not in overdue_ids


@pytest.mark.parametrize(
    ("raw", "status", "slug"),
    [
        (b"{", 400, "malformed-json"),
        (b'{"reason_code": "FULL"}', 422, "invalid-input"),
        (b'{"reason_code": "CAPACITY", "note": "x"}', 422, "invalid-input"),
        (b"{}", 422, "invalid-input"),
        (b"[" * 70_000, 413, "too-large"),
    ],
)
async def test_a_wrong_body_is_refused_without_a_trace(referral: Running, raw: bytes, status: int, slug: str) -> None:
    (made,) = await referral.routed("HEA-MAT")

    answer = await referral.centre.call(
        "POST", f"/v1/referrals/{made['referral_id']}/decline", raw=raw, Idempotency_Key=str(uuid7())
    )

    assert (answer[0], answer[1]["type"]) == (status, f"urn:ihala:problem:{slug}")
    assert await referral.happened(made["referral_id"]) == ["proposed", "sent"]


async def test_a_move_needs_an_idempotency_key(referral: Running) -> None:
    status, problem, _ = await referral.centre.call("POST", f"/v1/referrals/{uuid7()}/accept", {})

    assert (status, problem["type"]) == (400, "urn:ihala:problem:idempotency-key-required")


async def test_an_illegal_move_is_a_conflict_that_names_the_state(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")

    status, problem = await try_move(referral.centre, made["referral_id"], "start")

    assert (status, problem["type"], problem["state"]) == (409, "urn:ihala:problem:illegal-move", "sent")


# --- explain


async def test_an_intake_is_explained_and_nothing_is_stored(referral: Running) -> None:
    before = await _count(referral)
    intake = an_intake(received_at="2026-11-16T10:15:00Z")

    status, answer, _ = await referral.desk.call("POST", "/v1/routing/explain", intake)

    explained = answer["referrals"][0]
    assert (status, answer["state"]) == (200, "submitted")
    assert (explained["rule_id"], explained["ack_due"]) == ("R11", "2026-11-17T10:15:00Z")
    assert explained["partner_chain"][0] == {
        "partner_id": CENTRE,
        "partner_type": "PT-ESSP",
        "chosen": True,
        "why": "chosen",
    }
    assert await _count(referral) == before


async def test_an_explanation_can_be_asked_for_another_instant(referral: Running) -> None:
    intake = an_intake(received_at="2026-11-16T10:15:00Z")

    _, answer, _ = await referral.desk.call("POST", "/v1/routing/explain?at=2026-11-17T09:00:00Z", intake)

    assert answer["referrals"][0]["ack_due"] == "2026-11-19T09:00:00Z"


@pytest.mark.parametrize(
    ("changes", "pointer"), [({"commune_code": "XXX"}, "/commune_code"), ({"needs": []}, "/needs")]
)
async def test_a_wrong_intake_is_not_explained(referral: Running, changes: dict[str, Any], pointer: str) -> None:
    status, problem, _ = await referral.desk.call("POST", "/v1/routing/explain", an_intake(**changes))

    assert status == 422
    assert pointer in [error["pointer"] for error in problem["errors"]]


async def _count(referral: Running) -> int:
    async with referral.database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM referral"))


# --- the directory


AGREEMENT = {"agreement_id": "one", "purposes": ["HEA"], "since": "2026-01-01"}


async def test_a_record_is_read_back_as_it_was_put(referral: Running) -> None:
    _, record, _ = await referral.operator.call("GET", "/v1/partners/reh")

    status, again, _ = await referral.operator.call("PUT", "/v1/partners/reh", record)

    assert (status, again) == (200, record)
    _, page, _ = await referral.desk.call("GET", "/v1/partners?limit=10&type=PT-CIV")
    assert [each["partner_id"] for each in page["items"]] == sorted(each["partner_id"] for each in page["items"])
    assert page["next_cursor"] == page["items"][-1]["partner_id"]


MORNING = {"day": "mon", "opens": "08:00", "closes": "12:00"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"partner_id": "other"}, "/partner_id"),
        ({"communes": ["AGD-NOWHERE"]}, "/communes/0"),
        ({"type": "PT-POLICE"}, "/type"),
        ({"active_until": "2020-01-01"}, "/active_until"),
        ({"capacity": {"EDU-ADL": 3}}, "/capacity/EDU-ADL"),
        ({"closures": [{"first_day": "2026-12-02", "last_day": "2026-12-01"}]}, "/closures/0/last_day"),
        ({"agreements": [{**AGREEMENT, "until": "2025-12-31"}]}, "/agreements/0/until"),
        ({"agreements": [AGREEMENT, {**AGREEMENT, "agreement_id": "two"}]}, "/agreements/1"),
        ({"agreement": {"since": "2026-01-01"}}, ""),
        ({"parent": "reh"}, "/parent"),
        ({"hours": [{"day": "mon", "opens": "16:00", "closes": "08:00"}]}, "/hours/0/closes"),
        ({"hours": [{"day": "mon", "opens": "08:00", "closes": "24:30"}]}, "/hours/0/closes"),
        ({"ramadan_hours": [MORNING, {**MORNING, "opens": "11:59", "closes": "15:00"}]}, "/ramadan_hours/1"),
    ],
)
async def test_a_record_that_cannot_be_is_refused(referral: Running, changes: dict[str, Any], pointer: str) -> None:
    _, record, _ = await referral.operator.call("GET", "/v1/partners/reh")

    status, problem, _ = await referral.operator.call("PUT", "/v1/partners/reh", record | changes)

    assert status == 422
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_parent_exists_and_nobody_is_above_themselves(referral: Running) -> None:
    records = {name: (await referral.operator.call("GET", f"/v1/partners/{name}"))[1] for name in ("reh", "uni")}

    async def put(name: str, parent: str | None) -> tuple[int, list[str]]:
        status, answer, _ = await referral.operator.call(
            "PUT", f"/v1/partners/{name}", records[name] | {"parent": parent}
        )
        return status, [error["code"] for error in answer.get("errors", [])]

    assert await put("uni", "nobody") == (422, ["unknown-party"])
    assert await put("uni", "reh") == (200, [])
    assert await put("reh", "uni") == (422, ["cycle"])
    assert await put("uni", None) == (200, [])


async def test_a_second_coordination_cell_is_refused(referral: Running) -> None:
    _, cell, _ = await referral.operator.call("GET", "/v1/partners/coord")

    status, problem, _ = await referral.operator.call("PUT", "/v1/partners/coord-2", cell | {"partner_id": "coord-2"})

    assert (status, problem["type"]) == (409, "urn:ihala:problem:second-coordination-cell")


async def test_a_place_is_taken_by_a_referral_and_the_next_goes_elsewhere(referral: Running) -> None:
    await _publish(referral, {"HEA-MAT": 1})
    try:
        (first,) = await referral.routed("HEA-MAT")
        (second,) = await referral.routed("HEA-MAT")
        await move(referral.centre, first["referral_id"], "decline", {"reason_code": "CAPACITY"})
        (third,) = await referral.routed("HEA-MAT")
    finally:
        await _publish(referral, {"HEA-MAT": None})

    assert [first["partner_id"], second["partner_id"], third["partner_id"]] == [CENTRE, WOMEN, CENTRE]


async def _publish(referral: Running, places: dict[str, int | None]) -> None:
    status, record, _ = await referral.centre.call("PUT", f"/v1/partners/{CENTRE}/capacity", {"places": places})
    assert status == 200
    assert all(record["capacity"][code] == number for code, number in places.items())


async def test_an_agency_publishes_its_own_places_for_its_own_services(referral: Running) -> None:
    foreign = await referral.women.call("PUT", f"/v1/partners/{CENTRE}/capacity", {"places": {"HEA-MAT": 1}})
    unserved = await referral.centre.call("PUT", f"/v1/partners/{CENTRE}/capacity", {"places": {"EDU-ADL": 1}})

    closing = await referral.women.call("PUT", f"/v1/partners/{CENTRE}/closures", {"closures": []})

    assert (foreign[0], closing[0]) == (404, 404)
    assert (unserved[0], unserved[1]["errors"][0]["pointer"]) == (422, "/places/EDU-ADL")


async def test_nothing_that_is_due_in_a_closure_goes_to_the_agency(referral: Running) -> None:
    path = f"/v1/partners/{CENTRE}/closures"
    closed = {"closures": [{"first_day": "2026-11-01", "last_day": "2026-11-30", "reason": "works"}]}
    try:
        assert (await referral.centre.call("PUT", path, closed))[0] == 200
        (made,) = await referral.routed("HEA-MAT")
    finally:
        await referral.operator.call("PUT", path, {"closures": []})

    assert made["partner_id"] == WOMEN
    assert made["explanation"]["partner_chain"][0]["why"] == "closed"


# --- keys


async def test_a_key_is_told_once_and_works_until_it_is_revoked(referral: Running) -> None:
    body = {"role": Role.OPERATOR, "label": "night shift"}
    status, made, _ = await referral.admin.call("POST", "/v1/credentials", body)
    client = Client(referral.session, referral.base, made["key"])

    assert status == 201
    await wait_until(client.knows_key)
    _, page, _ = await referral.admin.call("GET", "/v1/credentials?limit=200")
    listed = {item["credential_id"]: item for item in page["items"]}
    assert listed[made["credential_id"]]["label"] == "night shift"
    assert not any("sha256" in item for item in page["items"])

    assert (await referral.admin.call("DELETE", f"/v1/credentials/{made['credential_id']}"))[0] == 204
    await wait_until(lambda: _is_unknown(client))
    assert (await referral.admin.call("DELETE", "/v1/credentials/0000000000000000"))[0] == 404


async def _is_unknown(client: Client) -> bool:
    return not await client.knows_key()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"role": "agency"}, "/party_id"),
        ({"role": "desk"}, "/desk_ids"),
        ({"role": "operator", "party_id": "reh"}, "/party_id"),
        ({"role": "operator", "desk_ids": ["baom-agadir"]}, "/desk_ids"),
        ({"role": "king"}, "/role"),
        ({"role": "agency", "party_id": "Not Safe"}, "/party_id"),
        ({"role": "agency", "party_id": "no-such-agency"}, "/party_id"),
    ],
)
async def test_a_key_that_does_not_fit_its_role_is_refused(
    referral: Running, body: dict[str, Any], pointer: str
) -> None:
    status, problem, _ = await referral.admin.call("POST", "/v1/credentials", body)

    assert status == 422
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


# --- waiting lists and the calendar


async def test_a_freed_place_goes_to_the_head_of_the_waiting_list(referral: Running) -> None:
    path = "/v1/partners/ngo-soc/capacity"
    await referral.operator.call("PUT", path, {"places": {"EDU-ADL": 0}})
    try:
        (first,) = await referral.routed("EDU-ADL")
        (second,) = await referral.routed("EDU-ADL")
        assert [(each["state"], each["waiting_position"]) for each in (first, second)] == [
            ("waitlisted", 1),
            ("waitlisted", 2),
        ]

        await referral.operator.call("PUT", path, {"places": {"EDU-ADL": 1}})

        await wait_until(lambda: _was_offered(referral, first["referral_id"]))
        assert not await _was_offered(referral, second["referral_id"])
    finally:
        await referral.operator.call("PUT", path, {"places": {"EDU-ADL": None}})


async def _was_offered(referral: Running, referral_id: str) -> bool:
    return "place-offered" in await referral.happened(referral_id)


async def test_a_corrected_day_moves_open_deadlines_and_is_shown(referral: Running) -> None:
    (made,) = await referral.routed("EDU-ENR")
    day = made["ack_due"][:10]
    path = f"/v1/calendar/days/{day}"
    said = {"kind": "holiday", "name": "Fête annoncée", "reason": "announced the evening before"}

    status, shown, _ = await referral.operator.call("PUT", path, said)
    try:
        assert (status, shown["opens"], shown["holiday"]) == (200, None, "Fête annoncée")
        await wait_until(lambda: _moved(referral, made))
        _, page, _ = await referral.desk.call("GET", f"/v1/calendar/days?from={day}&to={day}")
        assert page["items"] == [shown]
    finally:
        assert (await referral.operator.call("DELETE", path))[0] == 204
    await wait_until(lambda: _is_due(referral, made))
    assert (await referral.operator.call("DELETE", path))[0] == 404


async def _moved(referral: Running, made: dict[str, Any]) -> bool:
    return "deadlines-changed" in await referral.happened(made["referral_id"])


async def _is_due(referral: Running, made: dict[str, Any]) -> bool:
    return bool((await referral.seen(made["referral_id"]))["ack_due"] == made["ack_due"])


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("desk", {"kind": "holiday", "name": "x", "reason": "y"}, 403),
        ("operator", {"kind": "sunday", "name": "x", "reason": "y"}, 422),
        ("operator", {"kind": "holiday"}, 422),
    ],
)
async def test_a_day_is_corrected_by_the_operator_in_known_words(
    referral: Running, who: str, body: dict[str, Any], status: int
) -> None:
    client: Client = getattr(referral, who)

    assert (await client.call("PUT", "/v1/calendar/days/2026-12-24", body))[0] == status


@pytest.mark.parametrize(
    ("who", "method", "path", "raw", "status"),
    [
        ("operator", "GET", "/v1/partners/%00", None, 400),
        ("operator", "GET", "/v1/partners?cursor=%00", None, 400),
        ("operator", "GET", "/v1/referrals?case_ref=%00", None, 400),
        ("operator", "GET", "/v1/referrals?partner_id=%00", None, 400),
        ("admin", "GET", "/v1/credentials?cursor=%00", None, 400),
        ("admin", "DELETE", "/v1/credentials/%00", None, 400),
        ("operator", "PUT", "/v1/partners/%00/capacity", b'{"places": {"HEA-MAT": 1}}', 400),
        ("operator", "PUT", "/v1/partners/reh/capacity", b'{"places": {"HEA-DIS": 99999999999}}', 422),
        ("operator", "PUT", "/v1/partners/reh/closures", b'{"closures": [{"first_day": "2026-12-01"}]}', 422),
        ("operator", "PUT", "/v1/calendar/days/9999-12-31", b'{"kind": "holiday", "name": "x", "reason": "y"}', 422),
        ("operator", "GET", "/v1/calendar/days?from=9999-12-30&to=9999-12-31", None, 422),
        ("operator", "GET", "/v1/calendar/days?from=2026-12-30&to=2026-12-01", None, 422),
        ("admin", "POST", "/v1/credentials", b'{"role": "operator", "label": "a\\u0000"}', 422),
        ("admin", "POST", "/v1/credentials", b'{"role": "operator", "label": "a\\ud800"}', 422),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    referral: Running, who: str, method: str, path: str, raw: bytes | None, status: int
) -> None:
    client: Client = getattr(referral, who)

    assert (await client.call(method, path, raw=raw))[0] == status


@pytest.mark.parametrize("instant", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
async def test_an_instant_beyond_every_calendar_is_not_explained(referral: Running, instant: str) -> None:
    intake = an_intake(received_at="2026-11-16T10:15:00Z", birth_year=None)

    at_instant = await referral.desk.call("POST", f"/v1/routing/explain?at={instant}", intake)
    received = await referral.desk.call("POST", "/v1/routing/explain", intake | {"received_at": instant})

    assert (at_instant[0], received[0]) == (422, 422)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"names": {"fr": "a\x00", "ar": "b", "en": "c"}}, "/names/fr"),
        ({"transfer_ref": "a\x07"}, "/transfer_ref"),
        ({"capacity": {"HEA-DIS": 3_000_000_000}}, "/capacity/HEA-DIS"),
    ],
)
async def test_a_record_holds_nothing_that_cannot_be_stored(
    referral: Running, changes: dict[str, Any], pointer: str
) -> None:
    _, record, _ = await referral.operator.call("GET", "/v1/partners/reh")

    status, problem, _ = await referral.operator.call("PUT", "/v1/partners/reh", record | changes)

    assert (status, [error["pointer"] for error in problem["errors"]]) == (422, [pointer])
