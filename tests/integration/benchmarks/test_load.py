"""The generator finds what a system does wrong: it is pointed at one that loses an id and tells another twice."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.waiting import wait_until

from benchmarks.load import Load, LoadResult, Step, journal_of, loading, run_load

RATE_PER_SECOND, SECONDS = 40.0, 2.0


@dataclass
class Careless:
    """Accepts everything; the numbers in `lost` are never told, those in `doubled` twice, those in `refused` 503."""

    lost: set[int] = field(default_factory=set)
    doubled: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)
    name: str = "careless"
    submit_url: str = ""
    key: str = "invented"
    _hooks: str = ""
    _seen: int = 0

    def processes(self) -> Mapping[str, int]:
        return {}

    async def send_webhooks_to(self, base: str) -> None:
        self._hooks = f"{base}/hook/an-agency"

    async def accept(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        number, self._seen = self._seen, self._seen + 1
        if number in self.refused:
            return web.Response(status=503)
        for _ in range(0 if number in self.lost else 2 if number in self.doubled else 1):
            asyncio.get_running_loop().create_task(self._tell(f"X-{number}"))
        return web.json_response({"case_ref": f"X-{number}"}, status=201)

    async def _tell(self, case_ref: str) -> None:
        async with aiohttp.ClientSession() as session:
            await session.post(self._hooks, json={"data": {"case_ref": case_ref}})


@asynccontextmanager
async def serving(system: Careless) -> AsyncIterator[Careless]:
    app = web.Application()
    app.router.add_post("/v1/intakes", system.accept)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    system.submit_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/intakes"
    yield system
    await runner.cleanup()


@pytest.fixture(params=["go", "python"])
def _generator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the two; Go's is built where Go is."""
    if request.param == "python":
        monkeypatch.setattr(shutil, "which", lambda _: None)


async def load_on(system: Careless, folder: Path, **asked: Any) -> LoadResult:
    steps = [Step("only", RATE_PER_SECOND, SECONDS)]
    async with serving(system):
        return await run_load(system, Load(steps, drain_seconds=1, **asked), folder)


@pytest.mark.usefixtures("_generator")
async def test_a_lost_and_a_doubled_id_are_counted_and_void_the_step(tmp_path: Path) -> None:
    result = (await load_on(Careless(lost={3}, doubled={5}, refused={7, 8}), tmp_path)).step("only")

    assert (result.lost_ids, result.doubled, result.refused) == (["X-3"], 1, {"503": 2})
    assert result.accepted == result.sent - 2
    assert result.told == result.accepted - 1
    assert result.void.startswith("1 lost, 1 doubled")


@pytest.mark.usefixtures("_generator")
async def test_an_intake_of_several_needs_is_told_when_all_of_its_webhooks_have_come(tmp_path: Path) -> None:
    all_but_one = set(range(1_000)) - {5}
    result = (await load_on(Careless(doubled=all_but_one, lost={3}, refused={7}), tmp_path, webhooks=2)).step("only")

    assert (result.lost, result.doubled) == (2, 0)
    assert result.told == result.accepted - 2 == result.sent - 3


@pytest.mark.usefixtures("_generator")
async def test_the_schedule_has_its_rate_and_every_span_is_kept_as_a_histogram(tmp_path: Path) -> None:
    result = (await load_on(Careless(), tmp_path)).step("only")

    expected = RATE_PER_SECOND * SECONDS
    assert abs(result.sent - expected) < 4 * expected**0.5  # a Poisson count strays by its root
    assert result.told == result.sent
    assert not result.lost
    assert not result.doubled
    kept = {name for name in os.listdir(tmp_path) if name.endswith(".hgrm")}
    assert kept == {f"only.{span}.hgrm" for span in ("own_lag", "due_to_accepted", "accepted_to_told", "due_to_told")}
    assert 0 < result.ms("accepted_to_told", "p50") <= result.ms("accepted_to_told", "max")


@pytest.mark.usefixtures("_generator")
async def test_enough_ends_the_step_under_way_and_leaves_out_the_next(tmp_path: Path) -> None:
    steps = [Step("long", RATE_PER_SECOND, 600), Step("next", RATE_PER_SECOND, 600)]
    async with serving(Careless()) as system, loading(system, Load(steps), tmp_path) as load:
        await wait_until(lambda: load.now.sent >= 10)
        load.enough()
        result = await asyncio.wait_for(load.result(), 30)

    assert 10 <= result.step("long").sent < 600
    assert 0 < result.step("long").seconds < 30
    assert result.step("next").sent == 0
    assert result.step("next").seconds < 1
    assert not result.step("long").lost


@pytest.mark.usefixtures("_generator")
async def test_intakes_differ_as_their_turns_say(tmp_path: Path) -> None:
    system = Careless()
    variants = [{"commune_code": "here"}, {"commune_code": "there"}]
    await load_on(system, tmp_path, variants=variants, turns=[0, 0, 0, 1])

    there = [each["commune_code"] for each in system.asked].count("there")
    assert abs(there - len(system.asked) / 4) <= 1


@pytest.mark.usefixtures("_generator")
async def test_a_journal_says_when_each_was_sent_accepted_and_told(tmp_path: Path) -> None:
    began = time.time()
    await load_on(Careless(lost={3}, refused={5}), tmp_path, journal=True)
    journal = journal_of(tmp_path)

    assert [each for each in journal if each.accepted is None and each.told is not None] == []
    assert sum(each.accepted is None for each in journal) == 1
    assert sum(each.told is None for each in journal) == 2
    told = [(each.started, each.accepted, each.told) for each in journal if each.accepted and each.told]
    assert all(began <= started <= accepted for started, accepted, _ in told)
    assert all(started <= told_at <= time.time() for started, _, told_at in told)
