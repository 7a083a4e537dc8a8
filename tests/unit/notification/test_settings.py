"""What the environment may say."""

import ipaddress
from pathlib import Path

import pytest
from ihala_events.vocabulary import Channel
from ihala_notification.settings import NotificationSettings
from pydantic import ValidationError

REQUIRED = {"IHALA_POSTGRES_DSN": "postgresql://x", "IHALA_KAFKA_BOOTSTRAP": "k:9092", "IHALA_KEK_FILE": "/kek"}


@pytest.fixture(autouse=True)
def _required(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def test_networks_and_delays_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IHALA_WEBHOOK_PRIVATE_NETWORKS", "127.0.0.0/8, fd00::/8")
    monkeypatch.setenv("IHALA_WEBHOOK_RETRY_SECONDS", "0,0.5,60")

    settings = NotificationSettings()

    networks = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    assert settings.webhook_private_networks == networks
    assert settings.webhook_retry_seconds == (0, 0.5, 60)


def test_no_private_network_is_reached_unless_listed() -> None:
    assert NotificationSettings().webhook_private_networks == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IHALA_WEBHOOK_PRIVATE_NETWORKS", "127.0.0.1/8"),
        ("IHALA_WEBHOOK_PRIVATE_NETWORKS", "localhost"),
        ("IHALA_WEBHOOK_RETRY_SECONDS", "5,1"),
        ("IHALA_WEBHOOK_RETRY_SECONDS", "-1"),
        ("IHALA_WEBHOOK_TIMEOUT_SECONDS", "0"),
        ("IHALA_WEBHOOK_CONCURRENCY", "1000"),
    ],
)
def test_a_setting_that_makes_no_sense_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError):
        NotificationSettings()


GATEWAY = {"IHALA_SMS_GATEWAY_URL": "https://sms.example.ma/send", "IHALA_SMS_GATEWAY_KEY_FILE": "/run/sms-key"}


def test_a_gateway_needs_its_address_and_both_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GATEWAY.items():
        monkeypatch.setenv(name, value)
        with pytest.raises(ValidationError, match="IHALA_SMS_GATEWAY_URL"):
            NotificationSettings()
    monkeypatch.setenv("IHALA_SERVICE_KEY_FILE", "/run/service-key")

    settings = NotificationSettings()

    assert settings.gateways == {Channel.SMS: ("https://sms.example.ma/send", Path("/run/sms-key"))}


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IHALA_SMS_GATEWAY_URL", "")

    assert NotificationSettings().gateways == {}
