"""`strategy(Model)`: objects of a model for Hypothesis, any of which can be stored. It must not know databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from dynamorm.codec.types.containers import AnySetShape, DictShape, ListShape, SetShape, TupleShape
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.jsontext import JsonShape
from dynamorm.codec.types.records import Record
from dynamorm.codec.types.shapes import AnyShape, Nullable, Scalar, Shape
from dynamorm.codec.types.unions import FamilyShape, Union
from dynamorm.errors import ConfigError, InvalidUse
from dynamorm.models.schema.schema import Field, with_subclasses
from dynamorm.testing.kit.model_shapes import choices_of, codec_of, free_fields, is_storable, type_of

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

M = TypeVar("M")

_LARGEST: Final = 10**38 - 1  # what DynamoDB keeps exactly
_KEY_TEXT: Final = 64  # characters: keys of 2,048 and 1,024 bytes are allowed, and long ones show little
_FEW: Final = 4


def strategy(model: type[M], /, **fields: Any) -> SearchStrategy[M]:
    """A Hypothesis strategy of objects of a model that can be stored: types, limits, patterns and validators hold.

    What a write sets (versions, times) is left to it. ``fields`` are values or strategies for single fields; a field with a
    `Codec` or a narrow validator needs one.

    Raises: InvalidUse for a name that no field has, and for a field that needs a strategy; ConfigError without Hypothesis.

    Example::

        @given(strategy(Payment, currency=st.sampled_from(["EUR", "USD"])))
        def test_round_trip(payment): ...
    """
    st = _strategies()
    codec = codec_of(model)
    known = {plan.name: plan for plan in codec.record.plans}
    for name in fields:
        if name not in known:
            raise InvalidUse(f"strategy({codec.schema.name}): there is no field {name}; known are {', '.join(known)}")
    made = {plan.name: _Maker(st).of_field(plan) for plan in free_fields(codec) if plan.name not in fields}
    given = {name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in fields.items()}
    objects: SearchStrategy[M] = st.builds(model, **made, **given).filter(lambda obj: is_storable(codec, obj))
    return objects


class _Maker:
    """Makes strategies of shapes."""

    def __init__(self, st: Any) -> None:
        self._st = st
        self._records: dict[Any, Any] = {}

    def of_field(self, plan: FieldPlan) -> Any:
        """A strategy of the values of a field."""
        made = self.of(plan.shape, plan.field, is_key=bool(plan.key_limit))
        return self._st.none() | made if plan.nullable and not plan.shape.null else made

    def of(self, shape: Shape, field: Field, *, is_key: bool = False) -> Any:
        """A strategy of the values of a shape."""
        st = self._st
        if isinstance(shape, Scalar):
            return self._scalar(shape, field, is_key=is_key)
        if isinstance(shape, Nullable):
            return st.none() | self.of(shape.inner, field)
        if isinstance(shape, Union):
            return st.one_of([self.of(member, field) for member in shape.members])
        if isinstance(shape, (ListShape, SetShape, DictShape, AnySetShape, TupleShape)):
            return self._container(shape, field)
        if isinstance(shape, AnyShape) or (isinstance(shape, JsonShape) and _is_free(shape)):
            return self._document(is_json=isinstance(shape, JsonShape))
        if isinstance(shape, JsonShape):
            return st.from_type(shape.annotation)
        if isinstance(shape, (Record, FamilyShape)):
            return self._object(shape)
        raise InvalidUse(f"strategy(...): {field.owner}.{field.name} has a Codec: give a strategy for it")

    def _container(self, shape: Any, field: Field) -> Any:
        st, inner = self._st, _inside(field)
        low = field.min_length or 0
        high = max(low, _FEW) if field.max_length is None else min(field.max_length, max(low, _FEW))
        if isinstance(shape, TupleShape):
            return st.tuples(*(self.of(item, inner) for item in shape.items))
        if isinstance(shape, DictShape):
            keys = self.of(shape.key, inner).filter(lambda key: key != "")
            return st.dictionaries(keys, self.of(shape.item, inner), min_size=low, max_size=high)
        if isinstance(shape, ListShape):
            lists = st.lists(self.of(shape.item, inner), min_size=low, max_size=high)
            return lists.map(tuple) if shape.kind is tuple else lists
        item = st.text(self._letters(), min_size=1) if isinstance(shape, AnySetShape) else self.of(shape.item, inner)
        return st.sets(item, min_size=low, max_size=high).map(shape.kind)

    def _scalar(self, shape: Scalar, field: Field, *, is_key: bool) -> Any:
        st = self._st
        choices = choices_of(shape)
        if choices is not None:
            return st.sampled_from(choices)
        kind = type_of(shape)
        if kind is str:
            if field.pattern is not None:
                return st.from_regex(field.pattern, fullmatch=True)
            low = max(field.min_length or 0, int(is_key))
            high = _KEY_TEXT if is_key and field.max_length is None else field.max_length
            return st.text(self._letters(), min_size=low, max_size=high)
        if kind is bytes:
            low = max(field.min_length or 0, int(is_key))
            return st.binary(
                min_size=low, max_size=_KEY_TEXT if is_key and field.max_length is None else field.max_length
            )
        if kind in (int, float, Decimal):
            return self._number(kind, field)
        made: dict[Any, Callable[[], Any]] = {
            bool: st.booleans,
            UUID: st.uuids,
            date: st.dates,
            time: st.times,
            timedelta: lambda: st.timedeltas(timedelta(days=-36_500), timedelta(days=36_500)),
            datetime: lambda: st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis adds the zone
        }
        return made[kind]() if kind in made else st.from_type(kind)

    def _number(self, kind: Any, field: Field) -> Any:
        """Numbers within the limits of a field, of those that DynamoDB keeps."""
        st = self._st
        low, high = _bound(field.ge, field.gt, -_LARGEST, 1), _bound(field.le, field.lt, _LARGEST, -1)
        if kind is int:
            return st.integers(int(low), int(high))
        low, high = _or(field.ge, field.gt, -_LARGEST), _or(field.le, field.lt, _LARGEST)
        if kind is Decimal:
            return st.integers(int(low * 100), int(high * 100)).map(lambda cents: Decimal(cents) / 100)
        return st.floats(float(low), float(high), allow_nan=False, allow_subnormal=False).filter(
            lambda number: number == 0 or abs(number) >= 1e-130
        )

    def _letters(self) -> Any:
        return self._st.characters(exclude_categories=["Cs"])

    def _document(self, *, is_json: bool) -> Any:
        st = self._st
        text = st.text(self._letters(), max_size=20)
        leaves = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | text
        if not is_json:
            leaves |= st.binary(max_size=20)
        keys = st.text(self._letters(), min_size=1, max_size=10)
        documents = st.recursive(
            leaves,
            lambda inner: st.lists(inner, max_size=_FEW) | st.dictionaries(keys, inner, max_size=_FEW),
            max_leaves=8,
        )
        return st.dictionaries(keys, documents, max_size=_FEW) if is_json else documents

    def _object(self, shape: Record | FamilyShape) -> Any:
        if shape.cls not in self._records:
            self._records[shape.cls] = self._st.deferred(lambda: self._made(shape))
        return self._records[shape.cls]

    def _made(self, shape: Record | FamilyShape) -> Any:
        return self._st.one_of([self._of_record(record) for record in _records(shape)])

    def _of_record(self, record: Record) -> Any:
        fields = {plan.name: self.of_field(plan) for plan in record.plans}
        return self._st.fixed_dictionaries(fields).map(
            record.make if record.style in ("call", "dict") else _caller(record)
        )


def _caller(record: Record) -> Callable[[dict[str, Any]], Any]:
    return lambda values: record.cls(**values)


def _records(shape: Record | FamilyShape) -> Iterator[Record]:
    """The classes that a nested object may be of."""
    if isinstance(shape, Record):
        yield shape
        return
    for cls in with_subclasses(shape.cls):
        if not getattr(cls, "__abstractmethods__", None):
            yield shape.codec_of(cls).record


def _inside(field: Field) -> Field:
    """What holds for the elements of a field: none of its limits."""
    return Field(name=field.name, stored=field.stored, annotation=field.annotation, owner=field.owner)


def _is_free(shape: JsonShape) -> bool:
    return "dict" in str(shape.annotation) or shape.annotation is Any


def _bound(inclusive: Any, exclusive: Any, default: int, step: int) -> Any:
    if exclusive is not None:
        return exclusive + step
    return default if inclusive is None else inclusive


def _or(inclusive: Any, exclusive: Any, default: int) -> Any:
    limit = exclusive if inclusive is None else inclusive
    return default if limit is None else limit


def _strategies() -> Any:
    try:
        return import_module("hypothesis.strategies")  # only who has properties needs it
    except ImportError:
        raise ConfigError("strategy() needs Hypothesis: pip install 'dynamorm-py[testing]'") from None
