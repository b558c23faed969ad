"""Models made for one test."""

from typing import Any

from dynamorm.codec import ModelCodec, Registry
from dynamorm.models.declare import Attr, attr, partition_key
from dynamorm.models.model import Model


def model_with(name, declared, fields: Any) -> Any:
    """A model with a table, a text key and these fields, each an (annotation, declaration) pair."""
    make: Any = type(Model)
    annotations = {key: Attr.__class_getitem__(annotation) for key, (annotation, _) in fields.items()}
    namespace = {key: declaration for key, (_, declaration) in fields.items() if declaration is not None}
    namespace |= {"__annotations__": annotations, "__module__": declared}
    return make(name, (Model,), namespace, table=f"{name.lower()}-table")


def holder(annotation, *options, module=__name__, field="value", **settings):
    """A model named Holder with the key ``id`` and one more field."""
    return model_with("Holder", module, {"id": (str, partition_key()), field: (annotation, attr(*options, **settings))})


def codec_of(annotation, *options, **settings) -> ModelCodec:
    """The codec of such a model."""
    return Registry().codec(holder(annotation, *options, **settings))
