"""Standard Webhooks signatures: `v1` HMAC-SHA256, and `v1a` Ed25519 where an agency must not be able to forge.

During a rotation every live key signs, so an agency may change its copy at any moment of the overlap.
A key never leaves this module as text but once, to the agency it was made for.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES = 32


class SignatureKind(StrEnum):
    HMAC = "v1"
    ED25519 = "v1a"


@dataclass(frozen=True)
class SigningKey:
    """material: the HMAC key, or the seed of the Ed25519 key."""

    kind: SignatureKind
    material: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.kind})"

    @classmethod
    def new(cls, kind: SignatureKind) -> "SigningKey":
        return cls(kind, secrets.token_bytes(KEY_BYTES))

    def sign(self, signed: bytes) -> str:
        if self.kind is SignatureKind.HMAC:
            keyed = self._keyed.copy()
            keyed.update(signed)
            signature = keyed.digest()
        else:
            signature = self._private.sign(signed)
        return f"{self.kind},{base64.b64encode(signature).decode()}"

    def for_the_agency(self) -> str:
        """What the agency verifies with: the shared secret (`whsec_`), or the public key (`whpk_`)."""
        if self.kind is SignatureKind.HMAC:
            return "whsec_" + base64.b64encode(self.material).decode()
        return "whpk_" + base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    @cached_property
    def _keyed(self) -> hmac.HMAC:
        return hmac.new(self.material, digestmod=hashlib.sha256)

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.material)


def webhook_headers(message_id: str, body: bytes, keys: Sequence[SigningKey], timestamp_seconds: int) -> dict[str, str]:
    """The three headers of one try. The timestamp is real time: the agency compares it with its own clock."""
    signed = b".".join((message_id.encode(), str(timestamp_seconds).encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_seconds),
        "webhook-signature": " ".join(key.sign(signed) for key in keys),
    }
