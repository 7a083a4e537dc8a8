"""The moves that a call or a message can ask for: its name, who may, what it says, which use case answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ihala_events.access import Role
from ihala_events.referral import CloseBody, ConfirmBody, DeclineBody, EmptyBody, HandoverBody, RerouteBody
from ihala_events.wire import Request
from pydantic import TypeAdapter

from ihala_referral.domain.attempt import Happenings
from ihala_referral.domain.visibility import STAFF
from ihala_referral.handlers.accept import accept
from ihala_referral.handlers.accept_handover import accept_handover
from ihala_referral.handlers.acknowledge import acknowledge
from ihala_referral.handlers.close_referral import close_referral
from ihala_referral.handlers.confirm_correction import confirm_correction
from ihala_referral.handlers.confirm_deletion import confirm_deletion
from ihala_referral.handlers.confirm_referral import confirm_referral
from ihala_referral.handlers.decline import decline
from ihala_referral.handlers.hand_back import hand_back
from ihala_referral.handlers.offer_place import offer_place
from ihala_referral.handlers.propose_handover import propose_handover
from ihala_referral.handlers.refuse_handover import refuse_handover
from ihala_referral.handlers.report_contact import report_contact
from ihala_referral.handlers.reroute import reroute
from ihala_referral.handlers.start_service import start_service
from ihala_referral.handlers.take_back_handover import take_back_handover
from ihala_referral.handlers.waitlist import waitlist

AGENCY = frozenset({Role.AGENCY})


@dataclass(frozen=True, slots=True)
class MoveDoor:
    """name: as in the path.  roles: who may ask.  body: what the call says."""

    name: str
    roles: frozenset[Role]
    body: TypeAdapter[Any]
    model: type[Request]
    use_case: Callable[..., Happenings]


def _door(
    name: str, use_case: Callable[..., Happenings], model: type[Request] = EmptyBody, roles: frozenset[Role] = AGENCY
) -> MoveDoor:
    return MoveDoor(name, roles, TypeAdapter(model), model, use_case)


MOVE_DOORS: dict[str, MoveDoor] = {
    door.name: door
    for door in (
        _door("confirm", confirm_referral, ConfirmBody, STAFF),
        _door("acknowledge", acknowledge),
        _door("accept", accept),
        _door("decline", decline, DeclineBody),
        _door("hand-back", hand_back, DeclineBody),
        _door("waitlist", waitlist),
        _door("offer", offer_place),
        _door("contacted", report_contact),
        _door("start", start_service),
        _door("close", close_referral, CloseBody, AGENCY | {Role.DESK}),
        _door("reroute", reroute, RerouteBody, frozenset({Role.DESK, Role.OPERATOR})),
        _door("deletion-confirmation", confirm_deletion),
        _door("correction-confirmation", confirm_correction),
        _door("handover", propose_handover, HandoverBody),
        _door("handover-withdrawal", take_back_handover),
        _door("handover-acceptance", accept_handover),
        _door("handover-refusal", refuse_handover, DeclineBody),
    )
}
