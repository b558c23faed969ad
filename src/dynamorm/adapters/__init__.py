"""Classes that are no `Model`: pydantic v2 models, dataclasses and msgspec Structs, registered to be used as one.

Example::

    @register(table="orders", partition="id", version="version")
    class Order(pydantic.BaseModel):
        id: str
        total: int
        version: int = 0


    F = fields(Order)
    db.update(Order, "o1", F.total.add(5), condition=F.total > 0)
"""

from dynamorm.adapters.expressions import Fields, fields
from dynamorm.adapters.registration import register

__all__ = ["Fields", "fields", "register"]
