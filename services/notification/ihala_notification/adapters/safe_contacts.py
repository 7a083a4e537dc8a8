"""Asks intake how a person may be reached, at the moment of telling; the answer is passed on and not kept.

Intake writes each reading into its audit trail.
"""

from pathlib import Path

import aiohttp
from ihala_runtime.logs import logger
from pydantic import ValidationError

from ihala_notification.adapters.key_files import bearer
from ihala_notification.domain.person_message import SafeWay
from ihala_notification.handlers.tell_person import ContactUnknown

TIMEOUT = aiohttp.ClientTimeout(total=5)

_log = logger(__name__)


class IntakeContacts:
    """key_file: a key of role `service`, read again each time, so that a new one needs no restart."""

    def __init__(self, intake_url: str, key_file: Path) -> None:
        self._cases = f"{intake_url.rstrip('/')}/v1/cases"
        self._key_file = key_file
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def way_to(self, case_ref: str) -> SafeWay | None:
        try:
            return await self._asked(case_ref)
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
            _log.warning("intake did not tell a contact", action="person.contact", error_class=type(error).__name__)
            raise ContactUnknown from None

    async def _asked(self, case_ref: str) -> SafeWay | None:
        self._session = self._session or aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False)
        headers = bearer(self._key_file)
        async with self._session.get(f"{self._cases}/{case_ref}/contact", headers=headers) as answer:
            if answer.status == 404:
                return None
            answer.raise_for_status()
            return SafeWay.model_validate_json(await answer.read())
