"""What a process took counts with what its children took, those that have ended among them."""

import subprocess
import sys

from benchmarks.systems import cpu_seconds

BUSY = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BUSY!r}], check=True)
print("ended", flush=True)
sys.stdin.read()
"""


def test_the_time_of_a_child_that_has_ended_is_counted() -> None:
    """The backends and the workers of PostgreSQL come and go."""
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ended\n"

        assert cpu_seconds({"it": process.pid})["it"] >= 0.3

        process.communicate("")
