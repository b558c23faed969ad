"""The draft of a save."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.codec.library_attributes import merged
from dynamorm.codec.placing import place_changes, place_values
from dynamorm.codec.state import Held
from dynamorm.codec.strict import read_object
from dynamorm.engine.sizes import MAX_ITEM
from dynamorm.models.schema.overriding import override

from .draft import Wires, WriteDraft
from .write import NOT_READ

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Field

    from .within import Within


class SaveDraft(WriteDraft):
    """The draft of a save: ``changes`` by stored name, None to remove.

    Beside them: ``tails``, what is appended to lists that grew; ``shown``, defaults that the object shows and nothing
    stores; ``inside``, what changed inside attributes; ``stamped`` and ``times``, what the library sets.
    """

    changes: Wires
    tails: Mapping[str, dict[str, Any]] = {}
    shown: Mapping[str, dict[str, Any]] = {}
    inside: Within | None = None
    stamped: dict[str, Any]
    times: dict[str, Any]

    @override
    def after(self, *names: str) -> dict[str, dict[str, Any] | None]:
        stored = read_object((self.loaded if self.stored is NOT_READ else self.stored) or b"{}")
        changed = self.changes if self.inside is None else {**self.changes, **self.inside.left()}
        return {name: changed[name] if name in changed else stored.get(name) for name in self._stored_names(names)}

    @override
    def _stamp(self, name: str, wire: dict[str, Any] | None) -> None:
        self.stamped[name] = wire

    @override
    def _store(self, field: Field, wire: dict[str, Any] | None) -> None:
        name = field.stored
        self.changes[name] = wire
        # It is written whole, and not what the caller has changed inside it.
        self.tails = {stored_name: tail for stored_name, tail in self.tails.items() if stored_name != name}
        self.shown = {stored_name: default for stored_name, default in self.shown.items() if stored_name != name}
        if self.inside is not None and name in self.inside.edits:
            del self.inside.edits[name]
            if not self.inside.edits:
                self.inside = None

    def place(self) -> None:
        """Give what is written the form that it has in this item."""
        codec, scope = self.plan.codec, self.context.scope
        if self.shown:
            shown = dict(self.shown)
            place_values(codec, shown, self.key, scope, read_object(self.loaded) if codec.depends else None)  # type: ignore[arg-type] # as below
            self.shown = shown
        stored = {} if codec.whole is None and not codec.depends else read_object(self.loaded) | dict(self.shown)  # type: ignore[arg-type] # of loaded objects
        place_changes(codec, self.changes, self.key, scope, stored=stored, stamped=self.stamped)
        if codec.whole is not None and codec.whole.names:  # it may be made anew without a new version
            self.pin({name: stored.get(name) for name in codec.whole.names})
        if self.late:
            before = read_object((self.loaded if self.stored is NOT_READ else self.stored) or b"{}")
            after = {**before, **self.shown, **self.changes}
            self.stamped |= {stamp.name: stamp.wire(after) for stamp in self.late}

    def update_text(self) -> str:
        """The text of the update expression."""
        places, inside, tails = self.places, self.inside, self.tails
        sets: list[str] = []
        removes: list[str] = []
        if self.shown:  # without a version somebody may have stored another value since
            sets += [
                f"{places.name(name)} = if_not_exists({places.name(name)}, {places.value(wire)})"
                for name, wire in self.shown.items()
            ]
        if inside is not None:
            inside.write(places, sets, removes)
        for name, new in {**self.changes, **self.stamped}.items():
            if inside is not None and name in inside.edits:
                continue
            if new is None:
                removes.append(places.name(name))
            elif name in tails:
                sets.append(f"{places.name(name)} = list_append({places.name(name)}, {places.value(tails[name])})")
            else:
                sets.append(f"{places.name(name)} = {places.value(new)}")
        text = "SET " + ", ".join(sets) if sets else ""
        if removes:
            text += (" REMOVE " if text else "REMOVE ") + ", ".join(removes)
        return text

    def item_after(self) -> bytes:
        """The item as it will be stored. Raises: ItemTooLarge."""
        codec, loaded = self.plan.codec, self.loaded
        assert loaded is not None  # only loaded objects have drafts of saves
        item = merged(loaded, {**self.shown, **self.changes, **self.stamped})
        if len(item) > MAX_ITEM:
            codec.item_bytes(read_object(item))
        return codec.inner.held(self.obj, item) if loaded.__class__ is Held else item
