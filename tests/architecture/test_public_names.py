"""The exported names are a promise: a change of them is a change of this folder's list, seen in review."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import dynamorm
from dynamorm import plugins, testing

STORED = Path(__file__).with_name("public_names.txt")


def test_exported_names_are_the_stored_ones():
    stored = STORED.read_text().split()
    exported = sorted(dynamorm.__all__)
    missing = sorted(set(stored) - set(exported))
    added = sorted(set(exported) - set(stored))
    assert exported == stored, f"gone: {missing}, new: {added}; if that is meant, run `make public-names`"


def test_no_name_is_exported_twice():
    assert len(dynamorm.__all__) == len(set(dynamorm.__all__))


def test_every_exported_name_is_there():
    absent = [name for name in dynamorm.__all__ if getattr(dynamorm, name, dynamorm) is dynamorm]
    assert not absent


def test_exported_names_can_be_listed():
    """A name that is handed on lazily is in ``dir()`` too, so that completion finds it."""
    assert set(dynamorm.__all__) <= set(dir(dynamorm))


def test_the_shipped_plugins_can_be_listed_and_imported_by_a_star():
    program = "from dynamorm.plugins import *\nprint(sorted(name for name in globals() if name[:2] != '__'))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(sorted(plugins.__all__))
    assert set(plugins.__all__) == set(plugins._HOMES) <= set(dir(plugins))


def test_what_a_module_needs_itself_is_not_listed():
    for module in (dynamorm, plugins, testing):
        assert not {"Any", "TYPE_CHECKING"} & set(dir(module))


def test_star_import_gives_the_exported_names():
    """In a process of its own, where no lazy name has been touched before."""
    program = "from dynamorm import *\nimport dynamorm\nprint(sorted(set(dynamorm.__all__) - set(globals())))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(dynamorm, "no_such_name")


def test_the_version_is_that_of_the_distribution():
    assert getattr(dynamorm, "__version__", None) in {None, importlib.metadata.version("dynamorm-py")}
