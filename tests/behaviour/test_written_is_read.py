"""What was written is what is read: every type, with every option, by every verb and every read, or it is refused before the wire.

``make test`` runs some examples on ministack and ``make test-local`` more on DynamoDB Local.
"""

import dataclasses
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typing_extensions import TypedDict

from dynamorm import Attr, Codec, Json, Model, ValidationError, attr, gsi, partition_key, sort_key
from dynamorm.adapters import register
from dynamorm.models.declare import Spec
from dynamorm.streams import decode
from tests.codec.values import decimals, documents, floats, ints, names, text
from tests.conftest import ENGINE

from .kit import stored

pytestmark = pytest.mark.engine
EXAMPLES = 25 if ENGINE == "local" else 4


class Kind(Enum):
    NONE = ""
    A = "a"


class Level(IntEnum):
    ZERO = 0
    ONE = 1


@dataclasses.dataclass
class Plain:
    text: str = "x"
    flag: bool = True
    many: list[int] = dataclasses.field(default_factory=lambda: [1])


class Point(msgspec.Struct):
    x: int
    y: int = 7


class Pair(NamedTuple):
    left: str
    right: int = 7


class Entry(TypedDict):
    low: int
    high: int | None


class Payer(pydantic.BaseModel, extra="allow"):
    name: str = "x"
    born: date | None = None
    tags: list[str] = ["new"]


times = st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC)) | st.just(datetime(1, 1, 1, tzinfo=UTC))
plains = st.builds(Plain, text=text, flag=st.booleans(), many=st.lists(ints, max_size=2))
payers = st.builds(Payer, name=text, born=st.none() | st.dates(), tags=st.lists(text, max_size=2), note=text)
COMPLEX = Codec(lambda value: [str(value.real), str(value.imag)], lambda parts: complex(*map(float, parts)))

TYPES: dict[str, tuple[Any, Any, Any, tuple[Any, ...]]] = {
    "text": (str, text, "x", ()),
    "whole": (int, ints | st.just(0), 7, ()),
    "exact": (Decimal, decimals() | st.just(Decimal(0)), Decimal("0.5"), ()),
    "ratio": (float, floats | st.just(0.0), 0.5, ()),
    "flag": (bool, st.booleans(), True, ()),
    "blob": (bytes, st.binary(max_size=5), b"x", ()),
    "instant": (datetime, times, datetime(2024, 1, 1, tzinfo=UTC), ()),
    "day": (date, st.dates(), date(2024, 1, 1), ()),
    "hour": (time, st.times(), time(1), ()),
    "span": (timedelta, st.timedeltas() | st.just(timedelta()), timedelta(1), ()),
    "uuid": (UUID, st.uuids(), UUID(int=1), ()),
    "kind": (Kind, st.sampled_from(Kind), Kind.A, ()),
    "level": (Level, st.sampled_from(Level), Level.ONE, ()),
    "literal": (Literal["", "a", 1], st.sampled_from(["", "a", 1]), "a", ()),
    "either": (int | str, ints | text, 7, ()),
    "list": (list[int], st.lists(ints, max_size=3), [1], ()),
    "tuple": (tuple[str, ...], st.lists(text, max_size=3).map(tuple), ("x",), ()),
    "pair": (tuple[int, bool], st.tuples(ints, st.booleans()), (1, True), ()),
    "set": (set[str], st.sets(text, max_size=3), {"x"}, ()),
    "frozen": (frozenset[Decimal], st.frozensets(decimals(), max_size=3), frozenset({Decimal(1)}), ()),
    "dict": (dict[str, int], st.dictionaries(names, ints | st.just(0), max_size=3), {"k": 0}, ()),
    "deep": (dict[str, list[set[str]]], st.dictionaries(names, st.lists(st.sets(text, max_size=2), max_size=2), max_size=2), {"k": []}, ()),
    "any": (Any, documents, {"k": [None]}, ()),
    "plain": (Plain, plains, Plain(), ()),
    "point": (Point, st.builds(Point, x=ints, y=ints), Point(1), ()),
    "named": (Pair, st.builds(Pair, left=text, right=ints), Pair("x"), ()),
    "entry": (Entry, st.fixed_dictionaries({"low": ints, "high": st.none() | ints}), {"low": 1, "high": None}, ()),
    "payer": (Payer, payers, Payer(), ()),
    "json": (dict[str, list[int | None]], st.dictionaries(text, st.lists(st.none() | ints, max_size=2), max_size=2), {"k": [1]}, (Json(),)),
    "custom": (complex, st.builds(complex, st.integers(-9, 9), st.integers(-9, 9)), 1j, (COMPLEX,)),
}  # fmt: skip
SETS = {"set", "frozen"}
"""None and an empty set are stored alike, so a set whose default is another value cannot be None."""


