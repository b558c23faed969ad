"""What an object changes of its stored item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.codec.state import Held
from dynamorm.codec.strict import read_object
from dynamorm.codec.types.document import normal
from dynamorm.errors import ValidationError

from .unhooked import without_hook

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec


def difference(codec: ModelCodec, obj: Any) -> tuple[dict[str, dict[str, Any] | None], dict[str, Any]]:
    """See `ModelCodec.compare`."""
    new = codec.encode(obj)
    raw = codec.loaded(obj)
    if raw is None:
        return dict(new), {}
    if raw.__class__ is Held:
        codec.inner.fill(obj, new, raw)
    old = _loaded(codec, raw)
    changed: dict[str, dict[str, Any] | None] = {name: one for name, one in new.items() if old.get(name) != one}
    changed |= {name: None for name in old if name not in new}
    if codec.upgrades is not None and codec.upgrades.is_former(raw):  # it is stored as a whole in the newest version
        for name, is_stored in codec.upgrades.touched(raw).items():
            old.pop(name, None)
            if name in new:
                changed[name] = new[name]
            elif is_stored:
                changed[name] = None
    return changed, old


def _loaded(codec: ModelCodec, raw: bytes) -> dict[str, Any]:
    """What `difference` would encode of the loaded state, also where that breaks a constraint of today."""
    decode = codec.decode_loaded or codec.decode
    if codec.record.loaded_hook is not None:  # what the hook has changed since is a change
        decode = without_hook(decode)
    base = decode(bytes(raw) if raw.__class__ is Held else raw)
    try:
        wire = (codec.encode_loaded or codec.encode)(base)
    except ValidationError:
        wire = _each(codec, raw, base)
    if raw.__class__ is Held:
        codec.inner.fill(base, wire, codec.loaded(base))
    return wire


def _each(codec: ModelCodec, raw: bytes, base: Any) -> dict[str, Any]:
    """What is encoded of a state that breaks a constraint, attribute by attribute."""
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
