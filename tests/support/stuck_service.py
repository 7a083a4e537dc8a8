"""A service whose stop never ends by itself, to run as a program: ``python stuck_service.py MIGRATIONS``."""

import asyncio
import sys
from pathlib import Path

from ihala_runtime import service
from ihala_runtime.postgres import Database
from ihala_runtime.service import Parts
from ihala_runtime.settings import ServiceSettings


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


if __name__ == "__main__":
    service.STOP_SECONDS = 1.0
    settings = ServiceSettings()
    database = Database(settings.postgres_dsn, "stuck")
    service.run(Parts("stuck", "Stuck", settings, database, Path(sys.argv[1]), finish=[wait_for_ever]))
