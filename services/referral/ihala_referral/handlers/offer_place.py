"""A place became free for a person who waits."""

from ihala_events.referral import EmptyBody

from ihala_referral.domain.attempt import Happenings, Scene
from ihala_referral.domain.referral import Referral
from ihala_referral.handlers.mover import Mover


def offer_place(referral: Referral, by: Mover, _body: EmptyBody, scene: Scene) -> Happenings:
    return referral.offer(by.agency, by.actor, scene)
