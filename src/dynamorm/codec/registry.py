"""`Registry`: one codec per model, built on first use with the plugins of the session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dynamorm.codec import values
from dynamorm.errors import ModelError
from dynamorm.models.schema.composite import Composite
from dynamorm.models.schema.compressed import Compressed
from dynamorm.models.schema.schema import CORE_OPTIONS, Field, Schema, schema_of

from .codec import ModelCodec

if TYPE_CHECKING:
    from dynamorm.plugin import FieldCodec, FieldHook, ModelHook, PlacedField


class Registry:
    """The codecs of a session.

    Args:
        field_hooks: called for every field; the first that answers wraps the field's code.
        model_hooks: called in order with the schema; each returns the schema to go on with.
        claimed: the option classes that a plugin handles.
        table_prefix: put before every table name.

    Example: ``Registry().codec(Payment).encode(payment)``
    """

    def __init__(
        self,
        field_hooks: Iterable[FieldHook] = (),
        model_hooks: Iterable[ModelHook] = (),
        claimed: Iterable[type] = (),
        table_prefix: str = "",
    ) -> None:
        self._field_hooks = tuple(field_hooks)
        self._model_hooks = tuple(model_hooks)
        self._options = (*CORE_OPTIONS, Composite, Compressed, *claimed)
        self._table_prefix = table_prefix
        self._codecs: dict[Any, ModelCodec] = {}

    def codec(self, model: Any) -> ModelCodec:
        """The codec of a model.

        Raises: ModelError when a type cannot be stored or an option has no plugin; InvalidUse when it is no model.
        """
        try:
            return self._codecs[model]
        except (KeyError, TypeError):
            return self._build(model)

    def _build(self, model: Any) -> ModelCodec:
        schema = schema_of(model)
        codec = self._codecs.get(schema.model)
        if codec is None:
            schema = self.changed(schema)
            codec = ModelCodec(schema, self._hook_of, self.codec, self._table_prefix)
            _check_none(codec)
            self._codecs[schema.model] = codec
        return codec

    def changed(self, schema: Schema) -> Schema:
        """The schema that code is generated from: as the plugins change that of the class."""
        codec = self._codecs.get(schema.model)
        if codec is not None:
            return codec.schema
        for hook in self._model_hooks:
            schema = hook(schema)
        return schema

    def _hook_of(self, schema: Schema, field: Field) -> FieldCodec | PlacedField | None:
        """What wraps a field. Runs for every field of every codec, so an option without a plugin is found here."""
        if field.unstored is not None:
            return None
        for option in field.options:
            if not isinstance(option, self._options):
                unclaimed = getattr(option, "unclaimed", None)
                if unclaimed is not None:
                    raise unclaimed(f"{schema.name}.{field.name}")
                name = type(option).__name__
                how = getattr(option, "claimed_by", "db.use(...)")
                raise ModelError(f"no installed plugin handles {name} on {schema.name}.{field.name}; call {how}")
        given = (field_codec for hook in self._field_hooks if (field_codec := hook(schema, field)) is not None)
        inner = next(given, None)
        if field.options and field.option(Compressed) is not None:
            return values.compressed.CompressedField(schema, field, inner)
        return inner


def _check_none(codec: ModelCodec) -> None:
    """Refuse None as the default of a field whose type, a text until now, has no place for it. Raises: ModelError."""
    for name, field in codec.schema.fields.items():
        if field.default is None and isinstance(field.annotation, str) and not field.role:
            plan = codec.plans[name]
            if not (plan.optional or plan.shape.null):
                raise ModelError(
                    f"{field.owner}.{name}: the default is None, which its type has no place for:"
                    f" Attr[{field.annotation} | None]"
                )
