"""The models that both faces of DynamORM are measured with. Their versioned writes carry tokens, as by default."""

from __future__ import annotations

from datetime import datetime

from benchmarks import sample
from dynamorm import Attr, Config, Credentials, Model, partition_key, sort_key, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def settings(endpoint: str) -> Config:
    """The defaults, allowed to speak plain http to this machine."""
    return Config(
        region=sample.REGION,
        endpoint=endpoint,
        require_https=False,
        allow_insecure_local=True,
        credentials=Credentials(sample.KEY_ID, sample.SECRET),
    )


def payment_model(name: str) -> Any:
    """The payment over one table."""

    class Payment(Model, table=f"nanos-{name}"):
        merchant_id: Attr[str] = partition_key()
        id: Attr[str] = sort_key()
        idempotency_key: Attr[str]
        amount: Attr[int]
        currency: Attr[str]
        status: Attr[str]
        created_at: Attr[datetime]
        version: Attr[int] = version()
        tags: Attr[list[str]]
        metadata: Attr[dict[str, str]]

    return Payment


def wide_model() -> Any:
    """The item of 60 attributes."""
    members = sample.wide_members(Attr, partition_key(), __name__)
    metaclass: Any = type(Model)
    return metaclass("Wide", (Model,), members, table="nanos-wide")


def blob_model(size: int) -> Any:
    """The item of one long text."""

    class Blob(Model, table=f"nanos-blob-{size}"):
        id: Attr[str] = partition_key()
        data: Attr[str]

    return Blob
