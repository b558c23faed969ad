"""Maps with known fields: models, dataclasses, TypedDicts, NamedTuples, msgspec Structs and pydantic models, as M.

It must not know where the annotations come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET as U
from msgspec import UnsetType, defstruct

from dynamorm.codec.placing import NO_SCOPE, Place
from dynamorm.codec.state import Access
from dynamorm.codec.state import Place as Slot
from dynamorm.codec.tours import Tour, Walks, lead
from dynamorm.models.schema.checks import checked
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import LIBRARY_NAMES, SCHEMAS, TOKEN_ATTRIBUTE, Schema
from dynamorm.models.schema.upgrades import SCHEMA_ATTRIBUTE

from . import extras
from .fields import FieldPlan
from .mismatch import misfit
from .shapes import GENERIC, Nullable, Shape, wire_struct
from .source import Source

if TYPE_CHECKING:
    from dynamorm.codec.tours import Walk

# How the objects of a record are made and read.
SLOTS, CALL, DICT, ACCESSED = "slots", "call", "dict", "access"


class Record(Shape):
    """A class with known fields. ``plans`` is filled after it is made, so that a type may refer to itself.

    ``computed`` are the composites of a model: stored beside the fields, and no attributes of their own in Python.
    """

    tag = "M"

    def __init__(self, cls: Any, style: str, *, schema: Schema | None = None, access: Access | None = None) -> None:
        self.cls = cls
        self.style = style
        self.schema = schema
        self.access = access
        self.expected: str = cls.__name__
        self.classes: tuple[Any, ...] = (dict,) if style == DICT else (cls,)
        self.plans: list[FieldPlan] = []
        self.computed: list[FieldPlan] = []
        self.optional: frozenset[str] = frozenset()
        self.arguments: Mapping[str, str] = {}
        self.make: Callable[..., Any] = cls
        self.extras: bool = access is not None and access.extras
        self._wire: Any = None

    @property
    def tagged(self) -> tuple[str, str] | None:
        """The discriminator's stored name and this class's tag."""
        schema = self.schema
        if schema is None or schema.discriminator is None or schema.tag is None:
            return None
        return schema.discriminator, schema.tag

    @cached_property
    def keeps_unknown(self) -> bool:
        """Whether nested objects hold the members that their class does not know: in the slot that items have for their state."""
        schema = SCHEMAS.get(self.cls)
        return self.style == SLOTS and schema is not None and schema.table is None

    @property
    def schema_version(self) -> int | None:
        """The schema version that is stored with each item."""
        return None if self.schema is None or self.schema.table is None else self.schema.schema_version

    def names(self) -> frozenset[str]:
        """Every stored name of the class."""
        extra = {self.tagged[0]} if self.tagged else set()
        if self.schema_version is not None:
            extra.add(SCHEMA_ATTRIBUTE)
        beside = {name for plan in self.plans for name in plan.names_beside}
        return frozenset({plan.stored for plan in (*self.plans, *self.computed)} | extra | beside)

    @cached_property
    def is_placed(self) -> bool:
        """Whether the stored form of a field depends on the place of its item."""
        return any(plan.placed for plan in self.plans)

    def _arguments(self, arguments: str) -> str:
        """The arguments of a function that reads items."""
        return f"{arguments}, scope=NO_SCOPE" if self.is_placed else arguments

    def _place_lines(self, source: Source) -> list[str]:
        """The line that finds the place of the item ``raw``."""
        if not self.is_placed:
            return []
        names = () if self.schema is None or self.schema.key is None else self.schema.key.fields
        stored = tuple(self.schema.fields[name].stored for name in names)  # type: ignore[union-attr] # as was just asked
        source.names.setdefault("NO_SCOPE", NO_SCOPE)
        return [f"p = {source.bind('Place', Place)}(raw, {stored!r}, scope)"]

    def unknown_in(self, members: dict[str, Any]) -> dict[str, Any]:
        """The members of a stored map that the class does not know."""
        if self.knows(members):
            return {}
        return {name: wire for name, wire in members.items() if name not in self._known}

    def knows(self, members: dict[str, Any]) -> bool:
        """Whether nothing of a stored map would be lost: the objects inside it are not looked at."""
        return self.extras or self._known.issuperset(members)

    @cached_property
    def holds_objects(self) -> bool:
        """Whether there are objects inside those of the class."""
        return bool(Walks().within(self.plans))

    @cached_property
    def _known(self) -> frozenset[str]:
        return self.read_names()

    def read_names(self) -> frozenset[str]:
        """Every name under which an attribute of the class is read."""
        return self.names() | {name for plan in self.plans for name in plan.field.also_read}

    def members(self, item: dict[str, Any]) -> dict[str, Any]:
        """The attributes of an item under their own names and in their canonical form; the very same dict if they are."""
        changed: dict[str, Any] = {}
        for plan in self.plans:
            stored = plan.stored_in(item)
            if stored is not U and (wire := plan.canonical(stored)) is not item.get(plan.stored):
                changed[plan.stored] = wire
        return {**item, **changed} if changed else item

    @override
    def canonical(self, wire: Any) -> Any:
        if "M" not in wire:
            return wire
        members = self.members(wire["M"])
        return wire if members is wire["M"] else {"M": members}

    def wire_names(self) -> frozenset[str]:
        """Every stored name that the msgspec type looks at."""
        return frozenset(self.struct().__struct_encode_fields__)

    @override
    def payload(self) -> Any:
        return GENERIC if self.extras else self.struct()

    def struct(self) -> Any:
        """The msgspec type of the map. Annotations are filled in after it exists: they may refer to it."""
        if self._wire is not None:
            return self._wire
        fields: list[Any] = []
        rename = {}
        for plan in self._key_first():
            if plan.unstored is not None:
                continue
            fields.append((plan.name, Any) if plan.missing() is None else (plan.name, Any, U))
            rename[plan.name] = plan.stored
        extra: dict[str, Any] = {}
        if self.schema is not None and self.schema.table is not None and TOKEN_ATTRIBUTE not in rename.values():
            extra[self._free("tokens")] = TOKEN_ATTRIBUTE, str, "B"  # read by `Codec.ring`, not here
        for plan in self.computed:
            extra[self._free(f"computed_{plan.name}")] = plan.stored, str, "S"
        for plan in self.plans:
            for name in plan.beside_names:
                extra[self._free(f"beside_{plan.name}")] = name, str, "B"
        if self.tagged is not None:
            extra[self._free("tag")] = self.tagged[0], str, "S"
        for name, (stored, _, _) in extra.items():
            fields.append((name, Any, U))
            rename[name] = stored
        version, version_name = self.schema_version, self._free("schema_version")
        if (
            version is not None
        ):  # of another version than this one, and of none but the first without a tag, it is no such map
            fields.append((version_name, Any, U) if version == 1 else (version_name, Any))
            rename[version_name] = SCHEMA_ATTRIBUTE
        wire = self._wire = defstruct(f"Wire{self.cls.__name__}", fields, rename=rename, kw_only=True, gc=False)
        for plan in self.plans:
            if plan.unstored is not None:
                continue
            stored_type = plan.wire()
            wire.__annotations__[plan.name] = stored_type if plan.missing() is None else stored_type | UnsetType
        for name, (_, payload, tag) in extra.items():
            wire.__annotations__[name] = wire_struct(tag, payload, null=False) | UnsetType
        if version is not None:
            literal: Any = Literal
            newest = wire_struct("N", literal[f"{version}"], null=False)
            wire.__annotations__[version_name] = newest | UnsetType if version == 1 else newest
        return wire

    @property
    def _key(self) -> tuple[str, ...]:
        """The names of the fields of the key, partition first."""
        return () if self.schema is None or self.schema.key is None else tuple(self.schema.key.fields)

    def _key_first(self) -> list[FieldPlan]:
        """The plans of the fields, those of the key first: what begins with the key is quickly compared with another."""
        key = self._key
        return sorted(self.plans, key=lambda plan: key.index(plan.name) if plan.name in key else len(key))

    def _free(self, name: str) -> str:
        """A name that no field has."""
        taken = {plan.name for plan in self.plans}
        while name in taken:
            name += "_"
        return name

    # ------------------------------------------------------------------------------------------------------- encoding

    @override
    def encode(self, source: Source, v: str) -> str:
        return f'{{"M": {self.encoder(source)}({v})}}'

    def encoder(self, source: Source) -> str:
        """The name of the function from an object to its wire map."""
        hint = f"encode_{self.cls.__name__}"
        return source.function((self, "encode"), hint, lambda: ("o", self._encode_lines(source)))

    def _read(self, plan: FieldPlan) -> str:
        return f"o[{plan.name!r}]" if self.style == DICT else f"o.{plan.name}"

    def _encode_lines(self, source: Source) -> list[str]:
        kind = source.bind(self.cls.__name__, dict if self.style == DICT else self.cls)
        misfit_ = source.bind("misfit", misfit)
        lines = [f"if o.__class__ is not {kind} and not isinstance(o, {kind}): {misfit_}({self.expected!r}, o)"]
        if self.style == DICT:
            lines += [
                f"if o.keys() - {source.bind(f'keys_{self.cls.__name__}', frozenset(plan.name for plan in self.plans))}:",
                f"    {misfit_}('a {self.expected} without other keys', o, 'one with other keys')",
            ]
            required = frozenset(plan.name for plan in self.plans) - self.optional
            lines += [
                f"if {source.bind(f'required_{self.cls.__name__}', required)} - o.keys():",
                f"    {misfit_}('a {self.expected} with all required keys', o, 'one that lacks a key')",
            ]
        lines += self.check_lines(source)
        lines += self.body_lines(source)
        if self.keeps_unknown:  # what a nested object was read with and its class does not know
            lines[-1] = "return {**o.__loaded__, **w} if o.__loaded__.__class__ is dict else w"
        return lines

    def check_lines(self, source: Source, explain: Callable[[Any], object] | None = None) -> list[str]:
        """The line that asks the validators of several fields, where the class has any.

        With ``explain`` (see `checked`) an object of a subclass is not looked at, which has a codec of its own.
        """
        schema = SCHEMAS.get(self.cls) if self.style == SLOTS else None
        if schema is None or not schema.checks:
            return []
        line = f"{source.bind(f'check_{self.cls.__name__}', checked(schema, explain))}(o)"
        return [line if explain is None else f"if o.__class__ is {source.bind('Checked', self.cls)}: {line}"]

    def body_lines(self, source: Source) -> list[str]:
        """The lines from object ``o`` to ``return`` of its wire map: the key, what is always written, then the rest."""
        lines: list[str] = []
        always: list[str] = []
        rest: list[FieldPlan] = []
        plans, key = self._key_first(), self._key
        for plan in plans:
            if not plan.always or plan.name not in key or plan.name in self.optional:
                break
            x = f"k{len(always)}"
            lines += [f"v = {self._read(plan)}", *plan.encode_lines(source, "v", f"{x} =")]
            always.append(f"{plan.stored!r}: {x}")
        done = len(always)
        if self.tagged is not None:
            always.append(f'{self.tagged[0]!r}: {{"S": {self.tagged[1]!r}}}')
        if self.schema_version is not None:
            always.append(f'{SCHEMA_ATTRIBUTE!r}: {{"N": "{self.schema_version}"}}')
        for plan in plans[done:]:
            v = f"v{len(always)}"
            text = None if plan.name in self.optional else plan.plain_text(source, v)
            if text is None:
                rest.append(plan)
                continue
            lines.append(f"{v} = {self._read(plan)}")
            always.append(f"{plan.stored!r}: {text}")
        lines.append(f"w = {{{', '.join(always)}}}")
        for plan in rest:
            some = [f"v = {self._read(plan)}", *plan.encode_lines(source, "v", f"w[{plan.stored!r}] =")]
            if plan.name in self.optional:
                some = [f"if {plan.name!r} in o:", *(f"    {line}" for line in some)]
            lines += some
        if self.extras:
            names = self.names() | LIBRARY_NAMES
            lines.append(
                f"w.update({source.bind(f'extras_of_{self.cls.__name__}', extras.encoder(self.expected, names))}(o))"
            )
        return [*lines, "return w"]

    # ------------------------------------------------------------------------------------------------------- decoding

    @override
    def decode(self, source: Source, x: str) -> str:
        decoder = self.decoder(source)
        if not self.extras:
            return f"{decoder}({x}.M)"
        read = extras.nested_reader(
            self, lambda: source.names[decoder], strict=not source.careful
        )  # which is compiled later
        return f"{source.bind(f'read_{self.cls.__name__}', read)}({x}.M)"

    def decoder(self, source: Source) -> str:
        """The name of the function from a wire struct to an object."""
        hint = f"decode_{self.cls.__name__}"
        return source.function(
            (self, "decode"), hint, lambda: (self._arguments("w, raw=None"), self.decode_lines(source))
        )

    def decode_lines(self, source: Source) -> list[str]:
        """The lines from the wire struct ``w`` to ``return`` of the object; ``raw`` becomes its state."""
        kind = source.bind(self.cls.__name__, self.cls)
        if self.style == SLOTS:
            return [*self._slot_lines(source, kind), "return o"]
        lines = [*self._place_lines(source), "k = {}"]
        for plan in self.plans:
            target = f"k[{self.arguments.get(plan.name, plan.name)!r}]"
            if plan.missing() is not None and (plan.name in self.optional or plan.field.default is U):
                # The class has a default of its own, or the key may be absent.
                lines += [f"x = w.{plan.name}", f"if x is not {source.bind('U', U)}:"]
                lines += [f"    {target} = {plan.decode_text(source, 'x')}"]
            else:
                lines += self._decode_field(source, plan, target)
        if self.access is not None:
            lines += [f"o = {source.bind('construct', self.access.construct)}({kind}, k)"]
            lines += [f"if raw is not None: {source.bind('set_state', self.access.set_state)}(o, raw)"]
            return [*lines, "return o"]
        if self.style == DICT:
            return [*lines, "return k"]
        return [*lines, f"return {source.bind(f'make_{self.cls.__name__}', self.make)}(k)"]

    def page_decoder(self, source: Source) -> str | None:
        """The name of the function from the wire structs of a page and their JSON to objects that share equal texts.

        It empties the list of the structs. None for classes that are not made slot by slot.
        """
        if self.style != SLOTS:
            return None
        kind = source.bind(self.cls.__name__, self.cls)
        lines = [
            *(f"last_{at} = {plan.shape.first}" for at, plan in enumerate(self.plans)),
            "found = []",
            "ws.reverse()",
            "for raw in raws:",
            "    w = ws.pop()",  # so that its memory is there for what comes next
            *(f"    {line}" for line in self._slot_lines(source, kind, "last_")),
            "    found.append(o)",
            "return found",
        ]
        hint = f"decode_page_{self.cls.__name__}"
        return source.function((self, "page"), hint, lambda: (self._arguments("ws, raws"), lines))

    def _slot_lines(self, source: Source, kind: str, last: str = "") -> list[str]:
        """The lines that make object ``o`` of wire struct ``w``, without its constructor."""
        lines = [*self._place_lines(source), f"o = {source.bind('new', object.__new__)}({kind})"]
        for at, plan in enumerate(self.plans):
            lines += self._decode_field(source, plan, f"o.{plan.name}", last and f"{last}{at}")
        lines.append("o.__loaded__ = raw")
        hook = self.loaded_hook
        return lines if hook is None else [*lines, f"{source.bind(f'loaded_{self.cls.__name__}', hook)}(o)"]

    @cached_property
    def loaded_hook(self) -> Callable[[Any], None] | None:
        """What is called for each object that is made of a stored item; None where the class has no hook for it."""
        schema = SCHEMAS.get(self.cls) if self.schema is not None and self.schema.table is not None else None
        if schema is None or "after_load" not in schema.hooks:
            return None
        # By name: nothing of a class body is known here.
        hook: Callable[[Any], None] = import_module("dynamorm.codec.after_load").of(schema)
        return hook

    @staticmethod
    def _decode_field(source: Source, plan: FieldPlan, target: str, last: str = "") -> list[str]:
        if plan.unstored is not None:
            return [f"{target} = {source.bind(f'loaded_{plan.name}', plan.unstored.loaded)}()"]
        missing = plan.missing_text(source)
        lines = plan.decode_into(source, "x", "y", last)
        if lines is not None:
            lines = [*lines, f"{target} = y"]
            if missing is not None:
                unset = source.bind("U", U)
                lines = [f"if x is {unset}: {target} = {missing}", "else:", *(f"    {line}" for line in lines)]
            return [f"x = w.{plan.name}", *lines]
        if missing is not None:
            unset = source.bind("U", U)
            return [f"x = w.{plan.name}", f"{target} = {missing} if x is {unset} else {plan.decode_text(source, 'x')}"]
        once = plan.decode_text(source, "\0")
        if once.count("\0") == 1:
            return [f"{target} = {once.replace(chr(0), f'w.{plan.name}')}"]
        return [f"x = w.{plan.name}", f"{target} = {plan.decode_text(source, 'x')}"]

    # ---------------------------------------------------------------------------------------------------------- tours

    @override
    def walk(self, walks: Walks) -> Walk:
        def walk(value: Any, wire: Any, place: Slot, tour: Tour) -> None:
            members = wire.get("M")
            if members is not None and self.fits(value):
                read = value.get if self.style == DICT else value.__getattribute__
                lead(tour, inside, read, members, place)
                tour.at(self, value, members, place)

        walks.keep(self, walk)
        inside = walks.within(self.plans)  # which may refer to this same record
        return walk

    @property
    @override
    def leaf(self) -> Record | None:
        return None if self.holds_objects else self

    @override
    def fits(self, value: Any) -> bool:
        if self.style != DICT:
            return isinstance(value, self.cls)
        return isinstance(value, dict) and value.keys() <= {plan.name for plan in self.plans}

    # ---------------------------------------------------------------------------------------------------------- paths

    @override
    def part(self, name: str | int) -> Shape:
        if isinstance(name, str):
            plan = self.plan(name)
            if plan is not None:
                return Nullable(plan.shape) if plan.nullable and not plan.shape.null else plan.shape
        return super().part(name)

    def plan(self, name: str) -> FieldPlan | None:
        """The plan of a field, by its own or its stored name."""
        return next((plan for plan in (*self.plans, *self.computed) if name in (plan.name, plan.stored)), None)
