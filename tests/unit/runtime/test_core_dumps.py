"""A crash of a service leaves no core (G7: it would hold names and keys)."""

import subprocess
import sys

import pytest

PR_GET_DUMPABLE = 3

LOOK = """
import ctypes, resource
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl({question}, 0, 0, 0, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("service", ["intake", "referral", "notification"])
def test_a_service_leaves_no_core_from_its_first_line_on(service: str) -> None:
    look = f"import ihala_{service}.__main__" + LOOK.format(question=PR_GET_DUMPABLE)

    said = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)

    assert said.stdout.strip() == "(0, 0) 0"
