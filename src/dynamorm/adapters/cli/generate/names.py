"""Names in the code that is written: of fields and classes, and the literals that strangers' names stand in."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from dynamorm.models.model import Model

_IMPORTED: Final = (
    "Any", "Attr", "Codec", "Decimal", "Encrypted", "Json", "Model", "annotations", "attr", "datetime", "gsi", "lsi",
    "partition_key", "sort_key",
)  # fmt: skip
_TYPES: Final = ("bool", "bytes", "dict", "int", "list", "set", "str")
_NEEDED: Final = ("mro", "self", "MISSING")
TAKEN: Final = frozenset(
    {*keyword.kwlist, *keyword.softkwlist, *dir(Model), *dir(type(Model)), *_IMPORTED, *_TYPES, *_NEEDED}
)
"""What no field is called: the body of the class needs the name itself."""
_LONGEST: Final = 100


def field_names(
    attributes: Iterable[str], called: Mapping[str, str] = MappingProxyType({}), *, snake: bool = False
) -> dict[str, str]:
    """The name of the field of each attribute: its own where it may be one, in snake_case where that is asked for.

    ``called`` is the function that declares an attribute, such as ``version``: that field alone may bear its name.
    """
    taken = {*TAKEN, *called.values()}
    names: dict[str, str] = {}
    for attribute in attributes:
        plain = attribute.isascii() and attribute.isidentifier() and not attribute.startswith("_")
        name = attribute if plain else re.sub(r"\W", "_", attribute, flags=re.ASCII).strip("_") or "field"
        name = snake_case(name) if snake else name
        name = f"f_{name}" if name[0].isdigit() else name[:_LONGEST]
        if called.get(attribute) != name or name in names.values():
            name = free(name, taken)
        names[attribute] = name
        taken.add(name)
    return names


def snake_case(name: str) -> str:
    """``userID`` as ``user_id``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def free(name: str, taken: set[str]) -> str:
    """A name that is not taken, made of this one."""
    if name not in taken:
        return name
    found, number = f"{name}_", 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def class_name(text: str) -> str:
    """The name of a class, made of that of a table or of a model of another language."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", text) if word]
    name = "".join(word[:1].upper() + word[1:] for word in words)[:_LONGEST] or "Item"
    name = f"T{name}" if name[0].isdigit() else name
    return f"{name}_" if name in TAKEN else name


def is_class_name(text: str) -> bool:
    """Whether a class may be called so in the code that is written."""
    return text.isascii() and text.isidentifier() and text not in TAKEN and not text.startswith("__")
