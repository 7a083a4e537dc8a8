"""One folder for each local system: private, held by one `up`, and complete at every moment."""

import json
import stat
from pathlib import Path

import pytest
from ihala_local.state import AlreadyRunning, NotRunning, Phase, State, Supervision, write_private


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    made.make()
    return made


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "keys.json", {"desk": "secret"})

    assert mode_of(tmp_path / "keys.json") == 0o600


def test_a_private_file_stays_private_when_it_replaces_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("{}")
    path.chmod(0o644)

    write_private(path, {"desk": "secret"})

    assert mode_of(path) == 0o600
    assert json.loads(path.read_text()) == {"desk": "secret"}


def test_nobody_else_can_list_a_state(state: State) -> None:
    assert mode_of(state.folder) & 0o066 == 0
    assert mode_of(state.folders.logs) == 0o700


def test_secrets_are_the_same_at_the_next_start(state: State) -> None:
    assert state.secrets() == state.secrets()


def test_each_database_has_a_password_of_its_own(state: State) -> None:
    passwords = state.secrets().postgres_roles

    assert set(passwords) == {"intake", "intake_keys", "referral", "notification"}
    assert len(set(passwords.values())) == 4


def test_a_held_state_is_not_held_twice(state: State) -> None:
    with state.held(), pytest.raises(AlreadyRunning), state.held():
        pass


def test_a_state_is_free_again_when_its_holder_lets_go(state: State) -> None:
    with state.held():
        assert state.is_held()

    assert not state.is_held()


def test_what_an_up_announced_is_not_believed_after_its_end(state: State) -> None:
    state.announce(Supervision(pid=1, phase=Phase.READY))

    with pytest.raises(NotRunning, match="nothing runs in"):
        state.running()


def test_a_running_up_tells_its_phase(state: State) -> None:
    with state.held():
        state.announce(Supervision(pid=4711, phase=Phase.STARTING, doing="Kafka"))

        assert state.running().pid == 4711


def test_ports_are_kept(state: State) -> None:
    state.keep_ports({"kafka": 25_000})

    assert state.ports() == {"kafka": 25_000}