def _default(value: Any) -> dict[str, Any]:
    changeable = not isinstance(value, (str, int, Decimal, float, bytes, date, time, timedelta, UUID, tuple, frozenset, complex, Enum))  # fmt: skip
    return {"default_factory": lambda: _copied(value)} if changeable else {"default": value}


def _copied(value: Any) -> Any:
    import copy

    return copy.deepcopy(value)


EMPTIES = {"list": list, "tuple": tuple, "set": set, "frozen": frozenset, "dict": dict, "text": str, "whole": int, "flag": bool, "blob": bytes, "exact": Decimal, "span": timedelta}  # fmt: skip


def _fields(omit: bool, only: tuple[str, ...] = ()) -> dict[str, tuple[Any, Spec, Any]]:
    """Annotation, declaration and values by name: each type required, with a default, with an empty one, and optional."""
    found: dict[str, tuple[Any, Spec, Any]] = {}
    for name, (kind, values, sample, options) in TYPES.items():
        ways: dict[str, tuple[Any, dict[str, Any], Any]] = {
            "required": (kind, {}, values),
            "default": (kind, _default(sample), values),
            "maybe": (kind | None, {"default": None}, st.none() | values),
        }
        if name not in SETS:
            ways["maybe_default"] = (kind | None, _default(sample), st.none() | values)
        if name in EMPTIES:
            ways["empty"] = (kind, {"default_factory": EMPTIES[name]}, values)
        for way, (annotation, settings_, drawn) in ways.items():
            if not only or way in only:
                found[f"{name}_{way}"] = annotation, attr(*options, omit_empty=omit, **settings_), drawn
    return found


def _model(title: str, fields: dict[str, tuple[Any, Any, Any]], **settings_: Any) -> tuple[Any, Any]:
    """A model, and the strategy of its field values."""
    body: dict[str, Any] = {name: declared for name, (_, declared, _) in fields.items()}
    annotations = {name: Attr[annotation] for name, (annotation, _, _) in fields.items()}
    if "table" in settings_:
        body |= {"id": partition_key()}
        annotations |= {"id": Attr[str]}
    namespace = {**body, "__annotations__": annotations, "__module__": __name__}
    model = type(Model)(title, (Model,), namespace, **settings_)
    return model, st.fixed_dictionaries({name: values for name, (_, _, values) in fields.items()})


Stored, stored_values = _model("Stored", _fields(omit=False), table="values")
Lean, lean_values = _model("Lean", _fields(omit=True), table="values")
Inner, inner_values = _model("Inner", _fields(omit=False, only=("default", "maybe_default")))
Thin, thin_values = _model("Thin", _fields(omit=True, only=("default", "empty", "maybe")))
inners, thins = (
    st.builds(lambda fields, of=of: of(**fields), values) for of, values in ((Inner, inner_values), (Thin, thin_values))
)
Nested, nested_values = _model(
    "Nested",
    {
        "inner": (Inner, attr(), inners),
        "thin": (Thin | None, attr(default=None, omit_empty=True), st.none() | thins),
        "many": (list[Thin], attr(default_factory=list), st.lists(thins, max_size=1)),
        "named": (dict[str, Thin | None], attr(default_factory=dict), st.dictionaries(names, st.none() | thins, max_size=1)),
    },
    table="values",
)  # fmt: skip


@register(table="values", partition="id", omit_empty=["text", "flag", "many", "kind", "none"])
class Registered(pydantic.BaseModel, extra="allow"):
    id: str
    text: str = "x"
    flag: bool = True
    many: list[int] = [1]
    kind: Kind = Kind.A
    none: int | None = 5
    part: Payer = Payer()


registered_values = st.fixed_dictionaries(
    {
        "text": text, "flag": st.booleans(), "many": st.lists(ints, max_size=2), "kind": st.sampled_from(Kind),
        "none": st.none() | st.just(0) | ints, "part": payers, "extra": documents,
    }
)  # fmt: skip


