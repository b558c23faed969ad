"""What an object changes of its stored item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ValidationError

from .document import normal
from .replies import read_object

if TYPE_CHECKING:
    from .generate import Codec


def difference(codec: Codec, obj: Any) -> dict[str, dict[str, Any] | None]:
    """See `Codec.changes`."""
    new = codec.encode(obj)
    raw = codec.loaded(obj)
    if raw is None:
        return dict(new)
    old = _loaded(codec, raw)
    changed: dict[str, dict[str, Any] | None] = {name: one for name, one in new.items() if old.get(name) != one}
    return changed | {name: None for name in old if name not in new}


def _loaded(codec: Codec, raw: bytes) -> dict[str, Any]:
    """What `encode` would make of the loaded state, also where that breaks a constraint of today."""
    base = codec.decode(raw)
    try:
        return codec.encode(base)
    except ValidationError:
        pass
    stored = read_object(raw)
    wire: dict[str, Any] = {}
    for plan in codec.record.plans:
        try:
            one = codec.encode_field(plan.name, getattr(base, plan.name))
        except ValidationError:
            one = normal(stored[plan.stored]) if plan.stored in stored else None
        if one is not None:
            wire[plan.stored] = one
    return wire
