"""docker-compose.yml says what the code says: programs, environment, server settings; and its walls stay up."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ihala_local import kafka, postgres
from ihala_local.checkout import CHECKOUT
from ihala_local.jars import read_lock
from ihala_local.stack import SANDBOX_PARTNER, SERVICES, TRACES, Options, Stack, port_names
from ihala_local.state import DATABASES, State
from ihala_runtime.kafka_address import KafkaAddress
from support.containers import KAFKA_IMAGE, POSTGRES_IMAGE

LAYERS = ("kafka-parties.yml", "observability.yml", "production.yml")
ONCE = ("secrets", "databases", "topics", "setup")
OF_THIS_MACHINE_ALONE = {"HOME", "PATH", "PYTHONTZPATH", "PYTHONUNBUFFERED", "IHALA_HTTP_HOST", "IHALA_HTTP_PORT"}


def compose(name: str = "docker-compose.yml") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CHECKOUT / name).read_text())
    return content


def container(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def the_stack(folder: Path) -> Stack:
    return Stack(
        state=State(folder),
        options=Options(),
        ports={name: 25_000 + number for number, name in enumerate(port_names({}))},
        kafka=KafkaAddress("127.0.0.1:25000"),
        dsns={name: f"postgresql://{name}@h/{name}" for name in DATABASES},
    )


@pytest.fixture
def told_locally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The variables each program of `ihala up` is given, by the program's name here."""
    for name in ("IHALA_LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return {
        program.name.removesuffix("-1"): {name for name in program.environment if name.startswith(("IHALA_", "OTEL_"))}
        for program in the_stack(tmp_path).programs()
    }


@pytest.mark.parametrize("name", [*SERVICES, SANDBOX_PARTNER, TRACES])
def test_a_program_is_told_in_a_container_what_up_tells_it(name: str, told_locally: dict[str, set[str]]) -> None:
    optional = {"IHALA_LOG_LEVEL", "PGPASSFILE"}

    told = set(container(name)["environment"]) - optional

    assert told == told_locally[name] - OF_THIS_MACHINE_ALONE


@pytest.mark.parametrize("name", [*SERVICES, SANDBOX_PARTNER, TRACES])
def test_a_container_runs_the_module_that_up_runs(name: str, tmp_path: Path) -> None:
    commands = {program.name.removesuffix("-1"): program.command for program in the_stack(tmp_path).programs()}

    assert container(name)["command"] == ["python", *commands[name][1:]]


def test_kafka_has_the_settings_of_the_local_one(tmp_path: Path) -> None:
    node = kafka.KafkaNode(tmp_path, 1, 2, read_lock(), tmp_path)
    differs_in_a_container = {"controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}
    differs_in_a_container |= {"listener.security.protocol.map", "metric.reporters"}
    differs_in_a_container |= {"broker.heartbeat.interval.ms", "broker.session.timeout.ms"}
    expected = {name: value for name, value in kafka.settings(node).items() if name not in differs_in_a_container}

    given = container("kafka")["environment"]

    assert {name: given[f"KAFKA_{name.replace('.', '_').upper()}"] for name in expected} == expected


def test_postgres_has_the_settings_of_the_local_one() -> None:
    # the image listens for the network and on its socket; a standby or a base backup reads the log
    differs_in_a_container = {"listen_addresses", "unix_socket_directories", "max_wal_senders", "wal_level"}
    expected = {name: value for name, value in postgres.SETTINGS.items() if name not in differs_in_a_container}

    options = [word.removeprefix("-c") for word in container("postgres")["command"][1:]]

    assert dict(option.split("=", 1) for option in options) == expected


def test_the_images_are_those_of_the_tests_and_of_the_local_kafka() -> None:
    assert container("kafka")["image"] == KAFKA_IMAGE == f"apache/kafka:{read_lock().kafka_version}"
    assert container("postgres")["image"] == POSTGRES_IMAGE


@pytest.mark.parametrize("layer", ["docker-compose.yml", *(f"deploy/compose/{layer}" for layer in LAYERS)])
def test_every_image_is_pinned(layer: str) -> None:
    images = [service["image"] for service in compose(layer)["services"].values() if "image" in service]

    assert all(re.search(r":(v?\d|\$\{IHALA_VERSION:-\d)", image) for image in images)


def test_every_container_is_walled_in() -> None:
    for name, service in [*compose()["services"].items(), *new_services("observability.yml")]:
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["ulimits"]["core"] == 0, name
        assert service["user"] not in ("root", "0"), name
        assert "mem_limit" in service, name
        assert "privileged" not in service, name
        assert "cap_add" not in service, name


def new_services(layer: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, each) for name, each in compose(f"deploy/compose/{layer}")["services"].items() if "image" in each]


