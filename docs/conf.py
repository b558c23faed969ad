"""How Sphinx makes the documentation. ``make docs`` assembles the source, and calls it."""

from __future__ import annotations

import ast
import re
import sys
import types
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref, pending_xref_condition
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import inspect
from sphinx.util.nodes import find_pending_xref_condition, make_refnode

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import dynamorm  # noqa: E402 - the source beside these pages
from scripts.docs import api  # noqa: E402 - likewise
from scripts.docs.docstrings import tables_as_lists  # noqa: E402 - likewise

project = "DynamORM"
author = "The DynamORM authors"
copyright = author
release = version = dynamorm.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["files"]
language = "en"

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"DynamORM {release}"
html_static_path = ["_static"]
html_css_files = ["dynamorm.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0b5cad", "color-brand-content": "#0b5cad"},
    "dark_css_variables": {"color-brand-primary": "#7db8ff", "color-brand-content": "#7db8ff"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

default_role = "py:obj"  # a name in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False


def _defined() -> set[str]:
    """Every name that the source defines: of modules, classes, functions, arguments and attributes."""
    names: set[str] = set()
    for path in (ROOT / "src" / "dynamorm").rglob("*.py"):
        names |= {path.stem, path.parent.name}
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    names.add(name)
                case ast.arg(arg=name) | ast.Name(id=name) | ast.Attribute(attr=name):
                    names.add(name)
    return names


class Names:
    """What a name in a docstring or an annotation stands for."""

    def __init__(self) -> None:
        self.full: dict[str, str] = {}
        for full, thing in api.documented().items():
            self.full.setdefault(full.rpartition(".")[2], full)
            if isinstance(thing, type):
                self.full[f"{thing.__module__}.{thing.__qualname__}"] = full
        self.defined = _defined()

    def find(self, target: str) -> str:
        """The full name of what is described, for a name as it is written."""
        if target in self.full:
            return self.full[target]
        head, _, member = target.rpartition(".")
        return f"{self.full[head]}.{member}" if head in self.full else target


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element) -> nodes.Node | None:
    """A link to the description of a name; its bare text where it has none. A name that nothing defines is warned of."""
    if node.get("refdomain") != "py":
        return None
    if not hasattr(app, "dynamorm_names"):
        app.dynamorm_names = Names()  # type: ignore[attr-defined]
    names: Any = app.dynamorm_names  # type: ignore[attr-defined]
    if isinstance(
        shown, pending_xref_condition
    ):  # the text for a name that has a description, and for one that has none
        chosen = find_pending_xref_condition(node, "resolved") or shown
        shown = nodes.inline("", "", *chosen.children)
    target = re.sub(r"\(.*", "", str(node["reftarget"])).strip("~.")
    entry = env.domains.python_domain.objects.get(names.find(target))
    if entry is not None:
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, shown, target)
    if (
        node["reftype"] != "obj"
        or target.rpartition(".")[2] in names.defined
        or target.partition(".")[0] in sys.stdlib_module_names
    ):
        return shown
    return None


def _tables(*given: Any) -> None:
    """Tables of docstrings are written with bars, which reStructuredText does not know."""
    given[-1][:] = tables_as_lists(given[-1])


def _signature(*given: Any) -> tuple[str, str] | None:
    """The signature of a class is that of its ``__init__``, also of one that only type checkers see."""
    _, what, _, thing, _, signature, returned = given
    if what != "class":
        return None
    shown = api.signature_for_checkers(thing)
    if (
        shown is None
        and isinstance(thing.__new__, types.FunctionType)
        and isinstance(thing.__init__, types.FunctionType)
    ):
        found = inspect.signature(thing.__init__, bound_method=True)
        shown = inspect.stringify_signature(found, show_return_annotation=False, unqualified_typehints=True)
    if shown is None and signature == "(*args, **kwargs)":  # of a protocol, which is not made
        shown = ""
    return None if shown is None else (shown, returned)


def setup(app: Sphinx) -> None:
    """What this configuration adds to Sphinx."""
    api.load_names_of_types()
    app.connect("autodoc-process-docstring", _tables)
    app.connect("autodoc-process-signature", _signature)
    app.connect("missing-reference", _resolve)
