"""One release replaced by the next, copy by copy under load, and then the other way round; nobody at the door waits.

Two copies of each service. The next release is this one with a migration more for each database, of tables in use;
`--older=CHECKOUT` takes another checkout as the older release, and this one as the next.
"""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest
from support.databases import asked
from support.fault_checker import judge
from support.fault_load import Load, load_on
from support.system import System, running
from support.waiting import wait_until

RATE = 4.0
SERVICES = ("intake", "referral", "notification")
PACKAGES = ("ihala_events", "ihala_runtime", *(f"ihala_{service}" for service in SERVICES))
NEXT_MIGRATION = "9999_next.sql"
MIGRATIONS = {
    "intake": "ALTER TABLE case_file ADD COLUMN next_release text NOT NULL DEFAULT 'x';",
    "referral": "ALTER TABLE referral ADD COLUMN next_release text NOT NULL DEFAULT 'x';",
    "notification": "ALTER TABLE delivery ADD COLUMN next_release text NOT NULL DEFAULT 'x';",
}
LOOK_SECONDS = 0.05
READY_SECONDS = 90.0
CLOSED_SECONDS = 1.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


class Releases:
    """The older and the next; what a service is started from is what the link leads to."""

    def __init__(self, folder: Path) -> None:
        self.older = folder / "older"
        self.next = folder / "next"
        self.link = folder / "installed"

    def install(self, release: Path) -> None:
        unfinished = self.link.with_suffix(".new")
        unfinished.symlink_to(release)
        unfinished.rename(self.link)


@pytest.fixture
def releases(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Releases:
    made = Releases(tmp_path_factory.mktemp("releases"))
    older = request.config.getoption("--older")
    for package in PACKAGES:
        ours = folder_of(package)
        theirs = ours if older is None else next(Path(older).glob(f"*/*/{package}"))
        shutil.copytree(theirs, made.older / package)
        shutil.copytree(ours, made.next / package)
    if older is None:
        for service, sql in MIGRATIONS.items():
            (made.next / f"ihala_{service}" / "migrations" / NEXT_MIGRATION).write_text(sql)
    made.install(made.older)
    return made


def folder_of(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture
def doubled(releases: Releases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    copies = [word for service in SERVICES for word in ("--copies", f"{service}=2")]
    installed = {"PYTHONPATH": str(releases.link)}
    with running(tmp_path_factory.mktemp("upgraded"), *copies, environment=installed) as system:
        yield system


async def test_to_the_next_release_and_back(doubled: System, releases: Releases, seed: int) -> None:
    async with load_on(doubled, seed) as load:
        async with doors(doubled) as waited:
            await under_load(load, doubled, releases, releases.next)
            assert await applied(doubled) >= migrations_of(releases.next)
            await under_load(load, doubled, releases, releases.older)

        verdict = await judge(doubled, load)

    print(f"\nlongest without an answer: {waited}")  # noqa: T201
    assert not verdict.findings, str(verdict)
    assert max(waited.values()) < CLOSED_SECONDS, waited


def migrations_of(release: Path) -> set[tuple[str, str]]:
    """(service, migration)"""
    packages = {service: release / f"ihala_{service}" for service in SERVICES}
    return {
        (service, f"{package.name}/{file.name}")
        for service, package in packages.items()
        for file in (package / "migrations").glob("[0-9]*.sql")
    }


async def applied(system: System) -> set[tuple[str, str]]:
    return {
        (service, row["name"])
        for service in SERVICES
        for row in await asked(system, service, "SELECT name FROM schema_migration")
    }


async def under_load(load: Load, system: System, releases: Releases, release: Path) -> None:
    releases.install(release)
    replacing = asyncio.create_task(replace_every_copy(system))
    while not replacing.done():
        await load.run(RATE, 4.0)
    await replacing


async def replace_every_copy(system: System) -> None:
    """One after another; the next when the one before serves again."""
    for service in SERVICES:
        for number, url in enumerate(system.urls_of(service), start=1):
            await replaced(system, f"{service}-{number}", url)


async def replaced(system: System, name: str, url: str) -> None:
    before = system.pid_of(name)
    system.signal(name, signal.SIGTERM)
    await wait_until(lambda: system.living_pid_of(name) not in (None, before), READY_SECONDS, f"{name} is back")
    await wait_until(lambda: is_ready(url), READY_SECONDS, f"{name} is ready")


async def is_ready(url: str) -> bool:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with aiohttp.ClientSession() as session, session.get(f"{url}/ready") as answer:
            return answer.status == 200
    return False


@asynccontextmanager
async def doors(system: System) -> AsyncIterator[dict[str, float]]:
    """By service the longest, in seconds, that anybody waited for an answer of one copy or the other."""
    waited = dict.fromkeys(SERVICES, 0.0)
    asking = [asyncio.create_task(ask(service, system.urls_of(service), waited)) for service in SERVICES]
    try:
        yield waited
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def ask(service: str, urls: Sequence[str], waited: dict[str, float]) -> None:
    """As a load balancer does: who gives no answer is passed over, at once."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CLOSED_SECONDS)) as session:
        while True:
            asked_at, is_answered = time.monotonic(), False
            while not is_answered:
                is_answered = await one_answers(session, urls)
                waited[service] = max(waited[service], time.monotonic() - asked_at)
                await asyncio.sleep(LOOK_SECONDS)


async def one_answers(session: aiohttp.ClientSession, urls: Sequence[str]) -> bool:
    for url in urls:
        if await answers(session, url):
            return True
    return False


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"{url}/v1/whoami") as answer:
            return answer.status == 401  # as it should, without a key
    return False
