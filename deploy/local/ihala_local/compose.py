"""The one-time work of docker-compose.yml, run in containers: secrets, databases, sample data, addresses.

Rule: each step may run again at any start and then changes nothing that is there. A secret goes into a file of the
program that needs it, and never into a log.

Run: `python -m ihala_local.compose secrets|databases|setup|endpoints`
    The state folder is `state` below the current folder. `endpoints` prints endpoints.json: addresses and keys.
    IHALA_MODE                            `setup` loads no sample data in production
    IHALA_{INTAKE,REFERRAL,NOTIFICATION,SANDBOX,TRACES,OTLP}_URL, IHALA_{KAFKA,POSTGRES}_ADDRESS
                                          as they are reached from outside, for endpoints.json
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ihala_runtime.settings import Mode

from ihala_local import postgres
from ihala_local.access import known_at
from ihala_local.failures import LocalFailure
from ihala_local.provision import Provisioning, write_first_admin, write_gateway_key
from ihala_local.stack import SERVICES
from ihala_local.state import Secrets, State, write_private, write_private_text

INSIDE_PORT = 8000  # of each of our programs, in its own container
POSTGRES = "postgres:5432"
READ_BY_THE_GROUP = 0o640  # PostgreSQL runs as another account, with our group beside its own
DATABASES_OF = {"intake": ("intake", "intake_keys"), "referral": ("referral",), "notification": ("notification",)}


@dataclass(frozen=True, slots=True)
class Containers:
    """The system as one container sees the others: each by its name."""

    state: State

    def url(self, name: str) -> str:
        return f"http://{name}:{INSIDE_PORT}"

    def service_url(self, service: str) -> str:
        return self.url(service)

    def service_urls(self) -> list[str]:
        return [self.url(service) for service in SERVICES]


def make_secrets(state: State) -> None:
    """Passwords and the first admin key, each left where the one program finds it that needs it."""
    kept = state.secrets()
    write_first_admin(state, kept)
    write_gateway_key(state, kept)
    superuser = state.postgres / "superuser-password"
    write_private_text(superuser, kept.postgres_superuser)
    superuser.chmod(READ_BY_THE_GROUP)
    for service, databases in DATABASES_OF.items():
        write_private_text(state.folder / service / "pgpass", password_lines(kept, databases))


def password_lines(kept: Secrets, databases: tuple[str, ...]) -> str:
    """libpq's password file: host:port:database:role:password."""
    return "".join(f"{POSTGRES}:{name}:{name}:{kept.postgres_roles[name]}\n" for name in databases)


def make_databases(state: State) -> None:
    kept = state.secrets()
    dsn = postgres.dsn_of(f"postgresql://{POSTGRES}/", postgres.SUPERUSER, kept.postgres_superuser)
    try:
        asyncio.run(postgres.create_databases(dsn, kept.postgres_roles))
        asyncio.run(postgres.close_default_databases(dsn))
    except OSError as error:
        raise postgres.PostgresFailed(f"no PostgreSQL answers at {POSTGRES}: {error}") from error


def set_up(state: State) -> None:
    """The first admin key always; agencies, keys and webhooks for trying it out unless in production."""
    kept = state.secrets()
    system = Containers(state)
    if os.environ.get("IHALA_MODE") == Mode.PRODUCTION:
        asyncio.run(known_at(system.service_urls(), [key for key in (kept.credentials.admin,) if key]))
    elif not (provisioning := Provisioning(system, kept)).is_complete:
        asyncio.run(provisioning.run())
    write_private(state.endpoints_file, endpoints(os.environ, kept))
    tell("ready; addresses and keys: the step `endpoints` prints them")


def endpoints(told: Mapping[str, str], kept: Secrets) -> dict[str, Any]:
    """As `ihala up` writes them, with the addresses from outside."""
    server = f"postgresql://{told['IHALA_POSTGRES_ADDRESS']}/"
    return {
        "intake": told["IHALA_INTAKE_URL"],
        "referral": told["IHALA_REFERRAL_URL"],
        "notification": told["IHALA_NOTIFICATION_URL"],
        "kafka": told["IHALA_KAFKA_ADDRESS"],
        "postgres": {role: postgres.dsn_of(server, role, password) for role, password in kept.postgres_roles.items()},
        "otlp": told["IHALA_OTLP_URL"],
        "traces": told["IHALA_TRACES_URL"],
        "sandbox_partner": told["IHALA_SANDBOX_URL"],
        "credentials": kept.credentials.model_dump(),
    }


def print_endpoints(state: State) -> None:
    try:
        sys.stdout.write(state.endpoints_file.read_text())
    except FileNotFoundError:
        raise LocalFailure("there are no addresses yet: `setup` has not finished") from None


STEPS: Mapping[str, Callable[[State], None]] = {
    "secrets": make_secrets,
    "databases": make_databases,
    "setup": set_up,
    "endpoints": print_endpoints,
}


def main(words: list[str]) -> int:
    step = STEPS.get(words[0]) if len(words) == 1 else None
    if step is None:
        tell(f"one step of: {', '.join(STEPS)}")
        return 2
    try:
        step(State(Path.cwd() / "state"))
    except LocalFailure as failure:
        tell(str(failure))
        return 1
    return 0


def tell(message: str) -> None:
    sys.stderr.write(f"ihala: {message}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
