"""Where objects are stored: S3 by a client of the program's, or anything with four functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from inspect import iscoroutinefunction
from typing import Any, Final, Protocol

from dynamorm.arguments import type_given
from dynamorm.errors import ConfigError

_MISSING: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_FUNCTIONS: Final = ("put", "get", "delete", "list")


class ObjectStore(Protocol):
    """What stores objects. Plain functions, which block; on the asyncio face they are called in worker threads.

    A class with these four serves in the place of a client of S3: ``Offload(MyStore())``.
    """

    def put(self, bucket: str, key: str, data: bytes, /) -> object:
        """Store an object. It returns when everybody can read it."""
        ...

    def get(self, bucket: str, key: str, largest: int, /) -> bytes | None:
        """The bytes of an object, of which no more than ``largest`` need be read; None where there is none."""
        ...

    def delete(self, bucket: str, key: str, /) -> object:
        """Remove an object; one that is not there counts as removed."""
        ...

    def list(self, bucket: str, prefix: str, /) -> Iterable[tuple[str, float]]:
        """The keys that begin with this text, each with the time at which it was stored, in seconds since the epoch."""
        ...


class S3:
    """An `ObjectStore` over a client such as ``boto3.client("s3")``, which can be used by several threads."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, bucket: str, key: str, data: bytes, /) -> None:
        """See `ObjectStore`. S3 is consistent: what was stored is read by who asks afterwards."""
        self._client.put_object(Bucket=bucket, Key=key, Body=data)

    def get(self, bucket: str, key: str, largest: int, /) -> bytes | None:
        """See `ObjectStore`."""
        try:
            body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
        except Exception as error:
            if _code_of(error) in _MISSING:
                return None
            raise
        try:
            data: bytes = body.read(largest)
        finally:
            body.close()
        return data

    def delete(self, bucket: str, key: str, /) -> None:
        """See `ObjectStore`."""
        self._client.delete_object(Bucket=bucket, Key=key)

    def list(self, bucket: str, prefix: str, /) -> Iterator[tuple[str, float]]:
        """See `ObjectStore`."""
        asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        while True:
            page = self._client.list_objects_v2(**asked)
            for found in page.get("Contents") or ():
                yield found["Key"], found["LastModified"].timestamp()
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]


def _code_of(error: Exception) -> str:
    """The code of a refusal, as errors of botocore have it."""
    response: Any = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return str(code)


def store_of(given: Any) -> ObjectStore:
    """What was given to store objects in. Raises: ConfigError."""
    if isinstance(given, type) or given is None:
        raise ConfigError(
            f'Offload takes a client of S3, such as boto3.client("s3"), or an ObjectStore, not {type_given(given)}'
        )
    if all(callable(getattr(given, name, None)) for name in ("put_object", "get_object", "delete_object")):
        given = S3(given) if not iscoroutinefunction(given.put_object) else given
    functions = [getattr(given, name, None) for name in _FUNCTIONS]
    if not all(map(callable, functions)):
        raise ConfigError(
            'Offload takes a client of S3, such as boto3.client("s3"), or an object with the functions put, get, delete and list:'
            f" {type(given).__name__} lacks some"
        )
    if any(iscoroutinefunction(function) for function in functions):
        raise ConfigError(
            "the functions of an ObjectStore are plain ones: with AsyncDB they are called in worker threads"
        )
    store: ObjectStore = given
    return store
