"""How each Python type is stored: the shapes that write the generated code, and the text of numbers and times.

The modules that are named as ``types.containers.ListShape(...)`` are loaded with their first use, and are plain attributes afterwards: a program
that only reads plain values does not load them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import containers, jsontext, unions

    __all__ = ["containers", "jsontext", "unions"]
else:

    def __getattr__(name: str) -> object:
        if name not in {"containers", "jsontext", "unions"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
