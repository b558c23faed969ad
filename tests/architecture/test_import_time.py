"""Importing the library costs little: what a program does not use, it does not load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# What each of them is for, and when it may be loaded.
AVOIDABLE = {
    "asyncio": "the asyncio face, on its first use",
    "boto3": "never by the library",
    "botocore": "credentials beyond static and environment ones, on first use",
    "concurrent.futures": "the batcher, on first use",
    "email": "dates of replies are parsed without it",
    "fastapi": "an adapter, on first use",
    "http.client": "the wire is our own",
    "importlib.metadata": "the version, when somebody asks for it",
    "logging": "the logging plugin",
    "ministack": "ministack is a child process",
    "multiprocessing": "never",
    "pydantic": "an adapter, on first use",
    "pytest": "dynamorm.testing.pytest_plugin only",
    "rich": "the demo, and the dashboard in the terminal",
    "selenium": "never",
    "ssl": "the first https endpoint",
    "starlette": "the dashboard, when it is registered",
    "subprocess": "ministack, when it is started",
    "unittest": "never",
    "urllib.request": "commands",
    "uvicorn": "the dashboard, when it is registered",
    "yaml": "fixtures, on first use",
}


# What `import dynamorm` alone leaves out: it makes models, and each face is loaded with its first use.
FOR_A_FACE = {
    "dynamorm.codec": "the first face",
    "dynamorm.io": "the first face",
    "dynamorm.wire": "the first face",
    "hashlib": "the signature",
    "httptools": "replies",
    "socket": "the first face",
    "threading": "the first face",
}

# What a program does not load that connects and reads one item.
FOR_OTHER_VERBS = {
    "base64": "proxies and cursor keys given as text",
    "ipaddress": "IPv6 addresses",
    "dynamorm.codec.replies.batches": "batches",
    "dynamorm.codec.family": "models that share a table",
    "dynamorm.models.composite_check": "composite keys",
    "dynamorm.config.environment": "settings in the environment",
    "dynamorm.models.expressions.compile": "conditions and updates",
    "dynamorm.ops.queries.query": "queries",
    "dynamorm.ops.verbs.update": "updates",
    "dynamorm.ops.verbs.put": "writes",
    "dynamorm.io.acquire": "plugins that have a limiter",
    "dynamorm.wire.limiter": "plugins that have a limiter",
    "dynamorm.plugin": "who writes a plugin",
    "dynamorm.faces.blocking.query": "queries",
    "dynamorm.faces.blocking.tables": "the administration of tables",
    "urllib.parse": "odd forms of an endpoint's URL, and proxies",
}

FIRST_GET = """
from dynamorm import DB, Attr, Config, Credentials, Model, partition_key

class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]

here = Config(
    region="us-east-1", endpoint="http://127.0.0.1:8000", allow_insecure_local=True, credentials=Credentials("k", "s")
)
from dynamorm.ops.reads import items
with DB(here) as db:
    flow = items.get(db._session, Payment, ("p1",), {}, consistent=False)
    assert b"GetItem" in flow.send(next(flow).sync()).data  # the first effect fetches the credentials
    assert db._session.plan(Payment).codec.read_item(b'{"Item":{"id":{"S":"p1"},"amount":{"N":"5"}}}').amount == 5
"""


def loaded_by(program):
    """Names of the modules that a new interpreter holds after ``program``, less those that it starts with."""
    listing = f"import sys; before = set(sys.modules)\n{program}\nimport json; print(json.dumps(list(set(sys.modules) - before)))"
    # Isolated, so that neither this folder nor the environment's own start-up files join in.
    ran = subprocess.run([sys.executable, "-I", "-c", listing], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout))


@pytest.fixture(scope="module")
def loaded():
    return loaded_by("import dynamorm")


@pytest.mark.parametrize("name", sorted(AVOIDABLE))
def test_import_does_not_load(name, loaded):
    assert name not in loaded, f"loaded by `import dynamorm`, but wanted for: {AVOIDABLE[name]}"


@pytest.mark.parametrize("name", sorted(FOR_A_FACE))
def test_models_do_not_load(name, loaded):
    assert name not in loaded, f"loaded by `import dynamorm`, but wanted for: {FOR_A_FACE[name]}"


@pytest.fixture(scope="module")
def loaded_by_first_get():
    return loaded_by(FIRST_GET)


# Opening a database looks for AWS's settings of the host, also in the environment.
FOR_OPENING = {"dynamorm.config.environment"}


@pytest.mark.parametrize("name", sorted((AVOIDABLE | FOR_OTHER_VERBS).keys() - FOR_OPENING))
def test_the_first_get_does_not_load(name, loaded_by_first_get):
    assert name not in loaded_by_first_get


def test_the_first_get_loads_what_it_says(loaded_by_first_get):
    assert {"dynamorm.faces.blocking.db", "dynamorm.ops.reads.items", "dynamorm.io.blocking"} <= loaded_by_first_get


def test_the_asyncio_face_does_not_load_the_blocking_one():
    assert "dynamorm.faces.blocking.db" not in loaded_by("from dynamorm import AsyncDB")


def test_the_blocking_face_does_not_load_asyncio():
    assert "asyncio" not in loaded_by("from dynamorm import DB, Model, Config")


def test_few_foreign_modules_are_loaded(loaded):
    """A count and not a time, so that it says the same on every machine. boto3 with a client loads about 500."""
    foreign = sorted(name for name in loaded if name.partition(".")[0] != "dynamorm")
    assert len(foreign) < 130, foreign
