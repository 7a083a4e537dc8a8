"""The one table of moves: which state each move may start from, and where it leads.

Everything that is not in it is refused.  `docs/referral-states.md` is made from it.
A move that asks another agency leads to `sent` here; the choice may instead end in `waitlisted` (the agency
is full) or `proposed` (only agencies outside the consent are left).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from ihala_events.vocabulary import ReferralState

from ihala_referral.domain.errors import TransitionRefused

PROPOSED = ReferralState.PROPOSED
SENT = ReferralState.SENT
ACKNOWLEDGED = ReferralState.ACKNOWLEDGED
ACCEPTED = ReferralState.ACCEPTED
WAITLISTED = ReferralState.WAITLISTED
IN_SERVICE = ReferralState.IN_SERVICE
CLOSED = ReferralState.CLOSED
WITHDRAWN = ReferralState.WITHDRAWN
OUT_OF_AREA = ReferralState.OUT_OF_AREA

OPEN = (PROPOSED, SENT, ACKNOWLEDGED, ACCEPTED, WAITLISTED, IN_SERVICE, OUT_OF_AREA)


class Move(StrEnum):
    """Named as in the calls; the last five are not calls but what happens to the case or to the clock."""

    CONFIRM = "confirm"
    ACKNOWLEDGE = "acknowledge"
    ACCEPT = "accept"
    DECLINE = "decline"
    HAND_BACK = "hand-back"
    WAITLIST = "waitlist"
    OFFER = "offer"
    CONTACTED = "contacted"
    START = "start"
    CLOSE = "close"
    CLOSE_BY_DESK = "close (desk)"
    REROUTE = "reroute"
    DELETION_CONFIRMATION = "deletion-confirmation"
    CORRECTION_CONFIRMATION = "correction-confirmation"
    HANDOVER = "handover"
    HANDOVER_WITHDRAWAL = "handover-withdrawal"
    HANDOVER_ACCEPTANCE = "handover-acceptance"
    HANDOVER_REFUSAL = "handover-refusal"
    RELEASE = "release"
    SILENCE = "silence"
    WITHDRAW = "withdraw"
    AGENCY_STOPPED = "agency stopped"
    AGENCY_LEFT = "agency left"


Edges = dict[ReferralState, ReferralState]


def _to(target: ReferralState, *sources: ReferralState) -> Edges:
    return dict.fromkeys(sources, target)


def _kept(*states: ReferralState) -> Edges:
    return {state: state for state in states}


TRANSITIONS: Mapping[Move, Edges] = MappingProxyType(
    {
        Move.CONFIRM: _to(SENT, PROPOSED),
        Move.ACKNOWLEDGE: _to(ACKNOWLEDGED, SENT) | _kept(WAITLISTED, OUT_OF_AREA),  # these once, while unanswered
        Move.ACCEPT: _to(ACCEPTED, SENT, ACKNOWLEDGED, WAITLISTED),
        Move.DECLINE: _to(SENT, SENT, ACKNOWLEDGED, WAITLISTED) | _kept(OUT_OF_AREA),
        Move.HAND_BACK: _to(SENT, ACCEPTED, IN_SERVICE),
        Move.WAITLIST: _to(WAITLISTED, SENT, ACKNOWLEDGED),
        Move.OFFER: _kept(WAITLISTED),
        Move.CONTACTED: _kept(SENT, ACKNOWLEDGED, WAITLISTED, ACCEPTED, IN_SERVICE, OUT_OF_AREA),
        Move.START: _to(IN_SERVICE, ACCEPTED),
        Move.CLOSE: _to(CLOSED, ACCEPTED, IN_SERVICE),
        Move.CLOSE_BY_DESK: _to(CLOSED, *OPEN),
        Move.REROUTE: _to(SENT, *(state for state in OPEN if state is not PROPOSED)),
        Move.DELETION_CONFIRMATION: _kept(*ReferralState),
        Move.CORRECTION_CONFIRMATION: _kept(*ReferralState),
        Move.HANDOVER: _kept(ACCEPTED, IN_SERVICE),
        Move.HANDOVER_WITHDRAWAL: _kept(ACCEPTED, IN_SERVICE),
        Move.HANDOVER_ACCEPTANCE: _to(ACCEPTED, ACCEPTED, IN_SERVICE),
        Move.HANDOVER_REFUSAL: _kept(ACCEPTED, IN_SERVICE),
        Move.RELEASE: _to(SENT, PROPOSED),
        Move.SILENCE: _to(SENT, SENT, WAITLISTED) | _kept(OUT_OF_AREA),
        Move.WITHDRAW: _to(WITHDRAWN, *OPEN),
        Move.AGENCY_LEFT: _to(SENT, SENT, ACKNOWLEDGED, WAITLISTED),
        Move.AGENCY_STOPPED: _to(SENT, SENT, ACKNOWLEDGED, ACCEPTED, WAITLISTED, IN_SERVICE) | _kept(OUT_OF_AREA),
    }
)


def check(move: Move, state: ReferralState) -> ReferralState:
    """Where the move leads from this state.  Raises TransitionRefused."""
    target = TRANSITIONS[move].get(state)
    if target is None:
        raise TransitionRefused(move.split(" ")[0], state)
    return target


CHANGES_AGENCY = (Move.DECLINE, Move.REROUTE, Move.SILENCE, Move.AGENCY_STOPPED, Move.HANDOVER_ACCEPTANCE)


def diagram() -> str:
    """The table as a Mermaid state diagram, without the moves that keep the state and the agency."""
    lines = ["stateDiagram-v2", "    [*] --> proposed"]
    arrows: dict[tuple[str, str], list[str]] = {}
    for move, edges in TRANSITIONS.items():
        for source, target in edges.items():
            if source is not target or move in CHANGES_AGENCY:
                arrows.setdefault((source, target), []).append(move)
    arrows[PROPOSED, OUT_OF_AREA] = ["redirect"]
    lines += [f"    {source} --> {target}: {', '.join(moves)}" for (source, target), moves in arrows.items()]
    lines += [f"    {state} --> [*]" for state in (CLOSED, WITHDRAWN)]
    return "\n".join(lines)
