"""Keys that a deployer keeps in files, for whoever this service calls."""

from pathlib import Path


def bearer(key_file: Path) -> dict[str, str]:
    """Request headers.  Raises OSError without the file."""
    return {"Authorization": f"Bearer {key_file.read_text(encoding='ascii').strip()}"}
