"""Production mode starts with a permit, secrets of its own and hosts in the country; else not at all (P06, P16)."""

from typing import Any

import pytest
from ihala_intake.settings import IntakeSettings
from ihala_notification.settings import NotificationSettings
from ihala_referral.settings import ReferralSettings
from ihala_runtime.settings import ServiceSettings
from pydantic import ValidationError

HOSTS = "db.example.ma, kafka.example.ma, .ihala.example.ma"
PRODUCTION = {
    "IHALA_MODE": "production",
    "IHALA_CNDP_AUTH_REF": "A-XX-000/2026",
    "IHALA_ALLOWED_HOSTS": HOSTS,
    "IHALA_POSTGRES_DSN": "postgresql://intake:long-and-random@db.example.ma:5432/intake",
    "IHALA_KEYS_DSN": "postgresql://intake_keys@db.example.ma/intake_keys",
    "IHALA_KEK_FILE": "/run/kek",
    "IHALA_KAFKA_BOOTSTRAP": "kafka.example.ma:9092",
    "IHALA_INTAKE_URL": "https://intake.ihala.example.ma",
    "IHALA_REFERRAL_URL": "https://referral.ihala.example.ma",
    "IHALA_NOTIFICATION_URL": "https://notification.ihala.example.ma",
}


def settings(
    monkeypatch: pytest.MonkeyPatch, kind: type[ServiceSettings] = IntakeSettings, **changes: str | None
) -> ServiceSettings:
    made: Any = kind
    for name, value in {**PRODUCTION, **changes}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    found: ServiceSettings = made()
    return found


@pytest.mark.parametrize("kind", [IntakeSettings, ReferralSettings, NotificationSettings])
def test_every_service_starts_with_all_of_it(monkeypatch: pytest.MonkeyPatch, kind: type[ServiceSettings]) -> None:
    assert settings(monkeypatch, kind).allowed_hosts == ("db.example.ma", "kafka.example.ma", ".ihala.example.ma")


@pytest.mark.parametrize("kind", [IntakeSettings, ReferralSettings, NotificationSettings])
def test_no_service_starts_without_the_permit(monkeypatch: pytest.MonkeyPatch, kind: type[ServiceSettings]) -> None:
    with pytest.raises(ValidationError, match="IHALA_CNDP_AUTH_REF"):
        settings(monkeypatch, kind, IHALA_CNDP_AUTH_REF=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IHALA_POSTGRES_DSN", "postgresql://intake@db.elsewhere.com/intake"),
        ("IHALA_POSTGRES_DSN", "postgresql://intake@db.example.ma,db.elsewhere.com/intake"),
        ("IHALA_KEYS_DSN", "postgresql://intake_keys@db.elsewhere.com/intake_keys"),
        ("IHALA_KAFKA_BOOTSTRAP", "kafka.example.ma:9092,db.elsewhere.com:9092"),
        ("IHALA_INTAKE_URL", "https://db.elsewhere.com"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://db.elsewhere.com:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://db.elsewhere.com:4318/v1/traces"),
    ],
)
def test_a_host_that_is_not_listed_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ValidationError, match=rf"{name} \(db\.elsewhere\.com\)"):
        settings(monkeypatch, IntakeSettings, **{name: value})


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://intake@db.example.ma/intake?host=db.elsewhere.com",
        "host=db.elsewhere.com user=intake",
        "postgresql://intake@db.example.ma.elsewhere.com/intake",
        "postgresql://db.example.ma@db.elsewhere.com/intake",
    ],
    ids=["host in the query", "key and value", "a longer name", "host as the user"],
)
def test_an_address_that_hides_its_host_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with pytest.raises(ValidationError):
        settings(monkeypatch, IHALA_POSTGRES_DSN=value)


@pytest.mark.parametrize("name", ["IHALA_SMS_GATEWAY_URL", "IHALA_WHATSAPP_GATEWAY_URL", "IHALA_CONTACT_URL"])
def test_a_gateway_abroad_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    whole = {name.replace("_URL", "_KEY_FILE"): "/run/key", "IHALA_SERVICE_KEY_FILE": "/run/service-key"}

    with pytest.raises(ValidationError, match=rf"{name} \(sms\.elsewhere\.com\)"):
        settings(monkeypatch, NotificationSettings, **{name: "https://sms.elsewhere.com"}, **whole)


def test_an_empty_list_allows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="IHALA_ALLOWED_HOSTS"):
        settings(monkeypatch, IHALA_ALLOWED_HOSTS=None)


@pytest.mark.parametrize("password", ["postgres", "ChangeMe", "intake"])
def test_a_password_that_comes_with_samples_stops_the_start_and_is_not_told(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    with pytest.raises(ValidationError, match="IHALA_POSTGRES_DSN holds a password") as refused:
        settings(monkeypatch, IHALA_POSTGRES_DSN=f"postgresql://intake:{password}@db.example.ma/intake")

    assert f":{password}@" not in str(refused.value)


def test_a_test_clock_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="IHALA_CLOCK_FILE"):
        settings(monkeypatch, IHALA_CLOCK_FILE="/tmp/clock.json")


def test_invented_data_may_stand_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = "postgresql://postgres:postgres@db.elsewhere.com/intake"

    made = settings(monkeypatch, IHALA_MODE="synthetic", IHALA_ALLOWED_HOSTS=None, IHALA_POSTGRES_DSN=elsewhere)

    assert made.mode == "synthetic"
