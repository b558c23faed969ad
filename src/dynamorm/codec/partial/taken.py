"""Part of an object that was read as a whole, as a partial one. It must not know verbs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from .partial_class import open_class, partial_class, seal

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec


def taken(codec: ModelCodec, obj: Any, stored: Collection[str]) -> Any:
    """A partial object of the key, and of the fields with these stored names, of an object of the codec's model, or of a subclass.

    Example: ``taken(codec, payment, {"amount"}).amount``
    """
    own = codec if type(obj) is codec.model else codec.codec_of(type(obj))
    wanted = {field.name for field in own.keys.fields}
    wanted |= {name for name, plan in own.plans.items() if plan.stored in stored}
    parts = {part for name in wanted if name in own.composites for part in own.composites[name].made.fields}
    names = tuple(name for name in own.plans if name in (wanted | parts) and name not in own.composites)
    partial = partial_class(own.model, names)
    found = object.__new__(open_class(partial))
    found.__loaded__ = None
    for name in names:
        setattr(found, name, getattr(obj, name))
    seal(found, partial)
    object.__setattr__(found, "__loaded__", own.loaded(obj))  # it has the spelling of the key
    return found
