"""``python -m dynamorm license``: what the licence of the environment, or of a file, says. The licence itself is never shown."""

from __future__ import annotations

import sys
import time

from dynamorm.errors import LicenseError
from dynamorm.errors.usage import OneLine

from . import sources
from .keys import TESTING_KID
from .token import Licence, day, read


def main(arguments: list[str]) -> int:
    """Run the command. Returns 0 for a licence that is valid now, 1 for one that is not, and where there is none."""
    parser = OneLine(prog="python -m dynamorm license", description="Show what a licence says.")
    parser.add_argument("--file", help=f"the file it is in, in place of {sources.TEXT} and {sources.FILE}")
    given = parser.parse_args(arguments)
    now = time.time()
    try:
        text = sources.found() if given.file is None else sources.of_file(given.file)
        if text is None:
            sys.stderr.write(f"there is no licence: {sources.TEXT} and {sources.FILE} are not set\n")
            return 1
        licence = read(text, loopback=True)
        sys.stdout.write(_told(licence))
        licence.check_time(now)
    except LicenseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    end = f"until {day(licence.exp + licence.grace)}, in its time of grace" if licence.in_grace(now) else "now"
    sys.stdout.write(f"valid     {end}\n")
    return 0


def _told(licence: Licence) -> str:
    """The lines that say what a licence says."""
    key = f"{licence.kid} (for engines on this machine alone)" if licence.kid == TESTING_KID else licence.kid
    rows = {
        "licence": licence.lid,
        "of": licence.sub,
        "features": ", ".join(licence.feat) or "none",
        "issued": day(licence.iat),
        "from": day(licence.nbf),
        "to": day(licence.exp),
        "grace": f"{licence.grace // 86400} days",
        "key": key,
    }
    return "".join(f"{name:<9} {''.join(filter(str.isprintable, text))}\n" for name, text in rows.items())
