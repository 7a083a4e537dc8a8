"""The vault's encryption: only the case's own key opens its file, and nothing that was altered opens."""

import base64
import stat
from pathlib import Path
from uuid import UUID

import pytest
from ihala_intake.adapters.sealing import Sealed, Sealer, Unreadable, UnsafeKeyFile

CASE = UUID("01a20900-0000-7000-8000-000000000001")
OTHER_CASE = UUID("01a20900-0000-7000-8000-000000000002")
PRIVATE = b'{"names": ["Fatou Example"]}'


def a_sealer(first_byte: int = 0) -> Sealer:
    return Sealer(bytes([first_byte]) + bytes(31))


def test_what_was_sealed_opens_with_the_same_keys() -> None:
    sealer = a_sealer()

    sealed = sealer.seal(CASE, PRIVATE)

    assert sealer.open(CASE, sealed) == PRIVATE
    assert PRIVATE not in sealed.file


def test_the_same_data_sealed_twice_look_different() -> None:
    sealer = a_sealer()

    first, second = sealer.seal(CASE, PRIVATE), sealer.seal(CASE, PRIVATE)

    assert first.file != second.file
    assert first.wrapped_key != second.wrapped_key


@pytest.mark.parametrize("position", [0, 1, 20, -1])
def test_an_altered_byte_is_noticed(position: int) -> None:
    sealer = a_sealer()
    sealed = sealer.seal(CASE, PRIVATE)
    altered = bytearray(sealed.file)
    altered[position] ^= 1

    with pytest.raises(Unreadable):
        sealer.open(CASE, Sealed(bytes(altered), sealed.wrapped_key))


def test_a_file_does_not_open_as_another_case_or_under_another_key() -> None:
    sealed = a_sealer().seal(CASE, PRIVATE)

    with pytest.raises(Unreadable):
        a_sealer().open(OTHER_CASE, sealed)
    with pytest.raises(Unreadable):
        a_sealer(1).open(CASE, sealed)


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "kek"

    sealed = Sealer.from_file(path).seal(CASE, PRIVATE)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Sealer.from_file(path).open(CASE, sealed) == PRIVATE


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    Sealer.from_file(path)
    path.chmod(0o640)

    with pytest.raises(UnsafeKeyFile):
        Sealer.from_file(path)


def test_the_fingerprint_depends_on_the_key() -> None:
    assert a_sealer().fingerprint(b"body") == a_sealer().fingerprint(b"body")
    assert a_sealer().fingerprint(b"body") != a_sealer(1).fingerprint(b"body")
    assert a_sealer().fingerprint(b"body") != a_sealer().fingerprint(b"body ")


@pytest.mark.parametrize("key", [bytes(32), b"changeme" * 4], ids=["zeros", "a word"])
def test_a_sample_key_is_refused(tmp_path: Path, key: bytes) -> None:
    file = tmp_path / "kek"
    file.write_text(base64.b64encode(key).decode())
    file.chmod(0o600)

    with pytest.raises(UnsafeKeyFile, match="at random"):
        Sealer.from_file(file)
