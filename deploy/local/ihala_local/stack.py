"""Which programs make up the local system, on which ports, with which environment.

Rule: a service learns everything from its environment; what is here is what docker-compose.yml says there.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ihala_runtime.kafka_address import KafkaAddress

from ihala_local.ports import LOOPBACK
from ihala_local.processes import Program
from ihala_local.state import State

SERVICES = ("intake", "referral", "notification")
SANDBOX_PARTNER = "sandbox-partner"
TRACES = "traces"
PRIVATE_NETWORKS = "127.0.0.0/8"  # the sandbox partner lives there


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for."""

    copies: Mapping[str, int] = field(default_factory=dict)
    test_clock: bool = False
    kafka: KafkaAddress | None = None  # somebody else's, instead of ours
    postgres_dsn: str | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """One system: its state, its ports and the addresses of its two servers."""

    state: State
    options: Options
    ports: Mapping[str, int]
    kafka: KafkaAddress
    dsns: Mapping[str, str]

    def url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def service_url(self, service: str) -> str:
        """The first copy stands for all: each of them answers everything."""
        return self.url(f"{service}-1")

    def service_urls(self) -> list[str]:
        """Every copy of every service."""
        return [self.url(program.name) for program in self.services()]

    def programs(self) -> list[Program]:
        return [*self.services(), self.sandbox_partner(), self.traces()]

    def services(self) -> list[Program]:
        return [
            Program(name, (sys.executable, "-m", f"ihala_{service}"), self._service_environment(service, name))
            for service in SERVICES
            for name in copies_of(service, self.options.copies)
        ]

    def sandbox_partner(self) -> Program:
        return Program(
            SANDBOX_PARTNER,
            (sys.executable, "-m", "ihala_local.sandbox_partner"),
            base_environment()
            | {
                "IHALA_SANDBOX_HOST": LOOPBACK,
                "IHALA_SANDBOX_PORT": str(self.ports[SANDBOX_PARTNER]),
                "IHALA_SANDBOX_SECRETS": str(self.state.sandbox_secrets_file),
            },
        )

    def traces(self) -> Program:
        return Program(
            TRACES,
            (sys.executable, "-m", "ihala_local.traces"),
            base_environment() | {"IHALA_TRACES_HOST": LOOPBACK, "IHALA_TRACES_PORT": str(self.ports[TRACES])},
        )

    def otlp_url(self) -> str:
        return os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or self.url(TRACES)

    def _service_environment(self, service: str, name: str) -> dict[str, str]:
        return (
            base_environment()
            | {
                "IHALA_INSTANCE": name,
                "IHALA_HTTP_HOST": LOOPBACK,
                "IHALA_HTTP_PORT": str(self.ports[name]),
                "IHALA_POSTGRES_DSN": self.dsns[service],
                "IHALA_INTAKE_URL": self.service_url("intake"),
                "IHALA_REFERRAL_URL": self.service_url("referral"),
                "IHALA_NOTIFICATION_URL": self.service_url("notification"),
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.otlp_url(),
                "OTEL_TRACES_SAMPLER": os.environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
                "OTEL_TRACES_SAMPLER_ARG": os.environ.get("OTEL_TRACES_SAMPLER_ARG", "1.0"),
            }
            | self._kafka()
            | self._clock()
            | self._of_one_service(service)
        )

    def _kafka(self) -> dict[str, str]:
        told = {
            "IHALA_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "IHALA_KAFKA_CA_FILE": self.kafka.ca_file,
            "IHALA_KAFKA_USER": self.kafka.user,
            "IHALA_KAFKA_PASSWORD_FILE": self.kafka.password_file,
        }
        return {name: str(value) for name, value in told.items() if value is not None}

    def _clock(self) -> dict[str, str]:
        return {"IHALA_CLOCK_FILE": str(self.state.clock_file)} if self.options.test_clock else {}

    def _of_one_service(self, service: str) -> dict[str, str]:
        match service:
            case "intake":
                return {
                    "IHALA_KEYS_DSN": self.dsns["intake_keys"],
                    "IHALA_KEK_FILE": str(self.state.key_encryption_key_file),
                }
            case "referral":
                return {"IHALA_FIRST_ADMIN_FILE": str(self.state.first_admin_file)}
            case _:
                return {
                    "IHALA_WEBHOOK_PRIVATE_NETWORKS": PRIVATE_NETWORKS,
                    "IHALA_KEK_FILE": str(self.state.webhook_key_file),
                    "IHALA_SERVICE_KEY_FILE": str(self.state.service_key_file),
                    "IHALA_CONTACT_URL": self.service_url("intake"),
                    "IHALA_SMS_GATEWAY_URL": f"{self.url(SANDBOX_PARTNER)}/gateway/sms",
                    "IHALA_SMS_GATEWAY_KEY_FILE": str(self.state.gateway_key_file),
                    "IHALA_WHATSAPP_GATEWAY_URL": f"{self.url(SANDBOX_PARTNER)}/gateway/whatsapp",
                    "IHALA_WHATSAPP_GATEWAY_KEY_FILE": str(self.state.gateway_key_file),
                }


def copies_of(service: str, copies: Mapping[str, int]) -> list[str]:
    return [f"{service}-{number}" for number in range(1, copies.get(service, 1) + 1)]


def port_names(copies: Mapping[str, int]) -> Iterable[str]:
    names = [name for service in SERVICES for name in copies_of(service, copies)]
    return ("kafka", "kafka-controller", "postgres", *names, SANDBOX_PARTNER, TRACES)


def base_environment() -> dict[str, str]:
    """Ours, without addresses meant for another purpose; time-zone tables come from the locked tzdata wheel."""
    replaced = ("IHALA_KAFKA_", "IHALA_POSTGRES_DSN", "IHALA_CLOCK_FILE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(replaced)}
    return kept | {"PYTHONTZPATH": "", "PYTHONUNBUFFERED": "1"}
