"""Where a feature asks for the licence: `ask`, at configuration alone, and `is_enterprise`, which only looks.

What is running goes on running, whatever becomes of a licence meanwhile.
"""

from __future__ import annotations

import time

from dynamorm.errors import LicenseError
from dynamorm.errors.log import logger

from . import sources
from .token import Licence, day, read

_said: set[str] = set()


def is_enterprise() -> bool:
    """Whether a licence is present and valid. It never raises.

    The licence is in ``DYNAMORM_LICENSE``, or in the file that ``DYNAMORM_LICENSE_FILE`` names. One of
    `dynamorm.testing.licence` counts here too; the ``enable_...`` methods take it for engines on this machine alone.

    Example::

        if dynamorm.is_enterprise():
            db.enable_encryption()
            db.enable_audit_log()
            db.enable_multi_tenancy()
    """
    try:
        return _present(loopback=True) is not None
    except LicenseError:
        return False


def ask(feature: str, method: str, *, development: bool, loopback: bool) -> None:
    """Ask whether a feature may be enabled.

    A licence that is present is what counts. Without one it may be in ``development``, which is logged once for each feature.
    ``loopback``: the engine is on this machine.

    Raises: LicenseError.
    """
    licence = _present(loopback=loopback)
    if licence is None:
        if not development:
            raise LicenseError(
                f"db.{method}() asks for a licence: set {sources.TEXT}, or {sources.FILE} to a file that holds it"
                " (COMMERCIAL.md); local development needs none, and what is stored can be read without one"
            )
        _say_once(feature, "db.%s() without a licence: that is for local development", method)
        return
    if feature not in licence.feat:
        raise LicenseError(f"the licence {licence.lid} is not for {feature!r}, which db.{method}() enables")
    if licence.in_grace(time.time()):
        _say_once(
            licence.lid,
            "the licence %s has ended on %s; features can be enabled until %s",
            licence.lid,
            day(licence.exp),
            day(licence.exp + licence.grace),
        )


def _present(*, loopback: bool) -> Licence | None:
    """The licence of the environment, None for none. Raises: LicenseError for one that is not valid now."""
    text = sources.found()
    if text is None:
        return None
    licence = read(text, loopback=loopback)
    licence.check_time(time.time())
    return licence


def _say_once(key: str, message: str, *values: str) -> None:
    if key not in _said:
        _said.add(key)
        logger.warning(message, *values)
