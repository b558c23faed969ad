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
    "ministack": "the embedded engine is a child process",
    "multiprocessing": "never",
    "pydantic": "an adapter, on first use",
    "pytest": "dynamorm.testing.pytest_plugin only",
    "rich": "the demo",
    "ssl": "the first https endpoint",
    "subprocess": "the embedded engine, when it is started",
    "unittest": "never",
    "urllib.request": "never",
    "yaml": "fixtures, on first use",
}


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


def test_the_blocking_face_does_not_load_asyncio():
    assert "asyncio" not in loaded_by("from dynamorm import DB, Model, Config")


def test_few_foreign_modules_are_loaded(loaded):
    """A count and not a time, so that it says the same on every machine. boto3 with a client loads about 500."""
    foreign = sorted(name for name in loaded if name.partition(".")[0] != "dynamorm")
    assert len(foreign) < 130, foreign
