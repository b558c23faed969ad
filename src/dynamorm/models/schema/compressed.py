"""`Compressed`, the option of a field whose long values are stored compressed: plain data, checked where it is written."""

from __future__ import annotations

from typing import Any, Final, Literal

from dynamorm.arguments import type_given
from dynamorm.errors import ModelError

ALGORITHMS: Final = ("gzip", "zstd")
LARGEST: Final = 16 * 1024 * 1024


class Compressed:
    """Field option: a value of more than ``above`` bytes is stored compressed, as one binary attribute.

    It is for texts, bytes and documents (lists, maps, nested models, `Json`). ``algorithm`` is ``"gzip"``, or ``"zstd"``, which needs
    ``pip install dynamorm-py[zstd]`` before Python 3.14. What is stored plain, or by the other algorithm, is read as well, so the option
    can be given to a field that has values. A value stays plain where it would not become smaller.

    DynamoDB cannot look into what is compressed: no condition compares the field (``exists()`` and ``not_exists()`` can be
    asked), updates set and remove it as a whole, and it is a part of no key. ``limit`` is the most bytes that a value may have before it
    is compressed; what would become more when it is read is refused, and not made.

    Raises: ModelError.

    Example: ``page: Attr[str] = attr(Compressed("gzip", above=1024))``
    """

    __slots__ = ("above", "algorithm", "limit")

    def __init__(self, algorithm: Literal["gzip", "zstd"] = "gzip", *, above: int = 1024, limit: int = LARGEST) -> None:
        given: Any = algorithm
        if given.__class__ is not str or given not in ALGORITHMS:
            raise ModelError(f'the algorithm of Compressed is "gzip" or "zstd", not {_shown(given)}')
        for name, number, least in (("above", above, 0), ("limit", limit, 1)):
            if number.__class__ is not int or number < least:
                raise ModelError(f"{name} of Compressed is a number of bytes, {least} or more, not {_shown(number)}")
        if limit < above:
            raise ModelError(f"limit of Compressed is at least what above is, {above} bytes, not {limit}")
        self.algorithm: str = algorithm
        self.above: int = above
        self.limit: int = limit

    def __repr__(self) -> str:
        return f"Compressed({self.algorithm!r}, above={self.above})"


def _shown(given: Any) -> str:
    return repr(given) if given.__class__ in (str, int) else type_given(given)
