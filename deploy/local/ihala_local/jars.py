"""Kafka's jars: read from the lock file, fetched from Maven Central once, kept outside the checkout.

The rule not to break: a file enters the cache under its final name only after its SHA-256 was the locked
one, so whatever carries that name is good. An interrupted download leaves a `.part` that the next start
resumes.
"""

import contextlib
import fcntl
import hashlib
import os
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from ihala_local.failures import LocalFailure

LOCK_FILE = Path(__file__).with_name("kafka-jars.toml")
MAVEN_CENTRAL = "https://repo.maven.apache.org/maven2"
PARALLEL_DOWNLOADS = 6
CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 60
TRIES = 4  # a connection that breaks half way is resumed where it broke

Progress = Callable[[int], None]
"""Told how many more bytes have arrived."""


class JarsUnavailable(LocalFailure):
    """Kafka's jars cannot be had; the message says why and what would help."""


class Stopped(Exception):
    """Nobody waits for the download any more."""


class Stopping:
    """Lets a download in another thread be stopped between two chunks."""

    def __init__(self) -> None:
        self._stopped = False

    def now(self) -> None:
        self._stopped = True

    def or_tell(self, progress: Progress) -> Progress:
        def tell(arrived_bytes: int) -> None:
            if self._stopped:
                raise Stopped
            progress(arrived_bytes)

        return tell


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked file of Maven Central."""

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path_in_repository(self) -> str:
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"

    @property
    def url(self) -> str:
        return f"{repository()}/{self.path_in_repository}"


@dataclass(frozen=True, slots=True)
class JarLock:
    """The whole lock file."""

    kafka_version: str
    jars: tuple[Jar, ...]


def repository() -> str:
    """Maven Central, or the mirror named by IHALA_MAVEN_REPOSITORY (hashes are checked all the same)."""
    return os.environ.get("IHALA_MAVEN_REPOSITORY", MAVEN_CENTRAL).rstrip("/")


def read_lock(path: Path = LOCK_FILE) -> JarLock:
    content = tomllib.loads(path.read_text())
    return JarLock(content["kafka"], tuple(Jar(**entry) for entry in content["jar"]))


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ihala"


def folder_of(lock: JarLock) -> Path:
    return cache_folder() / "kafka" / lock.kafka_version


def class_path(lock: JarLock, folder: Path) -> str:
    return os.pathsep.join(str(folder / jar.file_name) for jar in lock.jars)


def missing(lock: JarLock, folder: Path) -> tuple[Jar, ...]:
    """What the cache lacks. Size is enough here: the hash was checked before the file got its name."""
    return tuple(jar for jar in lock.jars if not has_size(folder / jar.file_name, jar.size_bytes))


def has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except FileNotFoundError:
        return False


def fetch_missing(lock: JarLock, folder: Path, progress: Progress) -> None:
    """Brings every missing jar into the folder; a second caller waits for the first, then has nothing to do."""
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder), ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        downloads = [pool.submit(fetch_jar, jar, folder, progress) for jar in missing(lock, folder)]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fetch_jar(jar: Jar, folder: Path, progress: Progress) -> None:
    part = folder / f"{jar.file_name}.part"
    for last_try in [False] * (TRIES - 1) + [True]:
        try:
            download(jar.url, part, jar.size_bytes, progress)
            break
        except (OSError, urllib.error.URLError) as error:
            if last_try or is_final(error):
                raise JarsUnavailable(unreachable(jar, error)) from error
    verify(jar, part)
    part.rename(folder / jar.file_name)


def download(url: str, part: Path, size_bytes: int, progress: Progress) -> None:
    """Appends to `part` until it has size_bytes, from where an earlier try stopped."""
    have = part.stat().st_size if part.exists() else 0
    if have > size_bytes:
        part.unlink()
        have = 0
    if have == size_bytes:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 (ours)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)
                progress(len(chunk))
    if part.stat().st_size < size_bytes:
        raise OSError("the connection ended early")


def is_final(error: Exception) -> bool:
    """A refusal of the repository does not change by asking again."""
    return isinstance(error, urllib.error.HTTPError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR


def verify(jar: Jar, part: Path) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        part.unlink()
        raise JarsUnavailable(
            f"{jar.file_name} from {jar.url} is not the file we locked.\n"
            f"  expected SHA-256 {jar.sha256}\n  received SHA-256 {found}\n"
            "It was thrown away. A proxy that rewrites downloads is the usual reason; try again, or another network."
        )


def unreachable(jar: Jar, error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return (
        f"{jar.file_name} could not be fetched from {jar.url}: {reason}.\n"
        "Kafka's jars are needed once. Check the network (or set HTTPS_PROXY, or IHALA_MAVEN_REPOSITORY to a mirror) "
        "and start again: what has already arrived is kept."
    )
