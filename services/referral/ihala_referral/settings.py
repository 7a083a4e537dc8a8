"""What the referral service is told by its environment, beside what every service is."""

from pathlib import Path

from ihala_runtime.settings import ServiceSettings


class ReferralSettings(ServiceSettings):
    """``first_admin_file``: ``{"credential_id", "sha256"}`` of the first admin's key, read at each start."""

    first_admin_file: Path | None = None
