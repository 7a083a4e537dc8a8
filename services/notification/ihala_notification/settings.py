"""What the notification service is told by its environment, beside what every service is told."""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from ihala_events.vocabulary import Channel
from ihala_runtime.settings import ServiceSettings
from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _comma_separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class NotificationSettings(ServiceSettings):
    """``IHALA_WEBHOOK_…``. webhook_private_networks: CIDRs, the only non-global addresses that are reached.

    webhook_retry_seconds: delays before each try, none shorter than the one before (default: the schedule of
    ``domain/retry_schedule.py``).  kek_file: wraps the endpoints' secrets; made at the first start, mode 0600.
    delete_after: from the last message about a referral to the deletion of every trace of it.
    service_key_file: a key of role ``service``, for asking intake how a person may be reached.  contact_url: where
    intake answers this service; default ``intake_url``.  Gateways take what persons are told, with a key of their own.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True)

    webhook_private_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_comma_separated)] = ()
    webhook_retry_seconds: Annotated[tuple[float, ...], NoDecode, BeforeValidator(_comma_separated)] = ()
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, le=30)
    webhook_concurrency: int = Field(default=4, ge=1, le=16)
    secret_overlap_hours: float = Field(default=24.0, gt=0, le=24 * 30)
    kek_file: Path
    delete_after: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(days=730)

    service_key_file: Path | None = None
    contact_url: str | None = None
    sms_gateway_url: str | None = None
    sms_gateway_key_file: Path | None = None
    whatsapp_gateway_url: str | None = None
    whatsapp_gateway_key_file: Path | None = None

    @property
    def gateways(self) -> dict[Channel, tuple[str, Path]]:
        """Address and key of each that is configured."""
        found = {
            Channel.SMS: (self.sms_gateway_url, self.sms_gateway_key_file),
            Channel.WHATSAPP: (self.whatsapp_gateway_url, self.whatsapp_gateway_key_file),
        }
        return {channel: (url, key) for channel, (url, key) in found.items() if url and key}

    @model_validator(mode="after")
    def _gateways_are_whole(self) -> Self:
        """A gateway that cannot be used is no gateway that is left out: it stops the start."""
        for name in ("sms", "whatsapp"):
            url, key = getattr(self, f"{name}_gateway_url"), getattr(self, f"{name}_gateway_key_file")
            if (url is None) != (key is None):
                raise ValueError(f"IHALA_{name.upper()}_GATEWAY_URL and …_KEY_FILE are needed both, or neither")
            if url is not None and self.service_key_file is None:
                raise ValueError(f"IHALA_{name.upper()}_GATEWAY_URL needs IHALA_SERVICE_KEY_FILE")
        return self

    @field_validator("webhook_retry_seconds")
    @classmethod
    def _delays_grow(cls, delays: tuple[float, ...]) -> tuple[float, ...]:
        if any(delay < 0 for delay in delays) or list(delays) != sorted(delays):
            raise ValueError("delays must not be negative or become shorter")
        return delays
