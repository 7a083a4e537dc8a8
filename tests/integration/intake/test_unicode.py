"""Names and notes in any script come back byte by byte, to the desk, the agency and the person responsible for data."""

import unicodedata
from html import escape
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from ihala_runtime.identifiers import uuid7
from support.cases import tell
from support.intake_service import Running
from support.intakes import a_person, an_intake

WRITTEN = (
    "فاطمة الزهراء",
    "ⵜⵉⴼⵉⵏⴰⵖ ⵉⵅⴼ",
    unicodedata.normalize("NFC", "Zéphyrine Ébène"),
    unicodedata.normalize("NFD", "Zéphyrine Ébène"),
    "\u202eelpmaxE\u202c \u2066Fatou\u2069 \u200f\u200e",
    "👩🏽\u200d⚕️🇲🇦",
    "𞤀𞤣𞤤𞤢𞤥 𝔽𠮷",
    "a\u0301\u0323\u0301\u200b\u200d\ufeff\u2028\u2029",
    "\ufffe\uffff\U0010ffff\u00a0\u0085",
    "<b>&amp;\"'</b>{{7*7}}%s\\u0041",
    "ﷺ" * 40,
    "\U00010fff" * 120,
)
# No digit and no @: a note may not identify anybody.
ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Nd"], exclude_characters="@"), min_size=1, max_size=60
)


def drawn(count: int) -> list[str]:
    texts: list[str] = []

    @seed(5)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(ANY_TEXT.filter(str.strip))
    def take(text: str) -> None:
        texts.append(text)

    take()
    return texts


def saying(text: str) -> dict[str, Any]:
    needs = [{"need_code": "HEA-MAT", "note": text}]
    names = [{"script": script, "value": text, "role": "full"} for script in ("Latn", "Arab", "Tfng")]
    return an_intake(**{**a_person(), "names": names, "needs": needs})


async def handed_in(intake: Running, text: str) -> dict[str, Any]:
    status, answer, _ = await intake.desk.call("POST", "/v1/intakes", saying(text), Idempotency_Key=str(uuid4()))
    assert status == 201, (text, answer)
    return answer


async def test_what_the_desk_reads_is_what_it_wrote(intake: Running) -> None:
    texts = [*WRITTEN, *drawn(100)]
    for text in texts:
        case = await handed_in(intake, text)
        _, read, _ = await intake.desk.call("GET", f"/v1/cases/{case['case_ref']}")

        assert [name["value"].encode() for name in read["person"]["names"]] == [text.encode()] * 3
    assert len(texts) > 100


@pytest.mark.parametrize("text", WRITTEN, ids=lambda text: ascii(text)[:40])
async def test_so_do_the_agency_and_the_persons_own_file(intake: Running, text: str) -> None:
    case, referral_id = await handed_in(intake, text), uuid7()
    await tell(intake, case, referral_id)

    path = f"/v1/cases/{case['case_ref']}"
    _, told, _ = await intake.agency.call("GET", f"{path}/disclosure?referral_id={referral_id}")
    _, file, _ = await intake.protection.call("GET", f"{path}/export?lang=ar", Accept="application/json")
    _, page, _ = await intake.protection.page(f"{path}/export?lang=ar")

    assert [told["note"], *(name["value"] for name in told["names"])] == [text] * 4
    assert [name["value"] for name in file["held"]["names"]] == [text] * 3
    assert escape(text) in page


@pytest.mark.parametrize("text", ["\0", "a\0b", "\x01", "\x7f", " ", "\u2003", ""])
async def test_what_is_no_text_is_refused(intake: Running, text: str) -> None:
    status, problem, _ = await intake.desk.call("POST", "/v1/intakes", saying(text), Idempotency_Key=str(uuid4()))

    assert status == 422
    assert {"/names/0/value", "/needs/0/note"} <= {error["pointer"] for error in problem["errors"]}
