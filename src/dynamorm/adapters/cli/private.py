"""Files that hold items: made new, and for who runs the command alone, whatever the umask of the shell is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final, cast

FOLDER: Final = 0o700
"""The mode of a folder of such files."""


def private(path: str, flags: int) -> int:
    """An ``opener``: what it makes may be read by its owner alone."""
    return os.open(path, flags, 0o600)


def new_file(path: Path) -> BinaryIO:
    """A new file to write. What an ended run has left under its name is removed: a link there is not followed, nor a mode kept.

    Raises: OSError, also where somebody else makes it meanwhile.
    """
    path.unlink(missing_ok=True)
    return cast("BinaryIO", open(path, "xb", opener=private))
