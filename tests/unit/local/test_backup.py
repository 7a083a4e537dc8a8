"""What a backup and the ledger's file refuse before anything is written."""

import json
from pathlib import Path

import pytest
from ihala_local.backup import BackupFailed, restore, without_password
from ihala_local.ledger import LedgerFailed, bring_in
from ihala_local.state import State
from ihala_runtime.kafka_address import KafkaAddress

NOBODY = KafkaAddress("127.0.0.1:1")
GOOD = {
    "key": "01a20900-0000-7000-8000-000000000001",
    "headers": {"ce_type": "ihala.intake.case-erased.v1"},
    "value": {
        "case_id": "01a20900-0000-7000-8000-000000000001",
        "case_ref": "AG-7K3F-9QXY",
        "erased_at": "2026-11-16T10:15:00Z",
    },
}


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[]",
        json.dumps({**GOOD, "value": {"case_id": "1"}}),
        json.dumps({"value": GOOD["value"]}),
        json.dumps({**GOOD, "headers": []}),
    ],
)
def test_a_line_that_is_no_erasure_is_named_by_its_number(line: str) -> None:
    with pytest.raises(LedgerFailed, match="line 3 is no erasure"):
        bring_in(NOBODY, [json.dumps(GOOD), "", line])


def test_a_state_that_has_lived_is_not_overwritten(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.make()
    kept = state.secrets()

    with pytest.raises(BackupFailed, match="keeps an earlier system"):
        restore(state, tmp_path, tmp_path / "erasures.jsonl")

    assert state.secrets() == kept


def test_what_is_missing_is_said_before_a_state_is_made(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match=r"there is no .*/intake\.dump"):
        restore(State(tmp_path / "state"), tmp_path, tmp_path / "erasures.jsonl")

    assert not (tmp_path / "state").exists()


def test_a_password_is_no_part_of_a_tools_words() -> None:
    assert without_password("postgresql://intake:a%2Fb@127.0.0.1:5432/intake") == (
        "postgresql://intake@127.0.0.1:5432/intake",
        "a/b",
    )
