"""``python -m ihala_intake``: runs the intake service until it is told to stop."""

from ihala_runtime.service import run, use_own_time_zone_data

from ihala_intake.bootstrap import build
from ihala_intake.settings import IntakeSettings

if __name__ == "__main__":
    use_own_time_zone_data()
    run(build(IntakeSettings()))