class Indexed(Model, table="indexed"):
    id: Attr[str] = partition_key()
    required: Attr[str]
    empty: Attr[str] = attr(default="")
    default: Attr[str] = attr(default="open")
    maybe: Attr[str | None] = attr(default=None)
    maybe_default: Attr[str | None] = attr(default="open")
    lean: Attr[int] = attr(default=5, omit_empty=True)
    whole: Attr[int | None] = attr(default=None)
    blob: Attr[bytes] = attr(default=b"x")
    kind: Attr[Kind] = attr(default=Kind.A)
    kind_empty: Attr[Kind] = attr(default=Kind.NONE)
    at: Attr[datetime | None] = attr(default=None)
    exact: Attr[Decimal] = attr(default=Decimal(1))
    by_texts = gsi("by-texts", partition="required", sort="empty")
    by_defaults = gsi("by-defaults", partition="default", sort="maybe")
    by_numbers = gsi("by-numbers", partition="lean", sort="whole")
    by_blob = gsi("by-blob", partition="blob", sort="maybe_default")
    by_kind = gsi("by-kind", partition="kind", sort="at")
    by_exact = gsi("by-exact", partition="exact", sort="kind_empty")


short = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
indexed_values = st.fixed_dictionaries(
    {
        "required": short, "empty": short, "default": short, "maybe": st.none() | short, "maybe_default": st.none() | short,
        "lean": st.just(0) | ints, "whole": st.none() | st.just(0) | ints, "blob": st.binary(max_size=2),
        "kind": st.sampled_from(Kind), "kind_empty": st.sampled_from(Kind), "at": st.none() | times, "exact": decimals(),
    }
)  # fmt: skip

MODELS = [Stored, Indexed]
CASES = {
    "plain": (Stored, stored_values), "lean": (Lean, lean_values), "nested": (Nested, nested_values),
    "registered": (Registered, registered_values), "indexed": (Indexed, indexed_values),
}  # fmt: skip


def refusable(model: Any, values: dict[str, Any]) -> bool:
    """Whether something among the values cannot be stored: an empty key of an index that would read as something else."""
    return model is Indexed and any(
        values[name] in empty
        for name, empty in {
            "default": [""], "maybe": [""], "maybe_default": ["", None], "blob": [b""], "kind": [Kind.NONE],
        }.items()
    )  # fmt: skip


def _save_of_loaded(db, obj, base):
    found = db.create(base)
    for name in [*_names(type(obj)), *(["extra"] if type(obj) is Registered else [])]:
        setattr(found, name, getattr(obj, name))
    db.save(found)


def _names(model):
    return [name for name in (model.model_fields if model is Registered else _fields_of(model)) if name != "id"]


def _fields_of(model):
    from dynamorm.models.schema.schema import schema_of

    return schema_of(model).fields


def _updates(obj):
    from dynamorm.adapters import fields

    model = type(obj)
    paths = fields(model) if model is Registered else model
    given_ = [getattr(paths, name).set(getattr(obj, name)) for name in _names(model)]
    return [given_[start : start + 40] for start in range(0, len(given_), 40)]


def _updated(db, obj, base):
    db.create(base)
    for some in _updates(obj):
        db.update(type(obj), obj.id, *some)


def _updated_object(db, obj, base):
    found = db.create(base)
    for some in _updates(obj):
        db.update(found, *some)
    assert all(getattr(found, name) == getattr(obj, name) for name in _names(type(obj)))


def _in_transaction(verb):
    def write(db, obj, base):
        del base
        with db.transaction() as tx:
            getattr(tx, verb)(obj)

    return write


WRITES = {
    "create": lambda db, obj, _: db.create(obj),
    "put": lambda db, obj, _: db.put(obj),
    "save": lambda db, obj, _: db.save(obj),
    "save of a loaded object": _save_of_loaded,
    "update by key": _updated,
    "update of an object": _updated_object,
    "batch": lambda db, obj, _: db.batch_write(puts=[obj]),
    "create in a transaction": _in_transaction("create"),
    "put in a transaction": _in_transaction("put"),
    "save in a transaction": _in_transaction("save"),
}


RUN = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)  # fmt: skip

