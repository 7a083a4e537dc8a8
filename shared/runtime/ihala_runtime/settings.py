"""What every service is told by its environment (prefix ``IHALA_``). A service adds its own fields."""

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ihala_runtime.allowed_hosts import bootstrap_hosts, dsn_hosts, has_sample_password, strangers, url_hosts
from ihala_runtime.clock import Clock, FileClock, SystemClock
from ihala_runtime.failpoints import FOLDER_VARIABLE
from ihala_runtime.kafka_address import KafkaAddress

COLLECTORS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
)


def _comma_separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class Mode(StrEnum):
    SYNTHETIC = "synthetic"
    PRODUCTION = "production"


class KafkaSettings(BaseSettings):
    """As in ``KafkaAddress``."""

    model_config = SettingsConfigDict(env_prefix="IHALA_", extra="ignore", hide_input_in_errors=True)

    kafka_bootstrap: str
    kafka_ca_file: Path | None = None
    kafka_user: str | None = None
    kafka_password_file: Path | None = None

    @model_validator(mode="after")
    def _a_password_goes_over_tls(self) -> Self:
        if (self.kafka_user is None) != (self.kafka_password_file is None):
            raise ValueError("IHALA_KAFKA_USER and IHALA_KAFKA_PASSWORD_FILE go together")
        if self.kafka_user is not None and self.kafka_ca_file is None:
            raise ValueError("IHALA_KAFKA_USER needs IHALA_KAFKA_CA_FILE: a password goes over TLS alone")
        try:
            self.kafka().security()
        except OSError as error:
            files = "IHALA_KAFKA_CA_FILE or IHALA_KAFKA_PASSWORD_FILE"
            raise ValueError(f"{files} cannot be read: {type(error).__name__}") from None
        return self

    def kafka(self) -> KafkaAddress:
        return KafkaAddress(self.kafka_bootstrap, self.kafka_ca_file, self.kafka_user, self.kafka_password_file)


class SettingsRefused(ValueError):
    """What the environment says cannot be; a sentence for each variable."""


def told_kafka() -> KafkaAddress:
    """For tools that need nothing else. Raises SettingsRefused."""
    try:
        return KafkaSettings().kafka()
    except ValidationError as error:
        raise SettingsRefused("; ".join(map(_sentence, error.errors()))) from None


def _sentence(error: ErrorDetails) -> str:
    place = "".join(f"IHALA_{name}: ".upper() for name in error["loc"])
    return place + error["msg"].removeprefix("Value error, ")


class ServiceSettings(KafkaSettings):
    """``mode`` synthetic: for invented data only. ``clock_file``: a test clock, refused in production.

    ``instance``: a name for this copy that stays over restarts, unique among the copies. ``allowed_hosts``: in
    production, every host of the addresses here must be one of these; ``.example.ma`` means all below it.
    """

    postgres_dsn: str
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    mode: Mode = Mode.SYNTHETIC
    cndp_auth_ref: str | None = None
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)] = ()
    clock_file: Path | None = None
    log_level: str = "INFO"
    instance: str | None = None
    intake_url: str = "http://127.0.0.1:8001"
    referral_url: str = "http://127.0.0.1:8002"
    notification_url: str = "http://127.0.0.1:8003"

    @model_validator(mode="after")
    def _production_is_strict(self) -> Self:
        if self.mode is Mode.PRODUCTION:
            self._check_permit()
            self._check_secrets()
            self._check_hosts()
        return self

    def _check_permit(self) -> None:
        if not self.cndp_auth_ref:
            raise ValueError("production mode needs IHALA_CNDP_AUTH_REF, the reference of the data authority's permit")
        if self.clock_file is not None:
            raise ValueError("IHALA_CLOCK_FILE is a test clock: not in production")

        if FOLDER_VARIABLE in os.environ:
            raise ValueError(f"{FOLDER_VARIABLE} ends services on purpose: not in production")

    def _check_secrets(self) -> None:
        for name, dsn in self._texts("_dsn"):
            if has_sample_password(dsn):
                raise ValueError(f"{name} holds a password that comes with samples: not in production")

    def _check_hosts(self) -> None:
        if not self.allowed_hosts:
            raise ValueError("production mode needs IHALA_ALLOWED_HOSTS, the hosts in the country it may speak with")
        found = strangers(dict(self._hosts()), self.allowed_hosts)
        if found:
            raise ValueError(f"not in IHALA_ALLOWED_HOSTS: {', '.join(found)}")

    def _hosts(self) -> Iterator[tuple[str, list[str]]]:
        """Every address that this service is given: databases, broker, collector, its and others' URLs."""
        yield "IHALA_KAFKA_BOOTSTRAP", bootstrap_hosts(self.kafka_bootstrap)
        yield from ((name, dsn_hosts(dsn)) for name, dsn in self._texts("_dsn"))
        yield from ((name, url_hosts(url)) for name, url in self._texts("_url"))
        for name in COLLECTORS:
            if url := os.environ.get(name):
                yield name, url_hosts(url)

    def _texts(self, ending: str) -> Iterator[tuple[str, str]]:
        """(variable, value) of the fields of that kind, those of the service's own settings too."""
        for field in type(self).model_fields:
            value = getattr(self, field)
            if field.endswith(ending) and isinstance(value, str):
                yield f"IHALA_{field.upper()}", value

    def clock(self) -> Clock:
        return SystemClock() if self.clock_file is None else FileClock(self.clock_file)
