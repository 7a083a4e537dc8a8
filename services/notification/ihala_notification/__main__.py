"""``python -m ihala_notification``: runs the notification service until it is told to stop."""

import ihala_runtime.starting  # noqa: F401  first
from ihala_runtime.service import run

from ihala_notification.bootstrap import bootstrap
from ihala_notification.settings import NotificationSettings

if __name__ == "__main__":
    run(bootstrap(NotificationSettings()))
