"""What can be wrong, as types; the message names the field and the rule broken, never a value from a person.

RuleSetError                the rule file cannot be used; `problems` names each row
SentencesError              the sentences of explanations cannot be used; `problems` names each entry
NotYetValid                 the rule set begins on a later day
DirectoryError              the directory cannot be used
  NoCoordinationCell        nobody stands at the end of the chain yet: trying again can help
MoveRefused                 409 with the state
  TransitionRefused         this state has no such move
  AttemptEnded              the agency was asked once, but is no longer
  LastInChain               the coordination cell cannot hand on
  TooUrgentToWait           U0 and U1 have no waiting list
  SameStaff                 who recorded may not confirm
  PartnerNotPossible        the agency named cannot take it
  HandoverPending           another agency has not answered yet
  NoHandover                nobody proposed to hand it over
"""

from collections.abc import Sequence
from datetime import date


class RuleSetError(ValueError):
    """problems: one sentence for each row that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class SentencesError(ValueError):
    """problems: one for each entry that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class NotYetValid(ValueError):
    """A rule set cannot be in force before its first day."""

    def __init__(self, version: str, valid_from: date) -> None:
        super().__init__(f"{version} is valid from {valid_from.isoformat()}")


class DirectoryError(ValueError):
    """The directory's data cannot be used; the message names the record."""


class NoCoordinationCell(DirectoryError):
    """The directory has no PT-COORD in force, so no chain can end."""

    def __init__(self) -> None:
        super().__init__("the directory has no coordination cell (PT-COORD)")


class MoveRefused(Exception):
    """A move that the referral's state does not allow.  state: where the referral stands."""

    slug = "illegal-move"

    def __init__(self, move: str, state: str, detail: str) -> None:
        super().__init__(detail)
        self.move = move
        self.state = state
        self.detail = detail


class TransitionRefused(MoveRefused):
    def __init__(self, move: str, state: str) -> None:
        super().__init__(move, state, f"{move} is not possible in state {state}")


class AttemptEnded(MoveRefused):
    slug = "attempt-ended"

    def __init__(self, move: str, state: str) -> None:
        super().__init__(move, state, "this agency is no longer asked for this referral")


class LastInChain(MoveRefused):
    slug = "last-in-chain"

    def __init__(self, move: str, state: str) -> None:
        super().__init__(move, state, "the coordination cell is the last in the chain")


class TooUrgentToWait(MoveRefused):
    slug = "too-urgent-to-wait"

    def __init__(self, move: str, state: str) -> None:
        super().__init__(move, state, "U0 and U1 are never put on a waiting list")


class SameStaff(MoveRefused):
    slug = "same-staff"

    def __init__(self, move: str, state: str) -> None:
        super().__init__(move, state, "whoever recorded the intake may not confirm it")


class HandoverPending(MoveRefused):
    slug = "handover-pending"

    def __init__(self, move: str, state: str) -> None:
        super().__init__(move, state, "a handover to another agency waits for its answer")


class NoHandover(MoveRefused):
    slug = "no-handover"

    def __init__(self, move: str, state: str) -> None:
        super().__init__(move, state, "no handover waits for an answer")


class PartnerNotPossible(MoveRefused):
    slug = "partner-not-possible"

    def __init__(self, move: str, state: str, why: str) -> None:
        super().__init__(move, state, f"the agency named cannot be asked: {why}")
