"""A crash leaves no core: it would hold keys, and the names that were being read.

A limit of 0 alone does not keep the kernel from handing a core to a program (`core_pattern` with a pipe); a process
that is not dumpable gets none at all.
"""

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4  # linux/prctl.h


def refuse() -> None:
    """For this process and, as far as the limit goes, those that it starts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