AFTER_OTHERS = {"save of a loaded object", "update by key", "update of an object"}
"""What changes an item that was written before."""


def _image(db, model, id_):
    image = stored(db, model, id_)
    record = {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": id_}}, "NewImage": image, "SequenceNumber": "1"}}
    return decode(record, model).new


READS = {
    "get": lambda db, model, id_: db.get(model, id_, consistent=True),
    "query": lambda db, model, id_: db.model(model).where("id", "=", id_).one(),
    "batch": lambda db, model, id_: db.batch_get(model, [id_])[0],
    "snapshot": lambda db, model, id_: db.transact_get([(model, id_)])[0],
    "stream record": _image,
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_written_is_what_is_read(db, wire, case):
    model, values = CASES[case]
    written: dict[str, dict[str, Any]] = {}

    @RUN
    @given(st.lists(values, min_size=2, max_size=2), st.sampled_from(list(WRITES)))
    def check(both, write):
        drawn, others = both if not refusable(model, both[1]) else (both[0], both[0])
        obj, base = model(id=uuid.uuid4().hex, **drawn), model(id="-", **_copied(others))
        base.id = obj.id
        if model is Registered and write.startswith("update"):
            base.extra = obj.extra  # no expression names it
        values_ = {name: _copied(getattr(obj, name)) for name in drawn}
        wire.clear()
        if refusable(model, drawn):
            with pytest.raises(ValidationError) as caught:
                WRITES["create" if write in AFTER_OTHERS else write](db, obj, base)
            assert (caught.value.request_id, wire.calls) == (None, [])
            return
        WRITES[write](db, obj, base)
        for read in READS.values():
            found = read(db, model, obj.id)
            assert {name: getattr(found, name) for name in drawn} == values_
        wire.clear()
        db.save(found)
        assert wire.calls == []
        written[obj.id] = values_

    check()
    scanned = {one.id: one for one in db.model(model).allow_scan().on_misfit("skip") if one.id in written}
    assert {id_: {name: getattr(one, name) for name in written[id_]} for id_, one in scanned.items()} == written


# Ministack compares keys written with an exponent by their text.
key_decimals = decimals() if ENGINE != "ministack" else st.decimals(-(10**6), 10**6, places=3)
key_floats = floats if ENGINE != "ministack" else st.integers(-(10**9), 10**9).map(lambda one: one / 8)
KEYS: dict[str, tuple[Any, Any]] = {
    "str": (str, short.filter(bool)), "int": (int, ints), "Decimal": (Decimal, key_decimals), "float": (float, key_floats),
    "bytes": (bytes, st.binary(min_size=1, max_size=5)), "datetime": (datetime, times), "date": (date, st.dates()),
    "time": (time, st.times()), "timedelta": (timedelta, st.timedeltas()), "UUID": (UUID, st.uuids()),
    "Enum": (Kind, st.just(Kind.A)), "IntEnum": (Level, st.sampled_from(Level)),
    "Literal": (Literal["a", "b"], st.sampled_from(["a", "b"])),
}  # fmt: skip
_TAGS = {"int": "N", "Decimal": "N", "float": "N", "timedelta": "N", "IntEnum": "N", "bytes": "B"}


def _keyed(name: str) -> Any:
    kind, _ = KEYS[name]
    tag = _TAGS.get(name, "S")

    class Keyed(Model, table=f"keyed-{tag.lower()}", omit_empty=True):
        part: Attr[kind] = partition_key()
        at: Attr[kind] = sort_key()
        value: Attr[int] = attr(default=7)

    return Keyed


KEYED = {name: _keyed(name) for name in KEYS}
MODELS += [KEYED["str"], KEYED["int"], KEYED["bytes"]]


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_was_written_is_found_and_read(db, name):
    model, (_, values) = KEYED[name], KEYS[name]

    @RUN
    @given(values, values, ints)
    def check(part, at, value):
        obj = db.put(model(part=part, at=at, value=value))
        for found in (
            db.get(model, part, at, consistent=True),
            db.model(model).where(model.part == part, model.at == at).one(),
            db.batch_get(model, [(part, at)])[0],
            db.transact_get([(model, part, at)])[0],
        ):
            assert (found, found.part, found.at, found.value) == (obj, part, at, value)
        db.delete(found)
        assert not db.exists(model, part, at, consistent=True)

    check()
