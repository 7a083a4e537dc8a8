"""The words a person is told, for a desk that calls or passes a message on."""

from typing import Annotated, Any

from fastapi import APIRouter
from ihala_runtime.access import Principal, allow

from ihala_notification.domain.wording import Messages


def wording_router(messages: Messages) -> APIRouter:
    router = APIRouter(prefix="/v1/wording", tags=["wording"])

    @router.get("")
    async def wording(_principal: Annotated[Principal, allow("desk", "operator", "protection")]) -> dict[str, Any]:
        """Every text by kind and language; `{case_ref}` is all that is put in."""
        return {"items": [{"kind": kind, **texts} for kind, texts in messages.items()], "next_cursor": None}

    return router
