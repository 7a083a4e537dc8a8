"""What a service is told of Kafka: a private listener, TLS, TLS and a password; nothing between."""

from pathlib import Path

import pytest
from ihala_runtime.settings import KafkaSettings, SettingsRefused, told_kafka
from pydantic import ValidationError
from support.tls import self_signed


def settings(monkeypatch: pytest.MonkeyPatch, **told: object) -> KafkaSettings:
    monkeypatch.setenv("IHALA_KAFKA_BOOTSTRAP", "kafka.example.ma:9094")
    for name in ("CA_FILE", "USER", "PASSWORD_FILE"):
        monkeypatch.delenv(f"IHALA_KAFKA_{name}", raising=False)
    for name, value in told.items():
        monkeypatch.setenv(f"IHALA_KAFKA_{name}", str(value))
    return KafkaSettings()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path, "127.0.0.1")[0]


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("long-and-random\n")
    return file


def test_a_private_listener_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).kafka().options() == {"bootstrap_servers": "kafka.example.ma:9094"}


def test_with_a_certificate_there_is_tls_and_the_host_is_checked(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    options = settings(monkeypatch, CA_FILE=certificate).kafka().options()

    assert options["security_protocol"] == "SSL"
    assert options["ssl_context"].check_hostname


def test_with_a_password_too_it_is_proved_over_tls(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, password: Path
) -> None:
    kafka = settings(monkeypatch, CA_FILE=certificate, USER="intake", PASSWORD_FILE=password).kafka()

    options = kafka.options()
    assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("intake", "long-and-random")
    assert "long-and-random" not in repr(kafka)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (("USER", "PASSWORD_FILE"), "over TLS alone"),
        (("USER", "CA_FILE"), "go together"),
        (("PASSWORD_FILE", "CA_FILE"), "go together"),
    ],
)
def test_half_of_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, password: Path, told: tuple[str, ...], why: str
) -> None:
    known = {"USER": "intake", "PASSWORD_FILE": password, "CA_FILE": certificate}

    with pytest.raises(ValidationError, match=why):
        settings(monkeypatch, **{name: known[name] for name in told})


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_what_cannot_be_read_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ValidationError, match="IHALA_KAFKA_CA_FILE or IHALA_KAFKA_PASSWORD_FILE cannot be read"):
        settings(monkeypatch, CA_FILE=file)


def test_a_tool_without_the_address_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IHALA_KAFKA_BOOTSTRAP", raising=False)

    with pytest.raises(SettingsRefused, match="IHALA_KAFKA_BOOTSTRAP: Field required"):
        told_kafka()
