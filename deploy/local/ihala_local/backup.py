"""`./ihala backup DIR` and `restore DIR`: a system of this machine in three folders, and a new one made of them.

`cases`, `keys` and `safe` below DIR are for three places: whoever finds one of them has nothing (docs/deploying.md).
Kafka is not in it; the ledger of erasures is copied by itself, later and more often (ledger.py). Rule: a restored
system has every erasure of the ledger on its topic before a service starts.
"""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from ihala_events.topics import FIXED_TOPICS
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.topics import make_topics

from ihala_local import ledger, postgres
from ihala_local.embedded import embedded_kafka, running
from ihala_local.failures import LocalFailure
from ihala_local.ports import new_port
from ihala_local.state import Secrets, State

# In this order: a case without its key cannot be read, a key without a case does no harm.
DUMPS: Mapping[str, str] = {
    "intake": "cases",
    "referral": "cases",
    "notification": "cases",
    "intake_keys": "keys",
}
OURS_ALONE = 0o077


class BackupFailed(LocalFailure):
    """A dump could not be made or brought back; the message ends with the tool's own."""


def back_up(state: State, folder: Path) -> None:
    """Of the running system, which goes on working."""
    dsns: Mapping[str, str] = state.endpoints()["postgres"]
    for part in ("cases", "keys", "safe"):
        (folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
    for database, dump in dumps_in(folder).items():
        run_tool("pg_dump", dsns[database], "-Fc", f"--file={dump}")
    for kept, file in secrets_in(folder, state).items():
        shutil.copy(file, kept)  # with its mode, 0600


def dumps_in(folder: Path) -> dict[str, Path]:
    return {database: folder / part / f"{database}.dump" for database, part in DUMPS.items()}


def secrets_in(folder: Path, state: State) -> dict[Path, Path]:
    """Each beside its place in the state."""
    return {
        folder / "safe" / "secrets.json": state.secrets_file,
        folder / "safe" / "intake.kek": state.key_encryption_key_file,
        folder / "safe" / "notification.kek": state.webhook_key_file,
    }


def restore(state: State, folder: Path, erasures: Path) -> int:
    """Into a state that never lived; `up` starts it. How many erasures are applied again."""
    if state.has_lived:
        raise BackupFailed(f"{state.folder} keeps an earlier system: name a new folder with --state")
    for file in (*dumps_in(folder).values(), *secrets_in(folder, state), erasures):
        if not file.is_file():
            raise BackupFailed(f"there is no {file}")
    lines = erasures.read_text(encoding="utf-8").splitlines()
    state.make()
    with state.held():
        for kept, file in secrets_in(folder, state).items():
            shutil.copy(kept, file)
        asyncio.run(bring_back(state, dumps_in(folder)))
        return asyncio.run(bring_in_ledger(state, lines))


async def bring_back(state: State, dumps: Mapping[str, Path]) -> None:
    """The sandbox partner lost the webhooks' secrets, so it is told new ones."""
    kept = state.secrets()
    state.keep_secrets(kept.model_copy(update={"webhooks_at": None}))
    async with postgres_of(state, kept) as dsn:
        await postgres.create_databases(dsn, kept.postgres_roles)
        for database, dump in dumps.items():
            own = postgres.dsn_of(dsn, database, kept.postgres_roles[database])
            await asyncio.to_thread(run_tool, "pg_restore", own, "--exit-on-error", "--single-transaction", str(dump))


@asynccontextmanager
async def postgres_of(state: State, kept: Secrets) -> AsyncIterator[str]:
    """The state's own server for a while; the superuser's DSN."""
    server = postgres.PostgresServer(state.postgres, new_port(set()), kept.postgres_superuser)
    placement = await asyncio.to_thread(postgres.prepare, server)
    program = postgres.program(server, placement)
    async with running(program, state.folder, lambda: postgres.answers(server.dsn())):
        yield server.dsn()


async def bring_in_ledger(state: State, lines: list[str]) -> int:
    async with embedded_kafka(state.kafka) as bootstrap:
        kafka = KafkaAddress(bootstrap)
        await make_topics(kafka, FIXED_TOPICS)
        return await asyncio.to_thread(ledger.bring_in, kafka, lines)


def run_tool(name: str, dsn: str, *options: str) -> None:
    """A tool of PostgreSQL; the password is in its environment, where no list of processes shows it."""
    address, password = without_password(dsn)
    done = subprocess.run(  # noqa: S603 (the wheel's own program)
        [str(postgres.wheel_binaries() / name), *options, f"--dbname={address}"],
        env={**postgres.plain_environment(), "PGPASSWORD": password},
        umask=OURS_ALONE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BackupFailed(f"{name}: {done.stderr[-2000:]}")


def without_password(dsn: str) -> tuple[str, str]:
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}")), unquote(parts.password or "")
