"""Every HTTP call of every service, with what its own document forbids: refused with a reason, and no trace of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import psutil
import pytest
from schemathesis import APIOperation
from support.bad_calls import Abuser, Call, drawn, operations
from support.intakes import a_person
from support.memory import watched
from support.people import People, intake_of, people_of
from support.system import System, running

SERVICES = ("intake", "referral", "notification")
CALLS, CALLS_OF_A_LONG_RUN = 30, 900  # of each operation; a long run makes 100,000 of them
MAX_GROWTH = 60 * 1024 * 1024  # of the service's memory, however many calls
AGENCY, STOPPED = "essp-agd-agadir", "essp-agd-drargua"

FAR = "20143535735357112782883389440"
ONCE_ANSWERED_500: list[tuple[str, str, str, str, Any]] = [
    ("intake", "operator", "POST", "/v1/replay", {"topics": ["x"], "until": "9999-12-31T23:59:59-23:59"}),
    ("intake", "operator", "POST", "/v1/replay", {"topics": ["a\0b"]}),
    ("intake", "operator", "POST", "/v1/parked/groups/retry", {"consumer": "\0", "error_class": "x"}),
    ("intake", "operator", "GET", "/v1/reconciliation?since=0001-01-01T00:00:00%2B14:00&until=2026-01-01T00:00Z", None),
    ("notification", "operator", "GET", f"/v1/deliveries?cursor={FAR}", None),
    ("notification", "desk", "GET", f"/v1/tasks?cursor={FAR}", None),
]


@pytest.fixture(scope="module")
def abused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Some of what is drawn is allowed, and changes the directory: a system of its own."""
    with running(tmp_path_factory.mktemp("abused")) as system:
        yield system


@pytest.fixture
async def people(abused: System) -> AsyncIterator[People]:
    async with people_of(abused) as found:
        yield found


@pytest.fixture
def calls(request: pytest.FixtureRequest) -> int:
    return CALLS_OF_A_LONG_RUN if request.config.getoption("--long") else CALLS


@pytest.mark.timeout(5_400)
@pytest.mark.parametrize("service", SERVICES)
async def test_bad_calls_are_refused_with_a_reason_and_leave_no_trace(
    abused: System, people: People, service: str, calls: int, seed: int
) -> None:
    keys = {role: key for role, key in abused.endpoints["credentials"].items() if role != "partners"}
    keys["agency"] = abused.endpoints["credentials"]["partners"][AGENCY]
    pids = {name: abused.pid_of(f"{name}-1") for name in SERVICES}
    base, dsn = abused.endpoints[service], abused.endpoints["postgres"][service]
    kept = aiohttp.TCPConnector(keepalive_timeout=2)  # drawing may take as long as a service keeps an idle connection
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60), connector=kept) as session:
        abuser = Abuser(session, base, dsn, keys, seed)
        async with session.get(f"{base}/openapi.json") as answer:
            described = operations(await answer.json())
        async with watched(psutil.Process(pids[service])) as rss:
            for operation in described:
                await abuser.abuse(await some_of(operation, calls, seed, people))

    growth = max(rss) - rss[0]
    print(f"\n{service}: {abuser.tally}, {growth >> 20} MB more")  # noqa: T201
    assert growth < MAX_GROWTH
    assert not abuser.tally.findings, str(abuser.tally)
    assert abuser.tally.calls >= 0.9 * calls * len(described)  # a few the client itself does not send
    assert abuser.tally.refused_groups > len(described) // 4
    assert pids == {name: abused.pid_of(f"{name}-1") for name in SERVICES}
    await still_works(people)


@pytest.mark.parametrize(("service", "role", "method", "path", "body"), ONCE_ANSWERED_500)
async def test_what_was_once_an_error_of_ours_is_one_of_the_callers(
    people: People, service: str, role: str, method: str, path: str, body: Any
) -> None:
    status, problem, _ = await people.as_role(role, service).call(method, path, body)

    assert (status, problem["status"]) == (422, 422)


async def some_of(operation: APIOperation[Any, Any, Any, Any], count: int, seed: int, people: People) -> list[Call]:
    """Half of them to a case of their own, since some calls end one."""
    known = {"partner_id": STOPPED if "stop" in operation.path else AGENCY}
    if "{case_ref}" in operation.path or "{referral_id}" in operation.path:
        case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))
        (referral,) = await people.routed(case["case_ref"])
        known |= {"case_ref": case["case_ref"], "referral_id": referral["referral_id"]}
    return await asyncio.to_thread(drawn, operation, count, seed, known)


async def still_works(people: People) -> None:
    case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))
    (referral,) = await people.routed(case["case_ref"])
    assert await people.told(referral["referral_id"])
