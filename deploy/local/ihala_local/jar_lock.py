"""Maintainers' command that rewrites kafka-jars.toml: which jars Apache Kafka needs, with their SHA-256.

    python -m ihala_local.jar_lock 4.1.1

It walks the POM tree as Maven does for the runtime scope (nearest version wins, exclusions and managed
versions respected). Nothing else may write the lock file, and nothing at run time reads a POM.
"""

import hashlib
import re
import sys
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from ihala_local.jars import LOCK_FILE, MAVEN_CENTRAL, Jar

LOGGING_TO_STDERR = ("org.slf4j", "slf4j-simple", "1.7.36")  # the slf4j line Kafka 4.1 itself is built against
NAMESPACE = "{http://maven.apache.org/POM/4.0.0}"

Name = tuple[str, str]  # group, artifact


@dataclass(frozen=True)
class Dependency:
    """One <dependency> of a POM, its properties already replaced."""

    name: Name
    version: str
    scope: str
    optional: bool
    kind: str
    exclusions: frozenset[Name]


@dataclass(frozen=True)
class Pom:
    """What we read of one POM, parents merged in."""

    packaging: str
    properties: Mapping[str, str]
    managed: Mapping[Name, str]
    dependencies: tuple[Dependency, ...] = field(default=())


@cache
def pom_of(group: str, artifact: str, version: str) -> Pom:
    """Reads a POM with its parents and imported bills of material."""
    root = ElementTree.fromstring(fetch(pom_url(group, artifact, version)))  # noqa: S314 (Maven Central, over TLS)
    parent = parent_of(root)
    properties = {
        **(parent.properties if parent else {}),
        **{child.tag.removeprefix(NAMESPACE): (child.text or "").strip() for child in children(root, "properties")},
        "project.groupId": group,
        "project.artifactId": artifact,
        "project.version": version,
    }
    own = [read_dependency(node, properties) for node in children(root, "dependencyManagement", "dependencies")]
    managed = dict(parent.managed) if parent else {}
    for entry in own:
        managed |= (
            pom_of(*entry.name, entry.version).managed if entry.scope == "import" else {entry.name: entry.version}
        )
    dependencies = tuple(read_dependency(node, properties) for node in children(root, "dependencies"))
    return Pom(
        packaging=text(root, "packaging", properties) or "jar",
        properties=properties,
        managed=managed,
        dependencies=(parent.dependencies if parent else ()) + dependencies,
    )


def parent_of(root: ElementTree.Element) -> Pom | None:
    node = root.find(f"{NAMESPACE}parent")
    if node is None:
        return None
    return pom_of(*(text(node, tag, {}) for tag in ("groupId", "artifactId", "version")))


def children(root: ElementTree.Element, *path: str) -> Iterator[ElementTree.Element]:
    node = root.find("/".join(NAMESPACE + step for step in path))
    return iter(()) if node is None else iter(node)


def text(node: ElementTree.Element, tag: str, properties: Mapping[str, str]) -> str:
    """The text of a child element, ${…} replaced; empty when it is not there."""
    return replaced((node.findtext(NAMESPACE + tag) or "").strip(), properties)


def replaced(value: str, properties: Mapping[str, str]) -> str:
    """Properties may name properties; one that nobody defines stays as it is."""
    result = re.sub(r"\$\{([^}]+)\}", lambda match: properties.get(match[1], match[0]), value)
    return result if result == value else replaced(result, properties)


def read_dependency(node: ElementTree.Element, properties: Mapping[str, str]) -> Dependency:
    return Dependency(
        name=(text(node, "groupId", properties), text(node, "artifactId", properties)),
        version=text(node, "version", properties),
        scope=text(node, "scope", properties) or "compile",
        optional=text(node, "optional", properties) == "true",
        kind=text(node, "type", properties) or "jar",
        exclusions=frozenset(
            (text(entry, "groupId", properties), text(entry, "artifactId", properties))
            for entry in children(node, "exclusions")
        ),
    )


def runtime_tree(roots: list[tuple[str, str, str]]) -> dict[Name, str]:
    """Every jar of the runtime scope: breadth first, so the version nearest to the root wins."""
    managed_by_roots: dict[Name, str] = {}
    for root in roots:
        managed_by_roots |= pom_of(*root).managed
    chosen: dict[Name, str] = {}
    waiting = deque(((group, artifact), version, frozenset[Name]()) for group, artifact, version in roots)
    while waiting:
        name, version, excluded = waiting.popleft()
        if name in chosen:
            continue
        chosen[name] = version
        pom = pom_of(*name, version)
        for needed in pom.dependencies:
            if needed.optional or needed.scope not in ("compile", "runtime") or is_excluded(needed.name, excluded):
                continue
            needed_version = managed_by_roots.get(needed.name) or needed.version or pom.managed[needed.name]
            waiting.append((needed.name, needed_version, excluded | needed.exclusions))
    return chosen


def is_excluded(name: Name, excluded: frozenset[Name]) -> bool:
    return bool({name, (name[0], "*"), ("*", "*")} & excluded)


def fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 (https://, see MAVEN_CENTRAL)
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {error}") from error
    return body


def pom_url(group: str, artifact: str, version: str) -> str:
    return f"{MAVEN_CENTRAL}/{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.pom"


def locked(name: Name, version: str) -> Jar:
    """Downloads the jar once and checks it against the checksum Maven Central publishes beside it."""
    bare = Jar(*name, version, sha256="", size_bytes=0)
    content = fetch(bare.url)
    published = fetch(f"{bare.url}.sha1").decode().split()[0]
    if hashlib.sha1(content, usedforsecurity=False).hexdigest() != published:
        raise SystemExit(f"{bare.file_name}: differs from the checksum published beside it")
    return Jar(*name, version, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def as_toml(kafka_version: str, jars: list[Jar]) -> str:
    head = f'# Written by: python -m ihala_local.jar_lock {kafka_version}\nkafka = "{kafka_version}"\n'
    entries = (
        f'\n[[jar]]\ngroup = "{jar.group}"\nartifact = "{jar.artifact}"\nversion = "{jar.version}"\n'
        f'sha256 = "{jar.sha256}"\nsize_bytes = {jar.size_bytes}\n'
        for jar in jars
    )
    return head + "".join(entries)


def main(kafka_version: str) -> None:
    tree = runtime_tree([("org.apache.kafka", "kafka_2.13", kafka_version), LOGGING_TO_STDERR])
    jars = [
        locked(name, version) for name, version in sorted(tree.items()) if pom_of(*name, version).packaging != "pom"
    ]
    LOCK_FILE.write_text(as_toml(kafka_version, jars))
    total_megabytes = sum(jar.size_bytes for jar in jars) / 1_000_000
    print(f"{LOCK_FILE}: {len(jars)} jars, {total_megabytes:.0f} MB")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
