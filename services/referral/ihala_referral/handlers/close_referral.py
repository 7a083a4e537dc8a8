"""It ended: the agency tells the outcome, or the desk closes it."""

from ihala_events.referral import CloseBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def close_referral(referral: Referral, by: Mover, body: CloseBody, scene: Scene) -> Happenings:
    if by.partner_id is None:
        return referral.close_by_desk(body.outcome_code, by.actor, scene)
    return referral.close(by.partner_id, body.outcome_code, by.actor, scene)
