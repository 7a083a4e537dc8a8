"""The agency deleted what it had read."""

from ihala_events.referral import EmptyBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def confirm_deletion(referral: Referral, by: Mover, _body: EmptyBody, scene: Scene) -> Happenings:
    return referral.confirm_deletion(by.agency, by.actor, scene)
