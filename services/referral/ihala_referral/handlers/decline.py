"""The agency does not take the case: the next one is asked."""

from ihala_events.referral import DeclineBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def decline(referral: Referral, by: Mover, body: DeclineBody, scene: Scene) -> Happenings:
    return referral.decline(by.agency, body.reason_code, by.actor, scene)
