"""The agency spoke with the person."""

from ihala_events.referral import EmptyBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def report_contact(referral: Referral, by: Mover, _body: EmptyBody, scene: Scene) -> Happenings:
    return referral.contacted(by.agency, by.actor, scene)
