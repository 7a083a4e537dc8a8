"""The agency took the correction over."""

from ihala_events.referral import EmptyBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def confirm_correction(referral: Referral, by: Mover, _body: EmptyBody, scene: Scene) -> Happenings:
    return referral.confirm_correction(by.agency, by.actor, scene)
