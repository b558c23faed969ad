"""The codec: Python objects to DynamoDB's JSON and back. Only this package knows ``{"S": ...}``."""

from .codec import ModelCodec, Page
from .registry import Registry
from .state import ACCESS, Access
from .strict import expect_empty, read_count, read_object

__all__ = ["ACCESS", "Access", "ModelCodec", "Page", "Registry", "expect_empty", "read_count", "read_object"]