def test_ports_are_open_to_this_machine_alone() -> None:
    for name, service in [*compose()["services"].items(), *new_services("observability.yml")]:
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_what_runs_on_comes_back_and_what_runs_once_does_not() -> None:
    policies = {name: service["restart"] for name, service in compose()["services"].items()}

    assert policies == {name: "no" if name in ONCE else "unless-stopped" for name in policies}


def test_a_service_has_time_to_drain_before_it_is_killed() -> None:
    for name in SERVICES:
        assert int(container(name)["stop_grace_period"].removesuffix("s")) >= 15


def test_no_password_stands_in_a_compose_file() -> None:
    for name, service in compose()["services"].items():
        for variable, value in service.get("environment", {}).items():
            assert not re.search(r"(PASSWORD|SECRET|_KEY)$", variable), f"{name} {variable}"
            assert not re.search(r"//[^/@]*:[^/@]*@", value), f"{name} {variable}"


def test_webhooks_reach_the_sandbox_partners_network_and_no_other() -> None:
    network = compose()["networks"]["agencies"]["ipam"]["config"][0]["subnet"]
    inside = {name for name, service in compose()["services"].items() if "agencies" in service.get("networks", [])}

    assert container("notification")["environment"]["IHALA_WEBHOOK_PRIVATE_NETWORKS"] == network
    assert inside == {"notification", SANDBOX_PARTNER}


def test_no_service_sees_the_secrets_of_another() -> None:
    mounted: dict[str, set[str]] = {}
    for name, service in compose()["services"].items():
        for mount in service.get("volumes", []):
            mounted.setdefault(mount.split(":")[0], set()).add(name)

    for service in SERVICES:
        assert mounted[f"{service}-secrets"] - set(ONCE) == {service}
    assert "setup" in mounted["notification-secrets"]  # where it leaves the key that it makes for it
    assert mounted["postgres-secrets"] == {"secrets", "postgres"}
    assert mounted["sandbox-secrets"] == {"setup", SANDBOX_PARTNER}
    assert mounted["state"] <= set(ONCE)
    assert mounted["intake-keys"] == {"intake"}
    assert mounted["notification-keys"] == {"notification"}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_begins_with_how_to_combine_it(layer: str) -> None:
    first = (CHECKOUT / "deploy" / "compose" / layer).read_text().splitlines()[0]

    assert f"docker compose -f docker-compose.yml -f deploy/compose/{layer} up" in first


def test_in_production_no_service_runs_in_synthetic_mode_and_no_sandbox_partner() -> None:
    services = compose("deploy/compose/production.yml")["services"]

    for name in (*SERVICES, "setup"):
        assert services[name]["environment"]["IHALA_MODE"] == "production"
        assert "?" in services[name]["environment"]["IHALA_CNDP_AUTH_REF"]
    assert services["notification"]["environment"]["IHALA_WEBHOOK_PRIVATE_NETWORKS"] == ""
    assert services[SANDBOX_PARTNER]["profiles"]


def test_the_image_is_built_from_every_member_of_the_workspace() -> None:
    patterns = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    found = [path for pattern in patterns for path in CHECKOUT.glob(f"{pattern}/pyproject.toml")]
    members = [path.relative_to(CHECKOUT) for path in found]

    dockerfile = (CHECKOUT / "Dockerfile").read_text()

    assert members
    assert all(f"COPY {member} {member.parent}/" in dockerfile for member in members)
