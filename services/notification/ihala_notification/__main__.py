"""`python -m ihala_notification`: everything comes from the environment (`settings.py`)."""

from ihala_runtime.service import run

from ihala_notification.bootstrap import bootstrap
from ihala_notification.settings import NotificationSettings


def main() -> None:
    run(bootstrap(NotificationSettings()))


if __name__ == "__main__":
    main()
