"""The table of moments is what the library asks: what is written of them, in three places, says the same."""

import ast
import re
from pathlib import Path

import pytest

import dynamorm.plugin
from dynamorm.errors import ConfigError
from dynamorm.faces import face
from dynamorm.ops.moments import ARGUMENTS, HOOKS, LOOKING, MOMENTS, SETTINGS
from dynamorm.plugin import Plugin
from dynamorm.testing import FakeClock, reply
from tests.plugins.scripts import FOUND, Payment, Scripted

GUIDE = Path(__file__).parents[2] / "docs/guide/plugins.md"
SHOWN = {*ARGUMENTS, *SETTINGS, "asks_actor", "shows_verbs"}
"""What a plugin may have."""
CHANGES_NOTHING = {*LOOKING, "return_consumed_capacity", "asks_actor", "shows_verbs"}


def told_in(text, mark="``"):
    """The moments that a text tells of, with their arguments; None where it names them alone."""
    found = {}
    for name, _, arguments in re.findall(rf"{mark}(\w+)(\(([\w, ]*)\))?{mark}", text):
        if name in SHOWN:
            found[name] = tuple(re.findall(r"\w+", arguments)) if _ else None
    return found


def test_a_name_is_there_once():
    assert len(ARGUMENTS) == len(MOMENTS)


def test_the_docstring_has_them_all():
    table = "".join(line.split("|")[1] for line in dynamorm.plugin.__doc__.splitlines() if line.startswith("|"))
    told = told_in(table)
    assert {*told} | {"options"} == SHOWN  # which stands beside ``field``
    assert "``options``" in dynamorm.plugin.__doc__
    for name, arguments in told.items():
        assert arguments == ARGUMENTS.get(name) or (arguments is None and name in {*HOOKS, *SHOWN - {*ARGUMENTS}}), name


def test_the_docstring_tells_which_change_nothing():
    (paragraph,) = re.findall(r"A plugin that has only (.*?) changes nothing", dynamorm.plugin.__doc__, re.DOTALL)
    assert {*told_in(paragraph)} == CHANGES_NOTHING


def test_the_guide_tells_which_change_nothing():
    (paragraph,) = re.findall(r"A plugin that has nothing but (.*?) changes nothing", GUIDE.read_text(), re.DOTALL)
    assert {*told_in(paragraph, "`")} == CHANGES_NOTHING


def test_the_guide_names_what_each_is_given():
    """Where it writes the arguments of one, they are those of the table; and none is left out of it."""
    text = GUIDE.read_text()
    for name, arguments in ARGUMENTS.items():
        assert re.search(rf"`{name}\b|def {name}\(self", text), name
        for given in re.findall(rf"`{name}\(([\w, ]*)\)`|def {name}\(self,? ?([\w, ]*)\)", text):
            names = tuple(re.findall(r"\w+", "".join(given)))
            assert names in {(), arguments}, (name, names)


def test_the_hooks_are_those_of_the_class():
    own = tuple(name for name, member in vars(Plugin).items() if callable(member) and not name.startswith("_"))
    assert own == HOOKS == dynamorm.plugin.HOOKS


def test_type_checkers_know_them_all():
    tree = ast.parse(Path(face.__file__).read_text())
    (checking,) = (node for node in tree.body if isinstance(node, ast.If))
    protocols = {
        node.name: node.body[0].name
        for node in checking.body
        if isinstance(node, ast.ClassDef) and isinstance(node.body[0], ast.FunctionDef)
    }
    (union,) = (node.value for node in checking.body if isinstance(node, ast.AnnAssign))
    joined = {node.id for node in ast.walk(union) if isinstance(node, ast.Name)}
    assert {protocols[name] for name in joined} == {*ARGUMENTS, *SETTINGS}


# ---------------------------------------------------------------------------------------------------------- shows_verbs


class Noting:
    """Looks at attempts alone."""

    def __init__(self, *, shows_verbs):
        self.verbs = []
        self.shows_verbs = shows_verbs

    def observed(self, call, reply, error):
        self.verbs.append(call.operation and (call.operation.verb, call.operation.scope.get("tenant")))


@pytest.mark.parametrize(("shows_verbs", "told"), [(True, ("get", "t1")), (False, None)])
def test_calls_tell_their_verbs_where_a_plugin_says_so(face_kind, shows_verbs, told):
    plugin = Noting(shows_verbs=shows_verbs)
    here = Scripted(face_kind, plugin, answer=FOUND, clock=FakeClock())
    here.db.view(tenant="t1").get(Payment, "p1")
    assert plugin.verbs == [told]


def test_one_that_shows_verbs_may_come_late(face_kind):
    here = Scripted(face_kind, answer=reply({}), clock=FakeClock())
    here.db.get(Payment, "p1")
    plugin = Noting(shows_verbs=True)
    here.db.use(plugin)
    here.db.get(Payment, "p1")
    assert plugin.verbs == [("get", None)]


def test_shows_verbs_is_true_or_false(face_kind):
    with pytest.raises(ConfigError, match="shows_verbs of the plugin Noting is True or False"):
        Scripted(face_kind, Noting(shows_verbs="yes"), clock=FakeClock())


def test_one_that_only_shows_verbs_does_nothing(face_kind):
    class Idle:
        shows_verbs = True

    with pytest.raises(ConfigError, match="none of the moments of plugins"):
        Scripted(face_kind, Idle(), clock=FakeClock())
