"""The subject file over HTTP: for the person responsible for data alone, and itself written down."""

import pytest
from ihala_runtime.identifiers import uuid7
from support.cases import a_case, tell
from support.intake_service import Running
from support.intakes import NAME, NOTE, PHONE


@pytest.mark.parametrize("language", ["fr", "ar", "en"])
async def test_the_page_holds_what_is_held(intake: Running, language: str) -> None:
    case = await a_case(intake)

    status, page, headers = await intake.protection.page(f"/v1/cases/{case['case_ref']}/export?lang={language}")

    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Cache-Control"] == "no-store"
    assert [value for value in (NAME, PHONE, NOTE, case["case_ref"]) if value not in page] == []


async def test_as_json_it_says_who_is_addressed_and_who_read(intake: Running) -> None:
    case, referral_id = await a_case(intake), uuid7()
    await tell(intake, case, referral_id)
    disclosure = f"/v1/cases/{case['case_ref']}/disclosure?referral_id={referral_id}"
    assert (await intake.agency.call("GET", disclosure))[0] == 200

    path = f"/v1/cases/{case['case_ref']}/export?lang=fr"
    _, file, _ = await intake.protection.call("GET", path, Accept="application/json")

    assert file["held"]["phone"] == PHONE
    assert [(each["partner_id"], each["need_code"]) for each in file["receivers"]] == [("essp-one", "HEA-MAT")]
    assert [each["action"] for each in file["readings"]] == ["disclosure", "export"]
    assert file["readings"][0]["actor"] == "partner:essp-one"
    assert file["consents"][0]["basis"] == "CONSENT"
    assert file["retention_days"] == {"pseudonymise": 365, "delete": 730}


async def test_an_erased_person_s_file_holds_nothing_of_them(intake: Running) -> None:
    case = await a_case(intake)
    await intake.protection.call("POST", f"/v1/cases/{case['case_ref']}/erasure")

    status, page, _ = await intake.protection.page(f"/v1/cases/{case['case_ref']}/export?lang=fr")

    assert status == 200
    assert "Vos données ont été effacées" in page
    assert NAME not in page


async def test_nobody_else_gets_it_and_another_language_is_refused(intake: Running) -> None:
    case = await a_case(intake)
    path = f"/v1/cases/{case['case_ref']}/export"

    assert (await intake.desk.call("GET", path))[0] == 403
    assert (await intake.agency.call("GET", path))[0] == 403
    assert (await intake.protection.call("GET", path + "?lang=xx"))[0] == 422
    assert (await intake.protection.call("GET", "/v1/cases/AG-0000-0000/export"))[0] == 404
