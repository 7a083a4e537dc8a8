"""What would have gone elsewhere under another rule set?  Nothing is stored."""

from ihala_events.wire import Request

from ihala_referral.domain.comparison import Comparison
from ihala_referral.domain.directory import Directory
from ihala_referral.domain.routing import World
from ihala_referral.domain.rules import RuleSet


class CompareRules(Request):
    """Two versions that are here."""

    old: str
    new: str


def begin_comparison(old: RuleSet, new: RuleSet, world: World) -> Comparison:
    """world: the present one.  The directory is copied, its memory of chains is not shared with live routing."""
    directory = Directory.of(world.directory.partners.values(), world.directory.programmes)
    return Comparison(
        World(old, directory, world.calendar, {}),
        World(new, directory, world.calendar, {}),
    )
