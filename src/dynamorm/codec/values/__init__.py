"""Single values: operands and updates, what differs between two states, and the members that a model does not know.

The modules that are named as ``values.operands.encode_operand(...)`` are loaded with their first use, and are plain attributes afterwards: a program
that only reads plain values does not load them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import changes, compressed, normal_form, operands

    __all__ = ["changes", "compressed", "normal_form", "operands"]
else:

    def __getattr__(name: str) -> object:
        if name not in {"changes", "compressed", "normal_form", "operands"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
