"""Encryption of the person's data: AES-256-GCM under a key of the case's own, wrapped by the key-encryption key.

Destroying the wrapped key makes the sealed file unreadable everywhere, backups of it included.
"""

import base64
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
LEAST_DIFFERENT_BYTES = 16
"""Of 32 random bytes; fewer have not been seen by anybody (chance below 1e-13), a sample key has one or two."""
VERSION = b"\x01"


class Unreadable(Exception):
    """The sealed data do not open: another key, or they were altered."""


class UnsafeKeyFile(RuntimeError):
    """The key-encryption key can be read by others, or is not a key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """``file``: the ciphertext. ``wrapped_key``: to be kept apart from it."""

    file: bytes
    wrapped_key: bytes


class Sealer:
    """Seals and opens under one key-encryption key; also the keyed fingerprint of a request's body."""

    def __init__(self, key_encryption_key: bytes) -> None:
        self._wrap = AESGCM(key_encryption_key)
        self._fingerprint_key = HKDF(SHA256(), KEY_BYTES, None, b"ihala request fingerprint").derive(key_encryption_key)
        self._person_key = HKDF(SHA256(), KEY_BYTES, None, b"ihala duplicate keys").derive(key_encryption_key)

    @classmethod
    def from_file(cls, path: Path) -> "Sealer":
        """Read the key, or make it where there is none. Raises UnsafeKeyFile when others may read it."""
        if not path.exists():
            _make_key_file(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UnsafeKeyFile(f"{path} must be readable by its owner alone (mode 0600)")
        key = base64.b64decode(path.read_text().strip(), validate=True)
        if len(key) != KEY_BYTES:
            raise UnsafeKeyFile(f"{path} does not hold a 256-bit key")
        if len(set(key)) < LEAST_DIFFERENT_BYTES:
            raise UnsafeKeyFile(f"{path} holds a key that was not drawn at random")
        return cls(key)

    def seal(self, case_id: UUID, private: bytes) -> Sealed:
        data_key = secrets.token_bytes(KEY_BYTES)
        return Sealed(_encrypt(AESGCM(data_key), private, case_id), _encrypt(self._wrap, data_key, case_id))

    def open(self, case_id: UUID, sealed: Sealed) -> bytes:
        """Raises Unreadable."""
        data_key = _decrypt(self._wrap, sealed.wrapped_key, case_id)
        return _decrypt(AESGCM(data_key), sealed.file, case_id)

    def reseal(self, case_id: UUID, wrapped_key: bytes, private: bytes) -> bytes:
        """New content under the case's existing key."""
        return _encrypt(AESGCM(_decrypt(self._wrap, wrapped_key, case_id)), private, case_id)

    def fingerprint(self, body: bytes) -> bytes:
        return hmac.digest(self._fingerprint_key, body, hashlib.sha256)

    def person_key(self, sound: bytes) -> int:
        """64 keyed bits of a name's sound or a telephone, signed as PostgreSQL's bigint is."""
        return int.from_bytes(hmac.digest(self._person_key, sound, "sha256")[:8], "big", signed=True)


def _encrypt(cipher: AESGCM, plain: bytes, case_id: UUID) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return VERSION + nonce + cipher.encrypt(nonce, plain, VERSION + case_id.bytes)


def _decrypt(cipher: AESGCM, blob: bytes, case_id: UUID) -> bytes:
    try:
        return cipher.decrypt(blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :], blob[:1] + case_id.bytes)
    except (InvalidTag, ValueError):
        raise Unreadable from None


def _make_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
