"""What the command line asks for, and what each service is told by its environment."""

from pathlib import Path

import pytest
from ihala_local.options import OptionRefused, orders_from, parse_copies
from ihala_local.postgres import dsn_of
from ihala_local.stack import Options, Stack, port_names
from ihala_local.state import State
from ihala_runtime.kafka_address import KafkaAddress


def a_stack(folder: Path, copies: dict[str, int] | None = None, *, test_clock: bool = False) -> Stack:
    names = port_names(copies or {})
    return Stack(
        state=State(folder),
        options=Options(copies=copies or {}, test_clock=test_clock),
        ports={name: 25_000 + number for number, name in enumerate(names)},
        kafka=KafkaAddress("127.0.0.1:25000"),
        dsns={name: f"postgresql://{name}@h/{name}" for name in ("intake", "intake_keys", "referral", "notification")},
    )


def environment_of(stack: Stack, name: str) -> dict[str, str]:
    return {program.name: dict(program.environment) for program in stack.programs()}[name]


def test_copies_are_read_one_by_one_or_in_a_list() -> None:
    assert parse_copies(["referral=2", "intake=3,notification=1"]) == {"referral": 2, "intake": 3, "notification": 1}


@pytest.mark.parametrize("word", ["referral", "referral=", "referral=0", "referral=9", "portal=2", "referral=two"])
def test_copies_that_cannot_be_are_refused(word: str) -> None:
    with pytest.raises(OptionRefused, match="--copies"):
        parse_copies([word])


def test_an_ephemeral_start_does_not_touch_a_state_that_lasts(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.make()
    state.secrets()

    with pytest.raises(OptionRefused, match="would remove it"):
        orders_from(state, [], None, ephemeral=True)


def test_two_copies_listen_on_two_ports_and_share_a_database(tmp_path: Path) -> None:
    stack = a_stack(tmp_path, {"referral": 2})

    first, second = environment_of(stack, "referral-1"), environment_of(stack, "referral-2")

    assert first["IHALA_HTTP_PORT"] != second["IHALA_HTTP_PORT"]
    assert first["IHALA_POSTGRES_DSN"] == second["IHALA_POSTGRES_DSN"]


def test_only_intake_is_told_where_the_data_keys_are(tmp_path: Path) -> None:
    stack = a_stack(tmp_path)

    assert "IHALA_KEYS_DSN" in environment_of(stack, "intake-1")
    assert "IHALA_KEYS_DSN" not in environment_of(stack, "referral-1")
    assert "IHALA_KEYS_DSN" not in environment_of(stack, "notification-1")


def test_intake_and_notification_wrap_their_secrets_with_different_keys(tmp_path: Path) -> None:
    stack = a_stack(tmp_path)

    of_intake = environment_of(stack, "intake-1")["IHALA_KEK_FILE"]
    of_notification = environment_of(stack, "notification-1")["IHALA_KEK_FILE"]

    assert of_intake != of_notification
    assert "IHALA_KEK_FILE" not in environment_of(stack, "referral-1")


def test_only_notification_may_call_private_networks(tmp_path: Path) -> None:
    stack = a_stack(tmp_path)

    assert environment_of(stack, "notification-1")["IHALA_WEBHOOK_PRIVATE_NETWORKS"] == "127.0.0.0/8"
    assert "IHALA_WEBHOOK_PRIVATE_NETWORKS" not in environment_of(stack, "intake-1")


def test_services_run_on_real_time_unless_a_test_clock_was_set(tmp_path: Path) -> None:
    assert "IHALA_CLOCK_FILE" not in environment_of(a_stack(tmp_path), "referral-1")

    clocked = environment_of(a_stack(tmp_path, test_clock=True), "referral-1")
    assert clocked["IHALA_CLOCK_FILE"] == str(tmp_path / "clock.json")


def test_addresses_of_another_system_in_the_environment_reach_no_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IHALA_POSTGRES_DSN", "postgresql://elsewhere")

    assert "IHALA_POSTGRES_DSN" not in environment_of(a_stack(tmp_path), "sandbox-partner")
    assert environment_of(a_stack(tmp_path), "referral-1")["IHALA_POSTGRES_DSN"] == "postgresql://referral@h/referral"


def test_a_role_connects_to_the_database_of_its_name_with_its_own_password() -> None:
    dsn = dsn_of("postgresql://postgres:all@127.0.0.1:25001/postgres", "referral", "p/w")

    assert dsn == "postgresql://referral:p%2Fw@127.0.0.1:25001/referral"
