"""The operator puts a rule set in force; referrals that were routed keep the version they were routed with."""

from datetime import date

from ihala_referral.domain.errors import NotYetValid
from ihala_referral.domain.rules import RuleSet


def check_activation(rules: RuleSet, today: date) -> None:
    """today: local.  Raises NotYetValid."""
    if rules.valid_from > today:
        raise NotYetValid(rules.version, rules.valid_from)
