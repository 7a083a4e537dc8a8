"""The running intake service as tests see it."""

from dataclasses import dataclass

from ihala_runtime.postgres import Database
from support.serving import Client

INTEGRATOR = "integrator-test"


@dataclass
class Running:
    """The service, its database, and a client for each role that the tests play."""

    base: str
    bootstrap: str
    database: Database
    keys: Database
    desk: Client
    integrator: Client
    agency: Client
    other_agency: Client
    protection: Client
    other_desk: Client
    nobody: Client
