"""What the referral service is told by its environment, beside what every service is."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from ihala_runtime.settings import ServiceSettings
from pydantic import Field


class ReferralSettings(ServiceSettings):
    """``first_admin_file``: ``{"credential_id", "sha256"}`` of the first admin's key, read at each start.

    release_after: from the end of a quarter to the release of its indicators; ISO 8601 (``P30D``) or seconds.
    """

    first_admin_file: Path | None = None
    release_after: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=365))] = timedelta(days=30)
