"""Signatures as a stranger's library checks them, and during a rotation."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from ihala_notification.domain.signing import SignatureKind, SigningKey, webhook_headers
from standardwebhooks import Webhook, WebhookVerificationError

BODY = '{"id": "m1", "name": "é"}'.encode()
# The example of the Standard Webhooks specification's reference libraries.
KNOWN_KEY = SigningKey(SignatureKind.HMAC, base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
KNOWN_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def now_seconds() -> int:
    return int(datetime.now(UTC).timestamp())


def test_the_published_example_gives_the_published_signature() -> None:
    headers = webhook_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [KNOWN_KEY], 1_614_265_330)

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": KNOWN_SIGNATURE,
    }


def test_the_public_library_verifies_a_shared_secret() -> None:
    key = SigningKey.new(SignatureKind.HMAC)

    headers = webhook_headers("m1", BODY, [key], now_seconds())

    assert Webhook(key.for_the_agency()).verify(BODY, headers) == {"id": "m1", "name": "é"}


def test_during_a_rotation_both_secrets_verify_and_a_third_does_not() -> None:
    new, old, other = (SigningKey.new(SignatureKind.HMAC) for _ in range(3))

    headers = webhook_headers("m1", BODY, [new, old], now_seconds())

    for key in (new, old):
        Webhook(key.for_the_agency()).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(other.for_the_agency()).verify(BODY, headers)


def test_an_ed25519_signature_verifies_with_the_public_key_alone() -> None:
    key = SigningKey.new(SignatureKind.ED25519)
    public_text = key.for_the_agency()
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_text.removeprefix("whpk_")))

    headers = webhook_headers("m1", BODY, [key], 1_700_000_000)

    version, signature = headers["webhook-signature"].split(",")
    assert (version, public_text[:5]) == ("v1a", "whpk_")
    public.verify(base64.b64decode(signature), b"m1.1700000000." + BODY)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signature), b"m1.1700000001." + BODY)


def test_a_key_does_not_show_itself() -> None:
    key = SigningKey.new(SignatureKind.HMAC)

    assert key.for_the_agency()[6:] not in repr(key)
    assert str(key.material) not in repr(key)
