"""`ihala up` and the commands around it, as a person uses them."""

import json
import stat
from pathlib import Path

import aiohttp
import pytest
from ihala_local.ports import is_free
from support.system import StartSystem, System
from support.waiting import wait_until

PARTS = {
    "kafka",
    "postgres",
    "intake-1",
    "referral-1",
    "referral-2",
    "notification-1",
    "sandbox-partner",
    "traces",
}
SECONDS_TO_VANISH = 5  # "not more than a few seconds"


def states_of(system: System) -> dict[str, str]:
    return {process["name"]: process["state"] for process in system.status()["processes"]}


def test_every_part_runs(system: System) -> None:
    assert states_of(system) == dict.fromkeys(PARTS, "running")


def test_a_second_up_finds_the_running_one_and_tells_the_same(system: System) -> None:
    pid = system.pid_of("up")

    printed = system.up()

    assert system.endpoints["credentials"]["desk"] in printed
    assert system.pid_of("up") == pid


def test_addresses_and_keys_are_for_their_owner_alone(system: System) -> None:
    mode = stat.S_IMODE((system.folder / "endpoints.json").stat().st_mode)

    assert mode == 0o600


def test_the_endpoints_name_everything_a_client_needs(system: System) -> None:
    endpoints = system.endpoints

    assert endpoints.keys() >= {"intake", "referral", "notification", "kafka", "otlp", "traces", "sandbox_partner"}
    assert endpoints["postgres"].keys() == {"intake", "intake_keys", "referral", "notification"}
    assert endpoints["credentials"].keys() == {"desk", "operator", "protection", "admin", "integrator", "partners"}


def test_each_process_writes_a_log_of_its_own(system: System) -> None:
    assert {log.stem for log in (system.folder / "logs").glob("*.log")} == PARTS | {"up"}


def test_the_status_tells_how_far_behind_each_part_is(system: System) -> None:
    status = system.status()

    assert status["outbox_oldest_seconds"].keys() == {"intake", "referral", "notification"}
    assert status["lag"].keys() >= {"referral.router", "notification.dispatch"}


async def test_each_service_answers_for_its_database_and_for_each_of_its_groups(system: System) -> None:
    """Which groups there are says the broker."""
    groups = system.status()["lag"].keys()

    async with aiohttp.ClientSession() as session:
        for service in ("intake", "referral", "notification"):
            async with session.get(f"{system.endpoints[service]}/ready") as answer:
                checks = (await answer.json())["checks"]

            assert set(checks) == {"database", "tasks", *(group for group in groups if group.startswith(f"{service}."))}
            assert answer.status == 200


def test_a_new_key_works_at_once_and_a_revoked_one_is_gone_from_the_list_of_valid_ones(system: System) -> None:
    made = json.loads(system.ihala("access", "create", "desk", "--desk", "baom-agadir", "--label", "test"))

    assert made["credential_id"] in made["key"]
    system.ihala("access", "revoke", made["credential_id"])
    listed = system.ihala("access", "list")
    assert made["credential_id"] in listed
    assert made["key"] not in listed


def test_the_directory_comes_back_as_it_was_exported(system: System, tmp_path: Path) -> None:
    exported = system.ihala("directory", "export")
    (tmp_path / "directory.toml").write_text(exported)

    system.ihala("directory", "import", str(tmp_path / "directory.toml"))

    assert system.ihala("directory", "export") == exported


@pytest.mark.timeout(300)
async def test_nothing_is_left_of_an_ephemeral_system_whose_up_was_killed(start_system: StartSystem) -> None:
    system = start_system("--ephemeral")
    ports = json.loads((system.folder / "ports.json").read_text()).values()

    system.kill("up")

    await wait_until(lambda: not system.programs(), within_seconds=SECONDS_TO_VANISH)
    assert all(is_free(port) for port in ports)
    await wait_until(lambda: not system.folder.exists(), within_seconds=SECONDS_TO_VANISH)


@pytest.mark.timeout(300)
def test_a_system_comes_back_as_it_was_and_its_clock_when_set_goes_forward_only(start_system: StartSystem) -> None:
    system = start_system()
    before = system.endpoints
    system.down()
    assert not (system.folder / "endpoints.json").exists()

    system.up()

    assert system.endpoints == before
    system.ihala("clock", "set", "2027-01-04T09:00:00Z")

    assert set(states_of(system).values()) == {"running"}
    assert system.ihala("clock", "advance", "4h") == "2027-01-04T13:00:00Z\n"
    refused = system.run("clock", "set", "2027-01-04T12:59:59Z")
    assert refused.returncode == 1
    assert "forward only; it shows 2027-01-04T13:00:00Z" in refused.stderr


def test_a_command_without_a_system_says_how_to_start_one(tmp_path: Path) -> None:
    answered = System(tmp_path).run("status")

    assert answered.returncode == 1
    assert "Start it with: ./ihala up" in answered.stderr
