"""Where would this intake go, and why?  Nothing is stored."""

from datetime import datetime
from typing import Any

from ihala_events.intake import IntakeRequest

from ihala_referral.domain.case import case_of_intake
from ihala_referral.domain.explanation import explained
from ihala_referral.domain.routing import World, route


def explain_routing(intake: IntakeRequest, at: datetime | None, world: World) -> dict[str, Any]:
    """at: the instant of routing; None: when it was received."""
    case = case_of_intake(intake)
    return explained(route(case, at or case.received_at, world))
