"""What the intake service is told by its environment, beside what every service is."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from ihala_runtime.settings import ServiceSettings
from pydantic import model_validator


class IntakeSettings(ServiceSettings):
    """``keys_dsn``: the database of data keys, dumped apart. ``kek_file``: made at the first start, mode 0600.

    pseudonymise_after, delete_after: counted from the closing of a case's last referral; ISO 8601 (``P365D``) or
    seconds.
    """

    keys_dsn: str
    kek_file: Path
    case_ref_prefix: str = "AG"
    received_at_most_ahead: timedelta = timedelta(minutes=5)
    received_at_most_ago: timedelta = timedelta(days=30)
    pseudonymise_after: timedelta = timedelta(days=365)
    delete_after: timedelta = timedelta(days=730)

    @model_validator(mode="after")
    def _deletes_after_it_pseudonymises(self) -> Self:
        if not timedelta(0) < self.pseudonymise_after <= self.delete_after:
            raise ValueError("IHALA_DELETE_AFTER must not come before IHALA_PSEUDONYMISE_AFTER, nor either before 0")
        return self
