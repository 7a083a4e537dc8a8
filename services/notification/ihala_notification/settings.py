"""What the notification service is told by its environment, beside what every service is told."""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from ihala_runtime.settings import ServiceSettings
from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _comma_separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class NotificationSettings(ServiceSettings):
    """``IHALA_WEBHOOK_…``. webhook_private_networks: CIDRs, the only non-global addresses that are reached.

    webhook_retry_seconds: delays before each try, none shorter than the one before (default: the schedule of
    ``domain/retry_schedule.py``).  kek_file: wraps the endpoints' secrets; made at the first start, mode 0600.
    delete_after: from the last message about a referral to the deletion of every trace of it.
    """

    webhook_private_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_comma_separated)] = ()
    webhook_retry_seconds: Annotated[tuple[float, ...], NoDecode, BeforeValidator(_comma_separated)] = ()
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, le=30)
    webhook_concurrency: int = Field(default=4, ge=1, le=16)
    secret_overlap_hours: float = Field(default=24.0, gt=0, le=24 * 30)
    kek_file: Path
    delete_after: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(days=730)

    @field_validator("webhook_retry_seconds")
    @classmethod
    def _delays_grow(cls, delays: tuple[float, ...]) -> tuple[float, ...]:
        if any(delay < 0 for delay in delays) or list(delays) != sorted(delays):
            raise ValueError("delays must not be negative or become shorter")
        return delays
