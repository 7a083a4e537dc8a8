"""Where the checkout is, for the commands that work on it."""

from pathlib import Path


def checkout_of(module_file: Path) -> Path:
    """The folder with uv.lock above the module; the current folder when the package is installed elsewhere."""
    for folder in module_file.resolve().parents:
        if (folder / "uv.lock").exists():
            return folder
    return Path.cwd()


CHECKOUT = checkout_of(Path(__file__))
