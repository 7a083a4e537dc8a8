"""Root lends PostgreSQL an account only where that account can reach what it needs."""

from pathlib import Path

from ihala_local.accounts import Account, can_be_reached, may_pass, readable_copy

STRANGER = Account("stranger", user_id=4_000_001, group_id=4_000_001)


def test_a_stranger_passes_through_an_open_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)

    assert may_pass(tmp_path, STRANGER)


def test_a_stranger_does_not_pass_through_a_closed_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    assert not may_pass(tmp_path, STRANGER)


def test_one_closed_folder_on_the_way_closes_it(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "open"
    inner.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)

    assert not can_be_reached(inner / "file", STRANGER)


def test_an_owner_passes_through_a_closed_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    status = tmp_path.stat()

    assert may_pass(tmp_path, Account("owner", status.st_uid, status.st_gid))


def test_a_copy_is_made_once(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "postgres").write_text("binary")

    readable_copy(source, tmp_path / "cache" / "copy")
    (source / "postgres").write_text("changed")
    again = readable_copy(source, tmp_path / "cache" / "copy")

    assert (again / "postgres").read_text() == "binary"
