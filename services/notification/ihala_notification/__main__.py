"""`python -m ihala_notification`: everything comes from the environment (`settings.py`)."""

from ihala_runtime.service import run, use_own_time_zone_data

from ihala_notification.bootstrap import bootstrap
from ihala_notification.settings import NotificationSettings


def main() -> None:
    use_own_time_zone_data()
    run(bootstrap(NotificationSettings()))


if __name__ == "__main__":
    main()
