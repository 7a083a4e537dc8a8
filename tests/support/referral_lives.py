"""Referrals at each point of their life, as tests begin with them."""

from collections.abc import Callable
from uuid import UUID

from ihala_events.vocabulary import DeclineReason, Outcome, ReferralState
from ihala_referral.domain.attempt import CaseFile, Happening, Scene
from ihala_referral.domain.capacity import PlaceBook
from ihala_referral.domain.case import Case
from ihala_referral.domain.directory import Directory
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.routing import World, route
from support.referral_world import a_case, at, calendar, rules, sample_directory

CENTRE, WOMEN, CELL = "essp-agd-agadir", "ngo-wom", "coord"
REASON = DeclineReason.CAPACITY


def a_scene(now: str, places: PlaceBook | None = None, directory: Directory | None = None) -> Scene:
    return Scene(at(now), directory or sample_directory(), calendar(), places or PlaceBook())


def a_referral(
    case: Case | None = None,
    code: str = "HEA-MAT",
    places: PlaceBook | None = None,
    directory: Directory | None = None,
    when: str | None = None,
) -> tuple[Referral, list[Happening]]:
    """Of a pregnant woman in Agadir, sent to the health centre on Mon 2026-11-16 10:15."""
    case = case or a_case("HEA-MAT")
    book = places or PlaceBook()
    now = at(when) if when else case.received_at
    world = World(rules(), directory or sample_directory(), calendar(), book)
    found = next(each for each in route(case, now, world) if each.need.code == code)
    assert case.consent is not None
    file = CaseFile(UUID(int=1), "AG-0000-0001", "baom-agadir", ("fr",), False, case.consent, frozenset({"recorder"}))
    scene = Scene(now, world.directory, world.calendar, book)
    return Referral.propose(UUID(int=2), UUID(int=3), file, found, case.received_at, scene)


def sent() -> Referral:
    return a_referral()[0]


def names(happened: list[Happening]) -> list[str]:
    return [each.kind.type.removeprefix("ihala.referral.").removesuffix(".v1") for each in happened]


LATER = "2026-11-16 11:00"


def proposed() -> Referral:
    return a_referral(a_case("SOC-ASY", "SOC-VOT"), "SOC-VOT")[0]


def acknowledged() -> Referral:
    referral = sent()
    referral.acknowledge(CENTRE, "a", a_scene(LATER))
    return referral


def accepted() -> Referral:
    referral = sent()
    referral.accept(CENTRE, "a", a_scene(LATER))
    return referral


def waitlisted() -> Referral:
    referral = sent()
    referral.waitlist(CENTRE, "a", a_scene(LATER))
    return referral


def in_service() -> Referral:
    referral = accepted()
    referral.start(CENTRE, "a", a_scene(LATER))
    return referral


def closed() -> Referral:
    referral = in_service()
    referral.close(CENTRE, Outcome.RECEIVED, "a", a_scene(LATER))
    return referral


def withdrawn() -> Referral:
    referral = sent()
    referral.withdraw("CONSENT_WITHDRAWN", a_scene(LATER))
    return referral


def out_of_area() -> Referral:
    return a_referral(a_case("EDU-ADL", commune="CHT-BIOUGRA"), "EDU-ADL")[0]


IN_STATE: dict[ReferralState, Callable[[], Referral]] = {
    ReferralState.PROPOSED: proposed,
    ReferralState.SENT: sent,
    ReferralState.ACKNOWLEDGED: acknowledged,
    ReferralState.ACCEPTED: accepted,
    ReferralState.WAITLISTED: waitlisted,
    ReferralState.IN_SERVICE: in_service,
    ReferralState.CLOSED: closed,
    ReferralState.WITHDRAWN: withdrawn,
    ReferralState.OUT_OF_AREA: out_of_area,
}


def handover_proposed() -> Referral:
    """By the health centre, to the women's association."""
    referral = accepted()
    referral.propose_handover(CENTRE, WOMEN, "a", a_scene(LATER))
    return referral
