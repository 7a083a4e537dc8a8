"""The agency does not take the person over: the one that proposed it stays responsible."""

from ihala_events.referral import DeclineBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def refuse_handover(referral: Referral, by: Mover, body: DeclineBody, scene: Scene) -> Happenings:
    return referral.refuse_handover(by.agency, body.reason_code, by.actor, scene)
