"""The agency keeps the person after all: the other one is asked no longer."""

from ihala_events.referral import EmptyBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def take_back_handover(referral: Referral, by: Mover, _body: EmptyBody, scene: Scene) -> Happenings:
    return referral.take_back_handover(by.agency, by.actor, scene)
