"""``python -m ihala_intake``: runs the intake service until it is told to stop."""

import ihala_runtime.starting  # noqa: F401  first
from ihala_runtime.service import run

from ihala_intake.bootstrap import bootstrap
from ihala_intake.settings import IntakeSettings

if __name__ == "__main__":
    run(bootstrap(IntakeSettings()))
