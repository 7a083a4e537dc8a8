"""The desks' tasks over HTTP: whom to tell something, and what became of it. No number, no name, no need."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from ihala_events.vocabulary import PARTY_ID_PATTERN
from ihala_events.wire import Request as Body
from ihala_runtime.access import Principal, allow
from ihala_runtime.http import IdempotencyKey, body_of
from ihala_runtime.postgres import MAX_BIGINT, Database
from ihala_runtime.problem import Problem, parse_body
from pydantic import TypeAdapter

from ihala_notification.adapters.person_messages import KeyReused, PostgresPersonMessages, TaskEnded
from ihala_notification.domain.person_message import Result, State, answered

Desk = Annotated[Principal, allow("desk")]


class DoneBody(Body):
    """not_reached: the task stays, and counts it.  wrong_number: it ends; the case is to be corrected."""

    result: Result


BODY = TypeAdapter(DoneBody)


def tasks_router(database: Database, messages: PostgresPersonMessages) -> APIRouter:
    router = APIRouter(prefix="/v1/tasks", tags=["tasks"])

    @router.get("")
    async def tasks(
        caller: Desk,
        state: State = State.PENDING,
        desk_id: Annotated[str | None, Query(pattern=PARTY_ID_PATTERN)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[int | None, Query(ge=1, le=MAX_BIGINT)] = None,
    ) -> dict[str, Any]:
        """Whom the desk is to tell something, newest first; the number stands in the case."""
        rows = await messages.tasks(_desks(caller, desk_id), state.value, cursor, limit)
        return {
            "items": [_shown(row) for row in rows],
            "next_cursor": rows[-1]["position"] if len(rows) == limit else None,
        }

    @router.post("/{task_id}/done", openapi_extra=body_of(DoneBody))
    async def done(request: Request, caller: Desk, task_id: UUID, key: IdempotencyKey) -> dict[str, Any]:
        """The desk told the person, or could not."""
        result = parse_body(BODY, await request.body()).result
        async with database.transaction() as work:
            task = await messages.lock_task(work, task_id, caller.desk_ids)
            if task is None:
                raise Problem.not_found()
            try:
                if await messages.is_repeated(work, caller.credential_id, key, task_id, result):
                    return _shown(task)
                return _shown(await messages.answer(work, task_id, answered(result)))
            except KeyReused:
                raise Problem.conflict(
                    "idempotency-key-reused", "The Idempotency-Key was used for another answer."
                ) from None
            except TaskEnded:
                raise Problem.conflict("task-ended", "It needs no telling any more.") from None

    return router


def _desks(caller: Principal, desk_id: str | None) -> frozenset[str]:
    """Raises Problem 404 for another's."""
    if desk_id is None:
        return caller.desk_ids
    if desk_id not in caller.desk_ids:
        raise Problem.not_found()
    return frozenset({desk_id})


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    hidden = {"message_id", "position"}
    return {"task_id": row["message_id"], **{name: value for name, value in row.items() if name not in hidden}}
