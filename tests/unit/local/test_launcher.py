"""The launcher makes the environment only when something it depends on has changed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
BOOTSTRAP = """
import sys
from pathlib import Path
wanted, fingerprint = sys.argv[1:]
venv = Path(__file__).parents[2] / ".venv"
venv.joinpath("bin").mkdir(parents=True, exist_ok=True)
command = venv / "bin" / "ihala"
command.write_text('#!/bin/sh\\necho "ran: $*"\\n')
command.chmod(0o755)
(venv / f".made-for-{wanted}").write_text(fingerprint)
print(f"made for {wanted}")
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose bootstrap only says that it was asked."""
    folder = tmp_path / "a checkout"
    (folder / "deploy" / "local").mkdir(parents=True)
    shutil.copy(CHECKOUT / "ihala", folder / "ihala")
    (folder / "deploy" / "local" / "bootstrap.py").write_text(BOOTSTRAP)
    (folder / "deploy" / "local" / "pyproject.toml").write_text("[project]\n")
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "uv.lock").write_text("version = 1\n")
    return folder


def ihala(checkout: Path, *words: str, path: str | None = None) -> str:
    environment = os.environ | ({"PATH": path} if path else {})
    done = subprocess.run(
        [checkout / "ihala", *words],
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def test_the_first_start_makes_the_environment_and_runs_the_command(checkout: Path) -> None:
    assert ihala(checkout, "up", "--state", "a b") == "made for run\nran: up --state a b\n"


def test_the_second_start_only_runs_the_command(checkout: Path) -> None:
    ihala(checkout, "up")

    assert ihala(checkout, "status") == "ran: status\n"


def test_a_changed_lock_makes_the_environment_anew(checkout: Path) -> None:
    ihala(checkout, "up")
    (checkout / "uv.lock").write_text("version = 2\n")

    assert ihala(checkout, "up") == "made for run\nran: up\n"


def test_a_members_changed_dependencies_make_it_anew(checkout: Path) -> None:
    ihala(checkout, "up")
    (checkout / "deploy" / "local" / "pyproject.toml").write_text("[project]\ndependencies = []\n")

    assert ihala(checkout, "up") == "made for run\nran: up\n"


@pytest.mark.parametrize("tests", ["test", "faults"])
def test_the_tests_need_more_than_the_system_and_the_system_no_more_than_the_tests(checkout: Path, tests: str) -> None:
    ihala(checkout, "up")

    assert ihala(checkout, tests) == f"made for dev\nran: {tests}\n"
    (checkout / ".venv" / ".made-for-run").unlink()
    assert ihala(checkout, "up") == "ran: up\n"


def test_a_checkout_that_was_moved_is_made_anew(checkout: Path) -> None:
    ihala(checkout, "up")
    moved = checkout.rename(checkout.with_name("moved"))

    assert ihala(moved, "up") == "made for run\nran: up\n"


def test_an_old_python_is_named(checkout: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        old = programs / name
        old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
        old.chmod(0o755)

    said = ihala(checkout, "up", path=f"{programs}:/usr/bin:/bin")

    assert said == "ihala: needs Python 3.11 or newer as python3; found: Python 3.9.2\n"
