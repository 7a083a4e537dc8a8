"""A case came from the desk: every need of it becomes a referral."""

from uuid import UUID, uuid5

from ihala_events.intake import RoutingProfile
from ihala_runtime.identifiers import uuid7

from ihala_referral.domain.case import case_of_profile
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.routing import Need, route
from ihala_referral.handlers.unit_of_work import UnitOfWork


def route_case(profile: RoutingProfile, work: UnitOfWork, *, held: bool) -> list[Referral]:
    """held: a human still decides whether it is a duplicate.  A case that is already here is left as it is."""
    if work.case(profile.case_id) is not None:
        return []
    file, scene = work.add_case(profile), work.scene
    case = case_of_profile(profile, file.consent, scene.households.agencies(file.case_id), held=held)
    routed = route(case, scene.now, work.world)
    referrals = []
    for each in routed:
        need_id = need_id_of(each.need, profile.case_id)
        referral, happened = Referral.propose(uuid7(), need_id, file, each, profile.received_at, scene)
        work.record(referral, happened)
        referrals.append(referral)
    return referrals


def need_id_of(need: Need, case_id: UUID) -> UUID:
    """The intake's id; an added need gets the same one whenever the case is routed."""
    return need.asked.need_id or uuid5(case_id, need.code)
