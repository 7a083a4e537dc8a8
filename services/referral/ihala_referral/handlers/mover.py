"""Who moves a referral: an agency for itself, or a desk, an operator, the person responsible for data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mover:
    """partner_id: of an agency alone.  actor: as events tell it."""

    partner_id: str | None
    actor: str

    @property
    def agency(self) -> str:
        """The agency that moves; calls of others never get here with a move that is an agency's."""
        if self.partner_id is None:
            raise ValueError("this move is an agency's")
        return self.partner_id
