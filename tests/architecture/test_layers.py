"""The rules of the architecture that import-linter cannot say: who may touch sockets, the event loop and HTTP.

The order of the layers itself is a contract of import-linter, in pyproject.toml; here it is run as a test too.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, SOURCE, within

# Each of these modules may be imported only by its owners. The scripted servers and engines of dynamorm.testing are
# programs of their own, beside the core: they may do I/O.
BESIDE = ("dynamorm.testing",)
# The engine's other side: it answers over HTTP.
SERVING = ("dynamorm.engine.http", "dynamorm.engine.shared")

OWNERS = {
    # `net` and `dial` are what both drivers need of the operating system; `aio_link` names the type of its socket.
    "socket": (
        "dynamorm.io.blocking",
        "dynamorm.io.net",
        "dynamorm.io.dial",
        "dynamorm.io.aio_link",
        # Looks up where a webhook is to be sent.
        "dynamorm.payments.targets",
        "dynamorm.plugins.dashboard.server",
        # The doctor looks at a certificate as a handshake shows it, beside all requests.
        "dynamorm.adapters.cli.secure",
        *SERVING,
        *BESIDE,
    ),
    "selectors": ("dynamorm.io.blocking", "dynamorm.io.net", *BESIDE),
    "select": ("dynamorm.io.blocking", "dynamorm.io.net", *SERVING, *BESIDE),
    # `own_loop` runs what plugins await on the blocking face.
    "asyncio": (
        "dynamorm.io.aio",
        "dynamorm.io.aio_acquire",
        "dynamorm.io.aio_bell",
        "dynamorm.io.aio_hedge",
        "dynamorm.io.aio_in_process",
        "dynamorm.io.aio_link",
        "dynamorm.io.own_loop",
        # What they start on the asyncio face is a task.
        "dynamorm.plugins",
        *SERVING,
        *BESIDE,
    ),
    "ssl": ("dynamorm.io", "dynamorm.adapters.cli.secure", *BESIDE),
    "httptools": ("dynamorm.wire", *SERVING, *BESIDE),
    "hmac": ("dynamorm.wire", "dynamorm.plugins", "dynamorm.payments", "dynamorm.ops", *SERVING, *BESIDE),
    "botocore": ("dynamorm.wire.credentials", *BESIDE),
    "boto3": BESIDE,
    "pydantic": ("dynamorm.adapters", *BESIDE),
    "opentelemetry": ("dynamorm.plugins.tracing",),
    "fastapi": ("dynamorm.adapters", "dynamorm.plugins.tenancy.fastapi", *BESIDE),
    "redis": ("dynamorm.plugins.cache",),
    "requests": (),
    "rich": ("dynamorm.adapters.cli", "dynamorm.plugins.dashboard.screen", "dynamorm.plugins.dashboard.top"),
    "typer": ("dynamorm.adapters.cli",),
    "pyarrow": ("dynamorm.adapters.cli",),
    "starlette": ("dynamorm.plugins.dashboard.app", *BESIDE),
    "uvicorn": ("dynamorm.plugins.dashboard.connection", "dynamorm.plugins.dashboard.server", *BESIDE),
    # Commands: one fetches a price list, the other asks a dashboard.
    "urllib.request": ("dynamorm.plugins.cost.__main__", "dynamorm.plugins.dashboard.top"),
}

# What stands beside the core, on its public face.
OUTSIDE = (
    "dynamorm.__main__",
    "dynamorm.adapters",
    "dynamorm.dashboard",
    "dynamorm.export",
    "dynamorm.payments",
    "dynamorm.plugins",
    "dynamorm.spread",
    "dynamorm.testing",
)
# They may name a plugin: the faces import one on first use, the root hands plugin names on lazily.
FACES = tuple(f"dynamorm.faces.{face}.{module}" for face in ("blocking", "aio") for module in ("db", "shipped"))


def core(modules):
    return [module for module in modules if module.name != "dynamorm" and not module.inside(*FACES, *OUTSIDE)]


@pytest.mark.parametrize("owned", sorted(OWNERS))
def test_only_its_owners_import(owned, modules):
    strangers = [
        f"{module.at(line)} imports {owned}"
        for module in modules
        if not module.inside(*OWNERS[owned])
        for line, imported in module.imports
        if within(imported, owned)
    ]
    assert not strangers, "\n".join(strangers)


def test_the_core_knows_nothing_that_stands_beside_it(modules):
    found = [
        f"{module.at(line)} imports {imported}"
        for module in core(modules)
        for line, imported in module.imports
        if any(within(imported, name) for name in (*OUTSIDE, *FACES))
    ]
    assert not found, "\n".join(found)


def test_the_core_does_not_import_the_public_root(modules):
    """``from dynamorm import DB`` in a lower layer would pull in every layer above it, past the eyes of import-linter."""
    submodules = {module.name for module in modules} - {"dynamorm"}
    found = [
        f"{module.at(line)} imports {imported}"
        for module in core(modules)
        for line, imported in module.imports
        if within(imported, "dynamorm") and not any(within(imported, name) for name in submodules)
    ]
    assert not found, "\n".join(found)


def test_every_module_of_the_core_has_its_layer(modules):
    """A new module must be put into the order of the layers, or the contract would not see it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (contract["layers"] for contract in settings["contracts"] if contract["id"] == "layers")
    placed = {name.strip(" ()") for layer in layers for name in layer.replace(":", "|").split("|")}
    homeless = sorted(module.name for module in core(modules) if not module.inside(*placed))
    assert not homeless, f"not in the layers of pyproject.toml: {homeless}"


def test_the_import_contracts_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed beside this Python")
    ran = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_no_module_is_longer_than_600_lines(modules):
    long = {module.name: count for module in modules if (count := len(module.text.splitlines())) > 600}
    assert not long, f"which responsibility can move out? {long}"


def test_the_source_folder_holds_only_the_library():
    assert [path.name for path in SOURCE.iterdir() if path.is_dir() and "egg-info" not in path.name] == ["dynamorm"]


def test_the_library_ships_its_types():
    assert (SOURCE / "dynamorm" / "py.typed").is_file()
