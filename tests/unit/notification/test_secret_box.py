"""Secrets at rest: readable only with the key file, and only where they belong."""

import base64
from pathlib import Path
from uuid import UUID

import pytest
from ihala_notification.adapters.secret_box import SecretBox, SecretUnreadable, key_from

SECRET_ID = UUID(int=1)


def test_a_wrapped_secret_comes_back_and_never_looks_the_same_twice() -> None:
    box = SecretBox(b"k" * 32)

    first, second = (box.wrap(b"material", "p1", SECRET_ID) for _ in range(2))

    assert box.unwrap(first, "p1", SECRET_ID) == b"material"
    assert first != second
    assert b"material" not in first


@pytest.mark.parametrize(
    ("key", "partner_id", "secret_id"),
    [(b"x" * 32, "p1", SECRET_ID), (b"k" * 32, "p2", SECRET_ID), (b"k" * 32, "p1", UUID(int=2))],
)
def test_another_key_or_another_agency_cannot_read_it(key: bytes, partner_id: str, secret_id: UUID) -> None:
    wrapped = SecretBox(b"k" * 32).wrap(b"material", "p1", SECRET_ID)

    with pytest.raises(SecretUnreadable):
        SecretBox(key).unwrap(wrapped, partner_id, secret_id)


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "kek"

    first, second = key_from(path), key_from(path)

    assert first == second
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["kek"]


@pytest.mark.parametrize("content", ["", "short", base64.b64encode(b"x" * 16).decode()])
def test_a_file_that_holds_no_key_stops_the_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kek"
    path.write_text(content)

    with pytest.raises(ValueError):
        key_from(path)
