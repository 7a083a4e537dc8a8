"""What the environment may say."""

import ipaddress

import pytest
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
