"""The responsible agency asks another to take the person over; until that one does, it stays responsible."""

from ihala_events.referral import HandoverBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def propose_handover(referral: Referral, by: Mover, body: HandoverBody, scene: Scene) -> Happenings:
    return referral.propose_handover(by.agency, body.partner_id, by.actor, scene)
