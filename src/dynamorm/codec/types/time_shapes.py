"""The shapes of datetimes that an option stores as a number, or as text of a format. Used only by models that have one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from .mismatch import Mismatch
from .shapes import Scalar
from .times import Real, in_utc

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import TimeForm


def shape_of(form: TimeForm) -> Scalar:
    """The shape of a datetime in this form."""

    def written(value: Any) -> str:
        if not isinstance(value, datetime):
            raise Mismatch("datetime", value)
        utc = in_utc(value)
        try:
            return form.written(utc)
        except (OverflowError, ValueError):
            raise Mismatch("a datetime between the years 1 and 9999 in its zone", value) from None

    def read(text: str) -> datetime:
        try:
            return form.read(text)
        except (ValueError, OverflowError):
            raise Mismatch(f"a time as {form!r} writes it", text, "another one") from None

    shape = Scalar(
        "datetime", form.tag, "{time_text}({v})", "{time_of}({x})", names={"time_text": written, "time_of": read},
        classes=(Real.datetime,),
    )  # fmt: skip
    shape.form = form
    if form.unsorted:
        shape.remedy = form.unsorted
    return shape
