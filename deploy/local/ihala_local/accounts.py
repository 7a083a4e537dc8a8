"""Which account runs PostgreSQL: it refuses to run as root, so root lends it an unprivileged one.

Rule: everybody but root runs PostgreSQL as themselves; only root ever changes an owner.
"""

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from ihala_local.failures import LocalFailure

CANDIDATES = ("ihala", "postgres", "nobody")  # the first that exists here


class NoUnprivilegedAccount(LocalFailure):
    """We are root and this machine has none of the accounts we could lend PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its main group, by number."""

    name: str
    user_id: int
    group_id: int


def unprivileged_account() -> Account | None:
    """None when we are unprivileged ourselves and no change is needed."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoUnprivilegedAccount(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(CANDIDATES)} exists. "
        "Run ihala as an ordinary user, or add one of them (useradd --system ihala)."
    )


def can_be_reached(path: Path, account: Account) -> bool:
    """Whether the account may pass through every folder above the path."""
    return all(may_pass(folder, account) for folder in path.resolve().parents)


def may_pass(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.user_id:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.group_id:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def give(path: Path, account: Account) -> None:
    """Makes the account the owner of a folder and all below it."""
    for entry in (path, *path.rglob("*")):
        os.chown(entry, account.user_id, account.group_id, follow_symlinks=False)


def readable_copy(source: Path, target: Path) -> Path:
    """A copy of a tree that every account may read and run; made once, whole or not at all."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copytree(source, unfinished, symlinks=True)
    try:
        unfinished.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(unfinished)  # another start was faster
    return target
