"""What the referral service is told by its environment, beside what every service is."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from ihala_runtime.settings import ServiceSettings
from pydantic import Field, model_validator

A_YEAR = timedelta(days=366)


class ReferralSettings(ServiceSettings):
    """``first_admin_file``: ``{"credential_id", "sha256"}`` of the first admin's key, read at each start.

    release_after: from the end of a quarter to the release of its indicators; ISO 8601 (``P30D``) or seconds.
    delete_after: from the end of a case's last referral to the deletion of its rows.
    """

    first_admin_file: Path | None = None
    release_after: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=365))] = timedelta(days=30)
    delete_after: timedelta = timedelta(days=730)

    @model_validator(mode="after")
    def _counts_before_it_deletes(self) -> Self:
        if self.delete_after < self.release_after + A_YEAR:
            raise ValueError(
                "IHALA_DELETE_AFTER must be IHALA_RELEASE_AFTER and a year at least: indicators count first"
            )
        return self
