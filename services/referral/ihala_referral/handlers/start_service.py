"""The service began."""

from ihala_events.referral import EmptyBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def start_service(referral: Referral, by: Mover, _body: EmptyBody, scene: Scene) -> Happenings:
    return referral.start(by.agency, by.actor, scene)
