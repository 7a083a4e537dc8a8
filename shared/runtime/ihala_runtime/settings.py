"""What every service is told by its environment (prefix ``IHALA_``). A service adds its own fields."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ihala_runtime.clock import Clock, FileClock, SystemClock


class Mode(StrEnum):
    SYNTHETIC = "synthetic"
    PRODUCTION = "production"


class ServiceSettings(BaseSettings):
    """``mode`` synthetic: for invented data only. ``clock_file``: a test clock, refused in production.

    ``instance``: a name for this copy that stays over restarts, unique among the copies.
    """

    model_config = SettingsConfigDict(env_prefix="IHALA_", extra="ignore", hide_input_in_errors=True)

    postgres_dsn: str
    kafka_bootstrap: str
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    mode: Mode = Mode.SYNTHETIC
    cndp_auth_ref: str | None = None
    clock_file: Path | None = None
    log_level: str = "INFO"
    instance: str | None = None
    intake_url: str = "http://127.0.0.1:8001"
    referral_url: str = "http://127.0.0.1:8002"
    notification_url: str = "http://127.0.0.1:8003"

    @model_validator(mode="after")
    def _production_is_strict(self) -> Self:
        if self.mode is Mode.PRODUCTION and not self.cndp_auth_ref:
            raise ValueError("production mode needs IHALA_CNDP_AUTH_REF, the reference of the data authority's permit")
        if self.mode is Mode.PRODUCTION and self.clock_file is not None:
            raise ValueError("IHALA_CLOCK_FILE is a test clock: not in production")
        return self

    def clock(self) -> Clock:
        return SystemClock() if self.clock_file is None else FileClock(self.clock_file)
