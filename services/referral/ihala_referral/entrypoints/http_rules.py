"""Rule sets over HTTP: which there are, loading another, trying it on past cases, putting one in force.

A version never changes once it is here; loading the same text again is no change.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Request
from ihala_events.wire import rfc3339
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import body_of
from ihala_runtime.problem import FieldError, Problem, parse_body
from pydantic import TypeAdapter

from ihala_referral.adapters.past_cases import kept_cases, past_case, referral_ids
from ihala_referral.adapters.rule_rows import StoredRules, activate_rules, keep_rules, rule_text, stored_rules
from ihala_referral.domain.comparison import Comparison, compared
from ihala_referral.domain.errors import NotYetValid, RuleSetError
from ihala_referral.domain.rules import VERSION, RuleSet
from ihala_referral.entrypoints.doors import Doors, doors_of
from ihala_referral.handlers.activate_rules import check_activation
from ihala_referral.handlers.compare_rules import CompareRules, begin_comparison
from ihala_referral.handlers.load_rules import read_rules, rule_problems

router = APIRouter(prefix="/v1/rules", tags=["rules"])

Reader = Annotated[Principal, allow("desk", "operator", "protection")]
Operator = Annotated[Principal, allow("operator")]

_COMPARE = TypeAdapter(CompareRules)

TOML_BODY = {"requestBody": {"required": True, "content": {"application/toml": {"schema": {"type": "string"}}}}}


@router.get("")
async def listed(request: Request, _principal: Reader) -> dict[str, Any]:
    """Every version, the newest first; `active` is the one in force."""
    doors = doors_of(request)
    async with doors.database.connection() as connection:
        active = (await doors.environment.snapshot(connection)).world.rules.version
        found = await stored_rules(connection)
    return {"items": [_shown(each, active) for each in found], "next_cursor": None}


@router.get("/{version}")
async def one(request: Request, version: str, _principal: Reader) -> dict[str, Any]:
    """A version with its text, and what the lint warns of."""
    return await _one(request, version)


@router.put("/{version}", openapi_extra=TOML_BODY)
async def load(request: Request, version: str, principal: Operator) -> dict[str, Any]:
    """Load a rule file (TOML) beside the others; each wrong row is an entry of `errors`, named by its id."""
    doors, raw = doors_of(request), await request.body()
    try:
        rules = await asyncio.to_thread(read_rules, raw, version)
    except RuleSetError as error:
        raise Problem.invalid(FieldError(*each) for each in rule_problems(error)) from None
    async with doors.database.transaction() as work:
        if not await keep_rules(work.conn, rules, raw.decode(), principal.actor):
            raise Problem.conflict("version-exists", "This version has another text; give the file a new version.")
    return await _one(request, version)


@router.post("/{version}/activate")
async def activate(request: Request, version: str, principal: Operator) -> dict[str, Any]:
    """Route by this version from now on, in every copy of the service."""
    doors, rules = doors_of(request), await _rules(request, version)
    now = doors.environment.clock.now()
    async with doors.database.transaction() as work:
        snapshot = await doors.environment.snapshot(work.conn)
        try:
            check_activation(rules, snapshot.world.calendar.local_date(now))
        except NotYetValid as error:
            raise Problem.conflict("not-yet-valid", str(error)) from None
        if snapshot.activated_rules != version:
            await activate_rules(work.conn, version, principal.actor, now)
    return await _one(request, version)


@router.post("/compare", openapi_extra=body_of(CompareRules))
async def compare(request: Request, _principal: Operator) -> dict[str, Any]:
    """What would have gone elsewhere: counts, and examples by id; of a case with a restricted need the counts alone."""
    doors, wanted = doors_of(request), parse_body(_COMPARE, await request.body())
    async with doors.database.connection() as connection:
        old, new = [await _named(doors, connection, *each) for each in (("/old", wanted.old), ("/new", wanted.new))]
        world = (await doors.environment.snapshot(connection)).world
    comparison = begin_comparison(old, new, world)
    async for rows in kept_cases(doors.database):  # in another thread: live routing goes on between and beside
        await asyncio.to_thread(_add, comparison, rows)
    async with doors.database.connection() as connection:
        ids = await referral_ids(connection, [each.case_id for each in comparison.examples])
    return compared(comparison, ids)


def _add(comparison: Comparison, rows: Sequence[asyncpg.Record]) -> None:
    comparison.add_all(map(past_case, rows))


async def _named(doors: Doors, connection: asyncpg.Connection, pointer: str, version: str) -> RuleSet:
    rules = await doors.environment.rules(connection, version) if VERSION.fullmatch(version) else None
    if rules is None:
        raise Problem.invalid([FieldError(pointer, "unknown-version", "is not a version that is here")])
    return rules


async def _rules(request: Request, version: str) -> RuleSet:
    doors = doors_of(request)
    async with doors.database.connection() as connection:
        rules = await doors.environment.rules(connection, version) if VERSION.fullmatch(version) else None
    if rules is None:
        raise Problem.not_found()
    return rules


async def _one(request: Request, version: str) -> dict[str, Any]:
    rules, doors = await _rules(request, version), doors_of(request)
    async with doors.database.connection() as connection:
        active = (await doors.environment.snapshot(connection)).world.rules.version
        (stored,) = await stored_rules(connection, version)
        content = await rule_text(connection, version)
    return {**_shown(stored, active), "warnings": list(rules.warnings), "content": content}


def _shown(stored: StoredRules, active: str) -> dict[str, Any]:
    """by: who activated it last."""
    at = stored.activated_at
    return {
        "version": stored.version,
        "valid_from": stored.valid_from.isoformat(),
        "sha256": stored.sha256,
        "state": "active" if stored.version == active else "loaded" if stored.loaded_by else "shipped",
        "loaded_by": stored.loaded_by,
        "activated_at": rfc3339(at) if at else None,
        "by": stored.activated_by,
    }
