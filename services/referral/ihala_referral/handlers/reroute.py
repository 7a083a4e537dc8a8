"""The desk or the operator asks another agency."""

from ihala_events.referral import RerouteBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def reroute(referral: Referral, by: Mover, body: RerouteBody, scene: Scene) -> Happenings:
    return referral.reroute(body.reason_code, body.partner_id, by.actor, scene)
