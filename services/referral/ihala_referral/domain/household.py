"""Where the members of a household are, need by need, so that they are not parted without a human seeing it.

Each member is a case of its own: what one agency answers for one of them never moves or ends another's referral.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from ihala_referral.domain.directory import Link


class Leg(NamedTuple):
    """One need of one member.  partner_id: the agency that has it now, None where none has."""

    case_id: UUID
    need_code: str
    partner_id: str | None


@dataclass(slots=True)
class Households:
    """others: of a case, the other members' cases.  legs: by referral, kept up while the transaction moves them."""

    others: dict[UUID, frozenset[UUID]] = field(default_factory=dict)
    legs: dict[UUID, Leg] = field(default_factory=dict)

    def agencies(self, case_id: UUID) -> Mapping[str, frozenset[str]]:
        """By need, the agencies that have it for another member."""
        found: dict[str, frozenset[str]] = {}
        others = self.others.get(case_id)
        if not others:
            return found
        for leg in self.legs.values():
            if leg.case_id in others and leg.partner_id is not None:
                found[leg.need_code] = found.get(leg.need_code, frozenset()) | {leg.partner_id}
        return found


def together_first(links: tuple[Link, ...], agencies: Collection[str]) -> tuple[Link, ...]:
    """The agencies that have the other members before all others; the coordination cell stays the last."""
    if not agencies:
        return links
    *chain, cell = links
    return (*sorted(chain, key=lambda link: link.partner_id not in agencies), cell)
