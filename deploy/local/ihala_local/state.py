"""The folder of one local system: what it keeps, and how commands find the `up` that runs it.

Rule: a file with a key or a password in it is written through `write_private` (mode 0600, whole or not at all).
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from ihala_local.checkout import CHECKOUT
from ihala_local.failures import LocalFailure
from ihala_local.processes import Folders

DEFAULT_FOLDER = CHECKOUT / ".ihala"
DATABASES = ("intake", "intake_keys", "referral", "notification")


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class AlreadyRunning(LocalFailure):
    """Another `up` holds this state."""


class NotRunning(LocalFailure):
    """No `up` holds this state."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"nothing runs in {folder}. Start it with: ./ihala up")


class Supervision(BaseModel):
    """What the running `up` tells other commands about itself."""

    pid: int
    phase: Phase
    doing: str = ""
    programs: list[str] = []
    test_clock: bool = False


class Credentials(BaseModel):
    """The keys of the local system; filled one by one while it is provisioned, so a broken start loses none."""

    desk: str | None = None
    operator: str | None = None
    protection: str | None = None
    admin: str | None = None
    integrator: str | None = None
    partners: dict[str, str] = {}


class Secrets(BaseModel):
    """What must survive a restart and nobody else may read."""

    postgres_superuser: str = Field(default_factory=lambda: secrets.token_urlsafe(24))
    postgres_roles: dict[str, str] = Field(
        default_factory=lambda: {name: secrets.token_urlsafe(24) for name in DATABASES}
    )
    credentials: Credentials = Field(default_factory=Credentials)
    service: str | None = None  # notification's own key; no human has its role
    gateway: str = Field(default_factory=lambda: secrets.token_urlsafe(24))
    directory_loaded: bool = False
    webhooks_at: str | None = None  # the sandbox partner's address the agencies' webhooks were last sent to


@dataclass(frozen=True, slots=True)
class State:
    """Paths below one state folder."""

    folder: Path

    @property
    def folders(self) -> Folders:
        return Folders(self.folder / "logs", self.folder / "run")

    @property
    def kafka(self) -> Path:
        return self.folder / "kafka"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def endpoints_file(self) -> Path:
        return self.folder / "endpoints.json"

    @property
    def clock_file(self) -> Path:
        return self.folder / "clock.json"

    @property
    def key_encryption_key_file(self) -> Path:
        return self.folder / "intake" / "key-encryption-key"

    @property
    def webhook_key_file(self) -> Path:
        return self.folder / "notification" / "key-encryption-key"

    @property
    def service_key_file(self) -> Path:
        """With it notification asks intake how a person may be reached."""
        return self.folder / "notification" / "service-key"

    @property
    def gateway_key_file(self) -> Path:
        return self.folder / "notification" / "gateway-key"

    @property
    def first_admin_file(self) -> Path:
        return self.folder / "referral" / "first-admin.json"

    @property
    def sandbox_secrets_file(self) -> Path:
        return self.folder / "sandbox" / "secrets.json"

    @property
    def _ports_file(self) -> Path:
        return self.folder / "ports.json"

    @property
    def secrets_file(self) -> Path:
        return self.folder / "secrets.json"

    @property
    def _supervision_file(self) -> Path:
        return self.folder / "up.json"

    @property
    def _lock_file(self) -> Path:
        return self.folder / "up.lock"

    @property
    def has_lived(self) -> bool:
        """Whether a system was started here before."""
        return self.secrets_file.exists()

    def make(self) -> None:
        """The folder is ours alone; root lets others pass through, because PostgreSQL runs as another account."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self.folders.make()
        private = (
            self.key_encryption_key_file,
            self.webhook_key_file,
            self.first_admin_file,
            self.sandbox_secrets_file,
        )
        for folder in (self.folders.logs, self.folders.run, *(file.parent for file in private)):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the state for as long as this process lives; AlreadyRunning when another does."""
        with self._lock_file.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(str(self.folder)) from None
            yield

    def is_held(self) -> bool:
        if not self._lock_file.exists():
            return False
        try:
            with self.held():
                return False
        except AlreadyRunning:
            return True

    def supervision(self) -> Supervision | None:
        """None when nothing runs here, or has only just begun to."""
        if not self.is_held():
            return None
        try:
            return Supervision.model_validate_json(self._supervision_file.read_bytes())
        except FileNotFoundError:
            return None

    def running(self) -> Supervision:
        supervision = self.supervision()
        if supervision is None:
            raise NotRunning(self.folder)
        return supervision

    def announce(self, supervision: Supervision) -> None:
        write_private(self._supervision_file, supervision.model_dump(mode="json"))

    def withdraw(self) -> None:
        self._supervision_file.unlink(missing_ok=True)

    def ports(self) -> dict[str, int]:
        return {name: int(port) for name, port in read_json(self._ports_file).items()}

    def keep_ports(self, ports: dict[str, int]) -> None:
        write_private(self._ports_file, ports)

    def secrets(self) -> Secrets:
        """Those of the earlier start, or new ones, kept."""
        kept = Secrets.model_validate(read_json(self.secrets_file))
        self.keep_secrets(kept)
        return kept

    def keep_secrets(self, kept: Secrets) -> None:
        write_private(self.secrets_file, kept.model_dump())

    def endpoints(self) -> dict[str, Any]:
        """The running system's addresses and keys; NotRunning when there is none."""
        self.running()
        try:
            content: dict[str, Any] = json.loads(self.endpoints_file.read_text())
        except FileNotFoundError:
            raise NotRunning(self.folder) from None
        return content


def read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return content


def write_private(path: Path, content: object) -> None:
    """JSON with mode 0600 from its first byte, replacing the earlier file at once."""
    write_private_text(path, json.dumps(content, indent=2) + "\n")


def write_private_text(path: Path, content: str) -> None:
    """The same for a text."""
    unfinished = path.with_name(f".{path.name}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
