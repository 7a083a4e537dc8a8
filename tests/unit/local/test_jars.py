"""Kafka's jars: only what the lock names gets into the cache, and nothing that arrived is fetched twice."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ihala_local.jars import (
    Jar,
    JarLock,
    JarsUnavailable,
    Stopped,
    Stopping,
    class_path,
    fetch_missing,
    missing,
    read_lock,
)
from support.repository import Repository, running_repository

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    with running_repository() as running:
        monkeypatch.setenv("IHALA_MAVEN_REPOSITORY", running.url)
        yield running


def a_jar(artifact: str = "kafka-clients", content: bytes = CONTENT) -> Jar:
    return Jar("org.example", artifact, "1.0", hashlib.sha256(content).hexdigest(), len(content))


def a_lock(*jars: Jar) -> JarLock:
    return JarLock("4.1.1", jars)


def nobody_watches(_arrived_bytes: int) -> None:
    return


def test_every_jar_of_the_lock_arrives_under_its_name(repository: Repository, tmp_path: Path) -> None:
    jars = [a_jar("one"), a_jar("two")]
    repository.files = {jar.path_in_repository: CONTENT for jar in jars}

    fetch_missing(a_lock(*jars), tmp_path, nobody_watches)

    assert (tmp_path / "one-1.0.jar").read_bytes() == CONTENT
    assert (tmp_path / "two-1.0.jar").read_bytes() == CONTENT
    assert missing(a_lock(*jars), tmp_path) == ()


def test_what_is_there_is_not_fetched_again(repository: Repository, tmp_path: Path) -> None:
    jar = a_jar()
    repository.files = {jar.path_in_repository: CONTENT}
    fetch_missing(a_lock(jar), tmp_path, nobody_watches)

    fetch_missing(a_lock(jar), tmp_path, nobody_watches)

    assert repository.requests == 1


def test_progress_adds_up_to_the_size_of_what_was_missing(repository: Repository, tmp_path: Path) -> None:
    jar = a_jar()
    repository.files = {jar.path_in_repository: CONTENT}
    arrived: list[int] = []

    fetch_missing(a_lock(jar), tmp_path, arrived.append)

    assert sum(arrived) == 256_000


def test_a_file_with_another_hash_is_refused_and_does_not_stay(repository: Repository, tmp_path: Path) -> None:
    jar = a_jar()
    forged = CONTENT[:-1] + b"!"
    repository.files = {jar.path_in_repository: forged}

    with pytest.raises(JarsUnavailable, match=r"kafka-clients-1\.0\.jar.*is not the file we locked"):
        fetch_missing(a_lock(jar), tmp_path, nobody_watches)

    assert not list(tmp_path.glob("*.jar*"))


def test_a_connection_that_breaks_is_taken_up_where_it_broke(repository: Repository, tmp_path: Path) -> None:
    jar = a_jar()
    repository.files = {jar.path_in_repository: CONTENT}
    repository.cut_after = {jar.path_in_repository: 100_000}

    fetch_missing(a_lock(jar), tmp_path, nobody_watches)

    assert repository.ranges == ["bytes=100000-"]
    assert (tmp_path / jar.file_name).read_bytes() == CONTENT


def test_the_part_of_an_earlier_start_is_resumed(repository: Repository, tmp_path: Path) -> None:
    jar = a_jar()
    repository.files = {jar.path_in_repository: CONTENT}
    (tmp_path / f"{jar.file_name}.part").write_bytes(CONTENT[:5000])

    fetch_missing(a_lock(jar), tmp_path, nobody_watches)

    assert repository.ranges == ["bytes=5000-"]
    assert (tmp_path / jar.file_name).read_bytes() == CONTENT


def test_a_part_longer_than_the_jar_is_begun_anew(repository: Repository, tmp_path: Path) -> None:
    jar = a_jar()
    repository.files = {jar.path_in_repository: CONTENT}
    (tmp_path / f"{jar.file_name}.part").write_bytes(CONTENT + b"too much")

    fetch_missing(a_lock(jar), tmp_path, nobody_watches)

    assert (tmp_path / jar.file_name).read_bytes() == CONTENT


def test_a_jar_the_repository_does_not_have_is_an_error_that_names_it(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(JarsUnavailable, match=r"kafka-clients-1\.0\.jar could not be fetched"):
        fetch_missing(a_lock(a_jar()), tmp_path, nobody_watches)

    assert repository.requests == 1


def test_without_a_network_the_error_says_what_would_help(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IHALA_MAVEN_REPOSITORY", "http://127.0.0.1:9")  # the discard port: nobody listens

    with pytest.raises(JarsUnavailable, match="Check the network"):
        fetch_missing(a_lock(a_jar()), tmp_path, nobody_watches)


def test_a_download_that_nobody_waits_for_stops(repository: Repository, tmp_path: Path) -> None:
    jar = a_jar()
    repository.files = {jar.path_in_repository: CONTENT}
    stopping = Stopping()
    stopping.now()

    with pytest.raises(Stopped):
        fetch_missing(a_lock(jar), tmp_path, stopping.or_tell(nobody_watches))

    assert not (tmp_path / jar.file_name).exists()


def test_the_class_path_names_every_jar_of_the_lock() -> None:
    lock = a_lock(a_jar("one"), a_jar("two"))

    assert class_path(lock, Path("/cache")) == "/cache/one-1.0.jar:/cache/two-1.0.jar"


def test_the_lock_file_names_the_broker_and_a_hash_for_each_jar() -> None:
    lock = read_lock()

    assert lock.kafka_version == "4.1.1"
    assert "kafka_2.13-4.1.1.jar" in {jar.file_name for jar in lock.jars}
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in lock.jars)
