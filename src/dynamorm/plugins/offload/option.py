"""`Offloaded`, the option of a field whose large values are stored in S3: plain data, checked where it is written."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from dynamorm.arguments import type_given
from dynamorm.errors import ModelError

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,200}")
LARGEST: Final = 64 * 1024 * 1024

OnMissing = Literal["raise", "mark"]


class Offloaded:
    """Field option: a value of more than ``above`` bytes is stored as an object in S3, and the item names it.

    It is for texts, bytes and documents. The database needs the plugin: ``db.use(Offload(client))``. What is stored in the item is read as
    before, so the option can be given to a field that has values.

    ``prefix`` stands before the keys of all objects. ``limit`` is the most bytes that a value may have. ``on_missing="mark"``
    gives a `MissingObject` in the place of a value whose object is not there, such as that of an old image in a stream; else it is
    `ObjectMissing`.

    No condition compares such a field (``exists()`` and ``not_exists()`` can be asked), updates set and remove it as a whole, and it
    is a part of no key, not unique, and not encrypted by the library.

    Raises: ModelError.

    Example: ``report: Attr[bytes] = attr(Offloaded("reports-bucket", above=100_000))``
    """

    __slots__ = ("above", "bucket", "limit", "marks", "prefix")

    claimed_by = "db.use(Offload(client))"

    def __init__(
        self,
        bucket: str,
        *,
        above: int = 100_000,
        prefix: str = "dynamorm/",
        limit: int = LARGEST,
        on_missing: OnMissing = "raise",
    ) -> None:
        name: Any = bucket
        if name.__class__ is not str or _BUCKET.fullmatch(name) is None:
            raise ModelError(
                "the bucket of Offloaded is its name, 3 to 63 of a-z 0-9 . and -, not "
                + (repr(name) if name.__class__ is str else type_given(name))
            )
        if (start := _text(prefix)) is None or _PREFIX.fullmatch(start) is None:
            raise ModelError(
                "prefix of Offloaded is what the keys of its objects begin with, of at most 200 letters, digits, and ! _ . * ' ( ) / -"
            )
        for what, number, least in (("above", above, 0), ("limit", limit, 1)):
            if number.__class__ is not int or number < least:
                raise ModelError(f"{what} of Offloaded is a number of bytes, {least} or more")
        if limit < above:
            raise ModelError(f"limit of Offloaded is at least what above is, {above} bytes, not {limit}")
        if on_missing not in ("raise", "mark"):
            raise ModelError('on_missing of Offloaded is "raise" or "mark"')
        self.bucket: str = bucket
        self.above: int = above
        self.prefix: str = prefix
        self.limit: int = limit
        self.marks: bool = on_missing == "mark"

    def __repr__(self) -> str:
        return f"Offloaded({self.bucket!r}, above={self.above})"


def _text(given: Any) -> str | None:
    return given if given.__class__ is str else None
