"""Keeps the endpoints' secrets unreadable in the database: AES-256-GCM under a key from a file.

The key file is made at the first start with mode 0600. Whoever has the database but not the file cannot sign
as us. The partner and the secret's id are authenticated with it, so a row cannot be moved to another agency.
"""

import base64
import os
import secrets
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12


class SecretUnreadable(RuntimeError):
    """The key file is not the one this secret was wrapped with."""


class SecretBox:
    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def wrap(self, material: bytes, partner_id: str, secret_id: UUID) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, material, _bound_to(partner_id, secret_id))

    def unwrap(self, wrapped: bytes, partner_id: str, secret_id: UUID) -> bytes:
        """Raises SecretUnreadable."""
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, _bound_to(partner_id, secret_id))
        except InvalidTag as error:
            raise SecretUnreadable(f"a secret of {partner_id} cannot be read with this key file") from error


def _bound_to(partner_id: str, secret_id: UUID) -> bytes:
    return f"{partner_id}/{secret_id}".encode()


def key_from(path: Path) -> bytes:
    """The key in the file, made when there is none. Raises ValueError when the file holds no key."""
    _make_when_missing(path)
    key = base64.b64decode(path.read_text().strip(), validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} must hold {KEY_BYTES} bytes in base64")
    return key


def _make_when_missing(path: Path) -> None:
    """Written whole beside its place, then linked: another copy that starts now never reads half a key."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
