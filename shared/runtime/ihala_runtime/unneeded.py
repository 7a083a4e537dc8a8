"""What libraries import at every start and a service never uses: a twentieth of the start, or more.

``leave_out`` comes before the libraries do. A module that is ``None`` cannot be imported, which each of them expects.
"""

import sys
from types import ModuleType

# FastAPI asks whether a model is one of the old pydantic's; OpenTelemetry names the machine's processes.
NOT_THERE = ("pydantic.v1", "psutil")


def leave_out() -> None:
    for name in NOT_THERE:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.modules["uvicorn.main"] = _command_line()


def _command_line() -> ModuleType:
    """In place of uvicorn's, which the package names: it would bring click. Who serves takes ``uvicorn.server``."""
    module = ModuleType("uvicorn.main")
    for name in ("Server", "main", "run"):
        setattr(module, name, None)
    return module
