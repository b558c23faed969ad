"""One adapter per library. An adapter says how its users would write each piece of work; nothing is tuned in secret."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A library that can be measured.

    ``statement`` is what a program that uses it imports; ``distributions`` are the packages whose size counts.
    """

    name: str
    title: str
    module: str
    statement: str
    distributions: tuple[str, ...]
    connect: str = "connect"
    """What of the module makes the adapter from the address."""
    face: str = "sync"
    """``sync`` or ``async``: with which face of DynamORM it is compared."""


ENTRIES = (
    Entry("floor", "hand-written floor", "floor", "import socket, hashlib, hmac, msgspec", ("msgspec",)),
    Entry(
        "dynamorm",
        "DynamORM",
        "dynamorm_sync",
        "from dynamorm import DB, Attr, Config, Credentials, Model, attr, partition_key, sort_key, version",
        ("dynamorm-py",),
    ),
    Entry(
        "dynamorm-async",
        "DynamORM (asyncio)",
        "dynamorm_async",
        "import asyncio\n"
        "from dynamorm import AsyncDB, Attr, Config, Credentials, Model, attr, partition_key, sort_key, version",
        ("dynamorm-py",),
        face="async",
    ),
    Entry("boto3", "boto3 client", "boto3_client", "import boto3", ("boto3",)),
    Entry("boto3-resource", "boto3 resource", "boto3_resource", "import boto3, boto3.dynamodb.conditions", ("boto3",)),
    Entry(
        "pynamodb",
        "PynamoDB",
        "pynamodb_",
        "import pynamodb.models, pynamodb.attributes",
        ("pynamodb",),
    ),
    Entry("pydynox", "pydynox", "pydynox_", "import pydynox, pydynox.attributes", ("pydynox",)),
    Entry(
        "pydynox-async",
        "pydynox (asyncio)",
        "pydynox_async",
        "import asyncio, pydynox, pydynox.attributes",
        ("pydynox",),
        face="async",
    ),
    Entry("dyntastic", "dyntastic", "dyntastic_", "import dyntastic", ("dyntastic",)),
    Entry(
        "aiodynamo",
        "aiodynamo (dicts)",
        "aiodynamo_",
        "import asyncio, aiohttp, aiodynamo.client, aiodynamo.http.aiohttp",
        ("aiodynamo", "aiohttp"),
        face="async",
    ),
)
PLUGGED = (
    Entry("observed", "a plugin that observes", "dynamorm_plugins", "", (), "observed"),
    Entry("surrounded", "a plugin around each call", "dynamorm_plugins", "", (), "surrounded"),
)
"""DynamORM with a plugin: measured beside DynamORM alone."""
NEWER = (Entry("dynamoxy", "dynamoxy", "dynamoxy_", "import asyncio, dynamoxy", ("dynamoxy",), face="async"),)
"""Libraries that need a newer Python, and are measured on it."""
BY_NAME = {entry.name: entry for entry in (*ENTRIES, *PLUGGED, *NEWER)}
