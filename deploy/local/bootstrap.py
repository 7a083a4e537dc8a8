"""Makes the checkout's .venv from uv.lock, with a uv of our own. Called by the launcher `ihala`, by nobody else.

Rule: standard library only, and any Python from 3.11 on: it runs before anything is installed. uv itself comes
from PyPI by pip, pinned by hash, into the user's cache; nothing outside that folder and .venv is touched.

    python3 bootstrap.py run|dev|bench FINGERPRINT
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENT = CHECKOUT / ".venv"
UV_REQUIREMENTS = Path(__file__).with_name("uv-requirements.txt")
GROUPS = {"run": ["--no-dev"], "dev": ["--dev"], "bench": ["--dev", "--group", "peer"]}


class Failed(Exception):
    """The environment cannot be made; the message says what would help."""


def main(wanted: str, fingerprint: str) -> None:
    stamp = ENVIRONMENT / f".made-for-{wanted}"
    with alone():
        if stamp.exists() and stamp.read_text() == fingerprint:
            return  # another invocation was faster
        sync(uv_program(), wanted)
        stamp.write_text(fingerprint)


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ihala"


@contextmanager
def alone() -> Iterator[None]:
    """One bootstrap at a time for this user; the others wait."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "bootstrap.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def uv_program() -> Path:
    """The pinned uv, fetched the first time. `complete` is written last, so a broken fetch is made again."""
    home = cache() / f"uv-{uv_version()}"
    if not (home / "complete").exists():
        tell(f"fetching uv {uv_version()} into {home}")
        shutil.rmtree(home, ignore_errors=True)
        make_virtual_environment(home)
        install_uv(home)
        (home / "complete").touch()
    return home / "bin" / "uv"


def uv_version() -> str:
    first = next(line for line in UV_REQUIREMENTS.read_text().splitlines() if line.startswith("uv=="))
    return first.removeprefix("uv==").split()[0]


def make_virtual_environment(home: Path) -> None:
    result = run([sys.executable, "-m", "venv", str(home)])
    if result.returncode != 0:
        raise Failed(
            f"Python's venv module does not work here:\n{result.stdout}\n"
            "On Debian and Ubuntu: apt install python3-venv."
        )


def install_uv(home: Path) -> None:
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    result = run([*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(UV_REQUIREMENTS)])
    if result.returncode != 0:
        raise Failed(
            f"uv could not be fetched from the Python package index:\n{result.stdout}\n"
            "Check the network (HTTPS_PROXY, PIP_INDEX_URL) and start again."
        )


def sync(uv: Path, wanted: str) -> None:
    """Installs what uv.lock names and removes nothing, so `up` does not undo what `test` needs."""
    command = [str(uv), "sync", "--locked", "--inexact", *GROUPS[wanted], "--project", str(CHECKOUT)]
    if not (ENVIRONMENT / "bin" / "python").exists():
        command += ["--python", sys.executable]
        tell("installing the locked packages into .venv")
    code = subprocess.run(command, env=uv_environment(), check=False).returncode  # noqa: S603 (uv)
    if code != 0:
        raise Failed("the locked packages could not be installed, see above. Check the network and start again.")


def uv_environment() -> dict[str, str]:
    """uv's own interpreters are not in a package registry, and an activated environment is not ours."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return kept | {"UV_PYTHON_DOWNLOADS": "never", "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT)}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603


def tell(message: str) -> None:
    sys.stderr.write(f"ihala: {message}\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failed as failure:
        tell(str(failure))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
