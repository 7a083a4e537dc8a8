"""The agency takes the person over, and is responsible from now on."""

from ihala_events.referral import EmptyBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def accept_handover(referral: Referral, by: Mover, _body: EmptyBody, scene: Scene) -> Happenings:
    return referral.accept_handover(by.agency, by.actor, scene)
