"""Where a licence is found: in ``DYNAMORM_LICENSE``, or in the file that ``DYNAMORM_LICENSE_FILE`` names. It must not judge it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from dynamorm.errors import LicenseError

from .token import LONGEST

TEXT = "DYNAMORM_LICENSE"
FILE = "DYNAMORM_LICENSE_FILE"


def found(environ: Mapping[str, str] | None = None) -> str | None:
    """The text of the licence that the environment has, None for none.

    Raises: LicenseError where both variables are set, and for a file that cannot be read, or that others may read.
    """
    environ = os.environ if environ is None else environ
    text, path = environ.get(TEXT, "").strip(), environ.get(FILE, "").strip()
    if text and path:
        raise LicenseError(f"{TEXT} and {FILE} are both set: which licence is meant? Unset one of them")
    if path:
        return of_file(path)
    return text or None


def of_file(path: str) -> str:
    """The text in a file. Raises: LicenseError."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - its mode must be that of what is read
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise LicenseError(f"{FILE} names what is no plain file")
            if os.name == "posix" and mode & 0o077:
                raise LicenseError(f"the file that {FILE} names may be read by others of this machine: chmod 600")
            raw = file.read(LONGEST + 3)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        try:
            return raw.decode("ascii").strip()
        except UnicodeDecodeError:
            raise LicenseError(f"the file that {FILE} names holds no licence, which is ASCII") from None
    raise LicenseError(f"the file that {FILE} names cannot be read: {problem}")
