"""What a person is told reveals nothing to whoever reads it over a shoulder (P18)."""

from collections.abc import Mapping

import pytest
from ihala_events.vocabulary import NEEDS, PersonMessage
from ihala_notification.adapters.shipped_wording import load_banned, load_messages
from ihala_notification.domain.wording import LANGUAGES, Banned, Messages, lint, segment_of

HARMLESS_TEXT = "Ihala : du nouveau pour {case_ref}."


def messages_with(language: str, text: str) -> Messages:
    """The shipped texts, one of them replaced."""
    shipped = load_messages()
    return {**shipped, PersonMessage.NEWS: {**shipped[PersonMessage.NEWS], language: text}}


@pytest.fixture(scope="module")
def banned() -> Banned:
    return load_banned()


def test_the_shipped_texts_pass_in_every_language() -> None:
    assert {kind: set(texts) for kind, texts in load_messages().items()} == {
        kind: set(LANGUAGES) for kind in PersonMessage
    }


@pytest.mark.parametrize("code", list(NEEDS))
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_name_of_no_need_is_let_through(banned: Banned, code: str, language: str) -> None:
    assert banned.found_in(f"Ihala {getattr(NEEDS[code], language)}")


@pytest.mark.parametrize(
    "word",
    [
        "grossesse",
        "ENCEINTE",
        "Santé",
        "sante\u0301",
        "scolarisation",
        "femme",
        "Sénégalaise",
        "migrants",
        "l'hôpital",
        "OIM",
        "d'Entraide",
        "pregnancy",
        "HIV",
        "women",
        "Nigerian",
        "UNHCR",
        "حامل",
        "حَامِل",
        "والحامل",
        "بالمدرسة",
        "للمدرسه",
        "مدرســة",
        "وبالمستشفى",
        "المستشفي",
        "إمرأة",
        "السنغالية",
        "فالمهاجرين",
    ],
)
def test_words_of_need_sex_origin_and_agency_are_found_in_any_spelling(banned: Banned, word: str) -> None:
    assert banned.found_in(f"Ihala : {word}, AG")


@pytest.mark.parametrize(
    ("language", "text", "rule"),
    [
        ("fr", "Ihala : du nouveau.", "must hold {case_ref}"),
        ("fr", "Ihala : {case_ref} {need_code}.", "must hold {case_ref}"),
        ("fr", "Ihala : {case_ref} a 10 heures.", "holds a digit"),
        ("fr", "Ihala : {case_ref}, la maternité vous attend.", "says maternite"),
        ("en", "Ihala: {case_ref}. " + "Come to the desk. " * 9, "one segment holds 160"),
        ("fr", "Ihala : {case_ref}, ça avance. " + "Passez au bureau. " * 3, "one segment holds 70"),
        ("ar", "إحالة: {case_ref} " + "اتصل بالمكتب. " * 4, "one segment holds 70"),
    ],
)
def test_a_text_that_breaks_a_rule_is_refused_with_its_place(
    banned: Banned, language: str, text: str, rule: str
) -> None:
    (problem,) = lint(messages_with(language, text), banned)

    assert problem.startswith(f"news.{language}: ")
    assert rule in problem


def test_a_missing_language_is_refused(banned: Banned) -> None:
    texts: Mapping[str, str] = {"fr": HARMLESS_TEXT, "en": HARMLESS_TEXT}

    assert lint({**load_messages(), PersonMessage.REFERRED: texts}, banned) == ["referred.ar: is missing"]


def test_a_segment_holds_seventy_characters_of_another_alphabet() -> None:
    """Of the GSM alphabet: e acute, but no c cedilla."""
    assert [segment_of(text) for text in ("demande reçue", "demande retirée", "طلبك")] == [70, 160, 70]
