"""``python -m ihala_referral``: runs the referral service until it is told to stop."""

import ihala_runtime.starting  # noqa: F401  first
from ihala_runtime.service import run

from ihala_referral.bootstrap import bootstrap
from ihala_referral.settings import ReferralSettings

if __name__ == "__main__":
    run(bootstrap(ReferralSettings()))
