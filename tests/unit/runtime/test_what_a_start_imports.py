"""A start takes as long as its imports: what no service uses is not among them."""

import subprocess
import sys

import pytest

LOOK = "import sys, ihala_{service}.__main__; print(*(name for name, module in sys.modules.items() if module))"
# command lines, an exporter that only a collector's address asks for, and what libraries have for others or for tests
NOT_USED = {
    "click",
    "docutils",
    "email_validator",
    "google.protobuf",
    "httpx",
    "jinja2",
    "multiprocessing.pool",
    "opentelemetry.exporter.otlp",
    "orjson",
    "psutil",
    "pydantic.v1",
    "pygments",
    "pytest",
    "requests",
    "rich",
    "typer",
    "uvicorn.supervisors",
    "watchfiles",
    "yaml",
}


@pytest.mark.parametrize("service", ["intake", "referral", "notification"])
def test_a_start_imports_nothing_that_the_service_does_not_use(service: str) -> None:
    command = [sys.executable, "-c", LOOK.format(service=service)]

    said = subprocess.run(command, check=True, capture_output=True, text=True)

    imported = set(said.stdout.split())
    assert "uvicorn.server" in imported
    assert imported & NOT_USED == set()
