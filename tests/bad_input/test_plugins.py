"""What a plugin's author gets wrong at first: one typed error that names the plugin, the moment and the fix."""

import asyncio
import gc
import warnings
from functools import partial, wraps
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from dynamorm import Attr, Model, Plugin, attr, gsi, partition_key, sort_key, version
from dynamorm.effects import Acquire, Call, Sleep
from dynamorm.errors import ConfigError, DynamORMError, InvalidUse, ModelError, NotFound, ValidationError
from dynamorm.ops import moments
from dynamorm.plugin import KnownQuery, Limiter, ReadRule, WriteRule

from .conftest import SECRET


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0, name="amt")
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Row(Model, table="rows"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    state: Attr[str] = attr(default="")
    day: Attr[str] = attr(default="")
    by_state = gsi("by-state", partition="state", sort="day")


class Mark:
    """A field option of a plugin."""


class Marked(Model, table="marked"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(Mark(), default="x")


@pytest.fixture
def made(open_db, server):
    """Opens databases on the server that must never be asked."""
    return lambda: open_db(server.endpoint)


@pytest.fixture
def used(made, refused):
    """Expects that `db.use` refuses, or that the call with the plugin does, and that nothing is left un-awaited."""

    def check(kind, plugin, *words, call=None):
        db = made()
        if call is None:
            return refused(kind, lambda: db.use(plugin), *words)
        db.use(plugin)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            error = refused(kind, lambda: call(db), *words)
            gc.collect()
        return error

    return check


def get(db):
    return db.get(Thing, SECRET)


def create(db):
    return db.create(Thing(id=SECRET))


def update(db):
    return db.update(Thing, SECRET, Thing.amount.add(1))


def plugin_with(base=Plugin, **members):
    return type("Mine", (base,), {"name": "mine", **members})()


# ------------------------------------------------------------------------------------------------------------ at db.use


@pytest.mark.parametrize(
    ("slip", "moment"),
    [
        ("pre_qurey", "pre_query"),
        ("prequery", "pre_query"),
        ("post_querry", "post_query"),
        ("on_eror", "on_error"),
        ("onError", "on_error"),
        ("arround", "around"),
        ("opperation", "operation"),
        ("admitt", "admit"),
        ("obsrved", "observed"),
        ("writerule", "write_rule"),
        ("read_rules", "read_rule"),
        ("finished", "finish"),
        ("closd", "closed"),
        ("foked", "forked"),
        ("feild", "field"),
    ],
)
@pytest.mark.parametrize("base", [Plugin, object])
def test_a_misspelled_moment_is_told(used, base, slip, moment):
    plugin = plugin_with(base, **{slip: lambda self, *args: None, "observe": lambda self, call, reply: None})
    used(ConfigError, plugin, f"the plugin mine has a method {slip}", f"did you mean {moment}?")


@pytest.mark.parametrize(
    ("slip", "moment"), [("transfrom", "transform"), ("contributes", "contribute"), ("transform",) * 2]
)
def test_a_moment_of_rules_in_a_plugin_is_told(used, slip, moment):
    plugin = plugin_with(**{slip: lambda self, draft: None})
    used(ConfigError, plugin, "the plugin mine", slip, f"{moment} is a moment of rules", "write_rule(schema)")


@pytest.mark.parametrize(("slip", "moment"), [("transfrom", "transform"), ("contributes", "contribute")])
def test_a_misspelled_moment_of_a_rule_of_writes_is_told(used, slip, moment):
    rule = type("Mine", (WriteRule,), {slip: lambda self, draft: None})()
    plugin = plugin_with(write_rule=lambda self, schema: rule)
    used(ConfigError, plugin, f"the rule Mine has a method {slip}", f"did you mean {moment}?", call=create)


@pytest.mark.parametrize(
    ("slip", "moment"), [("contributes", "contribute"), ("chek", "check"), ("prepares", "prepare")]
)
def test_a_misspelled_moment_of_a_rule_of_reads_is_told(used, slip, moment):
    rule = type("Mine", (ReadRule,), {slip: lambda self, *args: None})()
    plugin = plugin_with(read_rule=lambda self, schema: rule)
    used(ConfigError, plugin, f"the rule Mine has a method {slip}", f"did you mean {moment}?", call=get)


def test_helpers_of_a_plugin_are_its_own(made):
    class Mine(Plugin):
        name = "mine"

        def __init__(self):
            self.operations, self.observer = [], len

        def pre_query(self, ctx, query): ...
        def close(self): ...
        def mode(self): ...
        def flush(self, entries): ...
        def record(self, call): ...
        def _arround(self, call): ...

        @property
        def models(self):
            raise AssertionError("nobody asks")

    class Rule(WriteRule):
        name = "rule"

        def write_rule(self, schema):
            return self

        def prepared(self): ...
        def seal(self, draft): ...
        def transform(self, draft): ...

    made().use(Mine(), Rule())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([Plugin()], ("one by one", "db.use(*plugins)", "list")),
        ((Plugin(),), ("one by one", "tuple")),
        ({Plugin()}, ("one by one", "set")),
        (SECRET, ("not str", "an object", "db.use(")),
        (None, ("not None", "db.use(")),
        ({"name": SECRET}, ("not dict", "db.use(")),
        (3, ("not int",)),
        (Plugin, ("Plugin is a class", "db.use(Plugin(...))")),
        (object(), ("has none of the moments", "around", "pre_query")),
        (lambda: None, ("has none of the moments",)),
        (SimpleNamespace(name="empty"), ("the plugin empty has none of the moments",)),
        (SimpleNamespace(name=3, around=lambda call: call), ("name of SimpleNamespace", "a text")),
    ],
    ids=["list", "tuple", "set", "text", "none", "dict", "int", "class", "object", "function", "empty", "name"],
)
def test_what_is_no_plugin_is_refused(used, given, words):
    used(ConfigError, given, *words)


@pytest.mark.parametrize("options", [(Mark(),), [Mark, Mark()], ("Mark",), (None,)])
def test_options_are_classes(used, options):
    used(ConfigError, plugin_with(options=options), "options of the plugin mine", "classes of field options")


def test_an_option_is_no_class_nor_a_text():
    with pytest.raises(ModelError, match=r"write Mark\(...\) with parentheses"):
        attr(Mark)
    with pytest.raises(ModelError, match="is not a field option"):
        attr([Mark()])
    with pytest.raises(ModelError, match="is not a field option"):
        attr((Mark(),))


@pytest.mark.parametrize("word", ["options", "option", "plugins"])
def test_options_are_given_without_a_name(word):
    with pytest.raises(DynamORMError, match=r"attr\(Mark\(\)"):
        attr(**{word: (Mark(),)})


def yields(self, *args):
    yield


async def late(self, *args): ...


async def late_and_yields(self, *args):
    yield


@pytest.mark.parametrize(
    "moment", ["pre_query", "post_query", "on_error", "admit", "observe", "finish", "opened", "operation"]
)
@pytest.mark.parametrize("function", [yields, late_and_yields])
def test_a_moment_that_nobody_would_run_is_refused(used, moment, function):
    used(ConfigError, plugin_with(**{moment: function}), f"{moment} of the plugin mine", "make it a plain function")


ARGUMENTS = {
    "pre_query": "ctx, query",
    "post_query": "ctx, query, result",
    "on_error": "ctx, query, error",
    "operation": "next",
    "write_rule": "schema",
    "read_rule": "schema",
    "scope_rule": "schema, scope",
    "viewed": "before, scope",
    "scope_of": "scope",
    "credentials_of": "scope",
    "administered": "what, scope",
    "finish": "transaction",
    "statement": "table, text, values",
    "field": "schema, field",
    "model": "schema",
    "companions": "schema",
    "around": "call",
    "admit": "call",
    "observed": "call, reply, error",
    "retried": "call, error",
    "observe": "call, reply",
    "began": "operation",
    "ended": "operation, error",
    "call_began": "call",
    "call_ended": "call, error",
    "gauges": "",
    "explained": "request, config",
    "joined": "db",
    "opened": "db",
    "closed": "db",
    "forked": "",
}
"""What each moment is given."""


def function_of(arguments, *, late=False):
    """A method with these arguments."""
    names = {}
    exec(f"{'async ' if late else ''}def method(self, {arguments}): ...", names)
    return names["method"]


def test_every_moment_has_its_arguments():
    assert set(ARGUMENTS) == set(moments.ARGUMENTS)


@pytest.mark.parametrize("moment", sorted(ARGUMENTS))
@pytest.mark.parametrize("wrong", ["fewer", "more", "by name"])
def test_a_moment_that_cannot_take_what_it_is_given_is_refused(used, moment, wrong):
    right = ARGUMENTS[moment]
    if wrong == "fewer" and not right:
        return
    arguments = {
        "fewer": right.rpartition(", ")[0],
        "more": f"{right}, further" if right else "further",
        "by name": f"{right}, *, further" if right else "*, further",
    }[wrong]
    words = f"{moment} of the plugin mine is called with ({right}), and takes ({arguments.replace('*, ', '')})"
    used(ConfigError, plugin_with(**{moment: function_of(arguments)}), words)


@pytest.mark.parametrize("moment", ["pre_query", "post_query", "on_error", "opened", "closed"])
def test_a_coroutine_too(used, moment):
    plugin = plugin_with(**{moment: function_of(ARGUMENTS[moment] + ", further", late=True)})
    used(ConfigError, plugin, f"{moment} of the plugin mine is called with ({ARGUMENTS[moment]})")


def test_whatever_takes_the_arguments_is_right(made):
    class Whole(Plugin):
        name = "whole"

        def pre_query(self, *args): ...
        def post_query(self, ctx, query, result, more=None, *, other=None): ...

        @staticmethod
        def on_error(ctx, query, error): ...

        @classmethod
        def joined(cls, db): ...

        @wraps(function_of("call, given_by_the_decorator"))
        def observed(self, *args): ...

    counted = SimpleNamespace(name="mocked", ended=Mock(), admit=partial(lambda self, call: None, None))
    made().use(Whole(), counted)


@pytest.mark.parametrize(
    ("base", "member", "moment", "arguments"),
    [
        (WriteRule, "write_rule", "transform", "draft"),
        (WriteRule, "write_rule", "contribute", "draft"),
        (WriteRule, "write_rule", "check_batch", "plan"),
        (WriteRule, "write_rule", "relies_on", "plan, raw"),
        (WriteRule, "write_rule", "allows_statement", "text, values"),
        (ReadRule, "read_rule", "contribute", "draft"),
        (ReadRule, "read_rule", "check", "item, scope"),
        (ReadRule, "read_rule", "keeps_all", "names, request, scope"),
    ],
)
@pytest.mark.parametrize("wrong", ["", "one, two, three, four"])
def test_a_moment_of_a_rule_likewise(used, base, member, moment, arguments, wrong):
    rule = type("Mine", (base,), {moment: function_of(wrong)})()
    plugin = plugin_with(**{member: lambda self, schema: rule})
    words = f"{moment} of the rule Mine is called with ({arguments}), and takes ({wrong})"
    used(ConfigError, plugin, words, call=create if base is WriteRule else get)


def test_what_prepares_likewise(used):
    class Mine(ReadRule):
        def prepare(self, items):
            yield

    plugin = plugin_with(read_rule=lambda self, schema: Mine())
    used(ConfigError, plugin, "prepare of the rule Mine is called with (items, scope), and takes (items)", call=get)


@pytest.mark.parametrize("moment", ["operation", "around"])
def test_a_layer_that_cannot_take_what_it_is_given_is_refused(used, moment):
    def gives(self, inner):
        def alone():
            return (yield from inner(None))

        return alone

    used(ConfigError, plugin_with(**{moment: gives}), f"{moment}", "of the plugin mine", "and takes ()")


@pytest.mark.parametrize("role", ["encode", "decode"])
def test_a_codec_that_cannot_take_a_value_is_refused(used, role):
    codec = {"encode": lambda value: value, "decode": lambda value: value, role: lambda: None}
    plugin = plugin_with(field=lambda self, schema, field: (codec["encode"], codec["decode"]))
    used(ConfigError, plugin, f"Thing.id: {role} is called with (value), and takes ()", call=create)


@pytest.mark.parametrize("members", [{}, {"before_query": 2}, {"pre_get": 2}, {"post_create": 2}, {"on_failure": 2}])
def test_a_plugin_that_overrides_nothing_is_refused(used, members):
    plugin = plugin_with(**{name: lambda self, ctx, query: None for name in members})
    used(ConfigError, plugin, "overrides none of pre_query, post_query, on_error", "ctx.verb says which")


# -------------------------------------------------------------------------------------- answers where an error refuses


@pytest.mark.parametrize("answer", [False, True, "no", asyncio.sleep])
def test_admit_gives_no_answer(used, answer):
    given = answer(0) if callable(answer) else answer
    plugin = plugin_with(admit=lambda self, call: given)
    used(ConfigError, plugin, "admit of the plugin mine gave", "raises an error to refuse", call=get)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("answer", [False, True])
def test_pre_query_says_neither_yes_nor_no(used, answer, late):
    async def awaited(self, ctx, query):
        return answer

    plugin = plugin_with(pre_query=awaited if late else lambda self, ctx, query: answer)
    used(ConfigError, plugin, "pre_query of the plugin mine gave bool", "raises an error to refuse", call=get)


@pytest.mark.parametrize("late", [False, True])
def test_opened_says_neither_yes_nor_no(used, late):
    async def awaited(self, db):
        return False

    plugin = plugin_with(opened=awaited if late else lambda self, db: False)
    used(ConfigError, plugin, "opened of the plugin mine gave bool", call=get)


def test_joined_gives_no_answer(used):
    used(ConfigError, plugin_with(joined=lambda self, db: False), "joined of the plugin mine gave bool")


def test_check_batch_gives_no_answer(used):
    rule = type("Mine", (WriteRule,), {"check_batch": lambda self, plan: False})()
    plugin = plugin_with(write_rule=lambda self, schema: rule)

    def write(db):
        db.batch_write(puts=[Thing(id=SECRET)])

    used(DynamORMError, plugin, "check_batch of Mine gave bool", "raises an error to refuse the batch", call=write)


# --------------------------------------------------------------------------------------------------------------- layers


def takes_none(self, inner):
    return None


def takes_a_coroutine(self, inner):
    return asyncio.sleep(0)


def takes_a_text(self, inner):
    return SECRET


def takes_a_flow(self, inner):
    return inner(None) if False else (one for one in ())


def awaits(self, inner):
    async def awaited(subject):
        return await inner(subject)

    return awaited


def drops(self, inner):
    def dropped(subject):
        inner(subject)
        yield Sleep(0)

    return dropped


def returns(self, inner):
    def returned(subject):
        if subject is None:
            return (yield from inner(subject))
        return inner(subject)

    return returned


def drops_another(self, inner):
    def dropped(subject):
        yield from ()
        inner(subject if subject.table else subject.with_wire())
        inner(subject.with_wire())

    return dropped


def binds(self, inner):
    return self.mine


LAYERS = [
    (takes_none, "not None"),
    (takes_a_coroutine, "not a coroutine"),
    (takes_a_text, "not str"),
    (takes_a_flow, "not generator"),
    (awaits, "coroutine function"),
    (drops, "calls inner(...) without `yield from`"),
    (returns, "returns inner(...) without `yield from`"),
    (drops_another, "calls inner(...) without `yield from`"),
]


@pytest.mark.parametrize("moment", ["around", "operation"])
@pytest.mark.parametrize(("function", "words"), LAYERS, ids=[one.__name__ for one, _ in LAYERS])
@pytest.mark.filterwarnings("error")
def test_a_layer_that_is_none_is_refused_at_use(made, used, moment, function, words):
    used(ConfigError, plugin_with(**{moment: function}), f"{moment}", "of the plugin mine", words)
    gc.collect()


@pytest.mark.parametrize("moment", ["around", "operation"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda inner: lambda subject: None, "None"),
        (lambda inner: lambda subject: SECRET, "str"),
        (lambda inner: lambda subject: asyncio.sleep(0), "a coroutine"),
        (lambda inner: lambda subject: inner(subject) and None, "None"),
    ],
    ids=["none", "text", "coroutine", "dropped"],
)
def test_a_layer_that_gives_no_flow_is_told(used, moment, given, words):
    plugin = plugin_with(**{moment: lambda self, inner: given(inner)})
    used(InvalidUse, plugin, f"{moment}", "of the plugin mine", f"returned {words}", "in the place of a flow", call=get)


def test_layers_that_are_right_stay_as_they_are(made, server):
    class Layer:
        def __init__(self, inner):
            self.inner = inner

        def __call__(self, subject):
            return (yield from self.inner(subject))

    class Mine:
        name = "mine"

        def seen(self, *given): ...

        def operation(self, inner):
            def stored(subject):
                assert isinstance(inner, object)
                assert callable(inner)
                self.seen(inner)
                self.seen(subject, inner)
                flow = inner(subject)
                return (yield from (flow if subject.verb else inner(subject)))

            return stored

        def around(self, inner):
            return Layer(inner)

    class Through:
        name = "through"

        def operation(self, inner):
            return inner

        def around(self, inner):
            return lambda op: inner(op)  # noqa: PLW0108 - a layer that is no generator

    db = made()
    db.use(Mine(), Through())
    assert db.get(Thing, "x") is None


class Hooked(Plugin):
    def pre_query(self, ctx, query): ...


def test_a_use_with_a_layer_that_is_none_changes_nothing(made):
    class Lost:
        name = "lost"

        def operation(self, inner):
            return None

    db = made()
    with pytest.raises(ConfigError, match="lost"):
        db.use(Hooked(), Lost(), on_error="raise_after")
    db.use(Hooked(), on_error="raise_after")
    assert [type(plugin) for plugin in db.inner._session.plugins] == [Hooked]
    assert db.get(Thing, "x") is None


def test_a_hook_that_hides_a_coroutine_is_told(used):
    def hidden(self, ctx, query):
        return late(self)

    used(InvalidUse, plugin_with(pre_query=hidden), "pre_query of the plugin mine", "gave a coroutine", call=get)


# --------------------------------------------------------------------------------------------------------------- flows


def flow_with(effect):
    def around(self, call):
        def mine(op):
            yield effect()
            return (yield from call(op))

        return mine

    return plugin_with(around=around)


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (lambda: asyncio.sleep(1), ("a coroutine", "Call(")),
        (lambda: None, ("nothing",)),
        (lambda: SECRET, ("an object of str",)),
        (lambda: Sleep, ("the class Sleep",)),
        (lambda: (_ for _ in ()), ("a flow", "yield from")),
    ],
    ids=["coroutine", "nothing", "text", "class", "flow"],
)
def test_what_is_no_effect_is_told_with_those_there_are(used, effect, words):
    places = "flow_with.<locals>.around.<locals>.mine yields", "Call", "Sleep", "Acquire", "Gather"
    used(InvalidUse, flow_with(effect), *places, *words, call=get)


def test_an_effect_is_yielded_and_not_run(used):
    def around(self, call):
        def mine(op):
            yield from Sleep(1)
            return (yield from call(op))

        return mine

    used(InvalidUse, plugin_with(around=around), "Sleep is one effect", "yield Sleep(...)", call=get)


def test_a_text_is_no_flow(used):
    def around(self, call):
        def mine(op):
            yield from SECRET
            return (yield from call(op))

        return mine

    used(InvalidUse, plugin_with(around=around), "mine says `yield from`", "str_", "no flow", call=get)


@pytest.mark.parametrize("given", [3, None, "20", Limiter])
def test_acquire_takes_a_limiter(used, given):
    used(
        InvalidUse, flow_with(lambda: Acquire(given)), "Acquire waits for a place of a Limiter", "Limiter(20)", call=get
    )


def test_acquire_is_yielded_for_its_permit(used):
    limiter = Limiter(1)

    def around(self, call):
        def mine(op):
            with Acquire(limiter):
                return (yield from call(op))

        return mine

    used(InvalidUse, plugin_with(around=around), "with (yield Acquire(limiter)):", call=get)
    assert limiter.held == 0


@pytest.mark.parametrize(
    "call_of",
    [lambda: Call(asyncio.sleep(1)), lambda: Call(len, asyncio.sleep(1)), lambda: Call("x"), lambda: Call(None)],
)
def test_call_takes_functions(used, call_of):
    used(InvalidUse, flow_with(call_of), "Call takes a function", "yield Call(fetch, fetch_async)", call=get)


@pytest.mark.parametrize("answer", [{"Item": {}}, SECRET, None, (b"{}", None)], ids=["dict", "text", "none", "pair"])
def test_an_answer_is_read_from_its_bytes(used, answer):
    def around(self, call):
        def mine(op):
            return (yield from op.read(answer))

        return mine

    plugin = plugin_with(around=around)
    used(InvalidUse, plugin, "op.read takes the JSON of an answer", type(answer).__name__, "op.with_wire()", call=get)


# --------------------------------------------------------------------------------------------------- fields and models


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (SECRET, "not str"),
        (len, "not builtin"),
        ((len,), "not tuple"),
        ((len, None), "not tuple"),
        ((len, late), "decode is a coroutine"),
        ((yields, len), "encode has a yield"),
    ],
)
def test_a_field_hook_gives_two_functions(used, given, words):
    plugin = plugin_with(field=lambda self, schema, field: given if field.name == "note" else None)
    used(ConfigError, plugin, "field of the plugin mine, for Thing.note", words, call=get)


def test_a_field_hook_that_gives_a_coroutine_is_told(used):
    plugin = plugin_with(field=lambda self, schema, field: late(self))
    used(ConfigError, plugin, "field of the plugin mine, for Thing.id", "a coroutine", call=get)


@pytest.mark.parametrize("given", [None, SECRET, Thing])
def test_a_model_hook_gives_a_schema(used, given):
    plugin = plugin_with(model=lambda self, schema: given)
    used(ConfigError, plugin, "model of the plugin mine", "return schema", "Thing", call=get)


@pytest.mark.parametrize("given", [SECRET, None, b"x", 3])
def test_an_encoder_gives_the_stored_form(used, given):
    plugin = plugin_with(
        field=lambda self, schema, field: (lambda wire: given, lambda wire: wire) if field.name == "note" else None
    )
    for call in (
        lambda db: db.create(Thing(id="x", note="y")),
        lambda db: db.update(Thing, "x", Thing.note.set("y")),
        lambda db: db.batch_write(puts=[Thing(id="x", note="y")]),
    ):
        kind = type(given).__name__ if given is not None else "None"
        used(InvalidUse, plugin, "Thing.note: encode", '{"S": "text"}', f"not {kind}", call=call)


def test_an_encoder_that_is_a_coroutine_in_disguise_is_told(used):
    plugin = plugin_with(
        field=lambda self, schema, field: (lambda wire: late(None), lambda wire: wire) if field.name == "note" else None
    )
    used(InvalidUse, plugin, "Thing.note: encode", call=lambda db: db.create(Thing(id="x", note="y")))


# ---------------------------------------------------------------------------------------------------------------- rules


def ruled(moment, function, **members):
    rule = type("Mine", (WriteRule,), {moment: lambda self, draft: function(draft), **members})()
    return plugin_with(write_rule=lambda self, schema: rule if schema.model is Thing else None)


VERBS = {
    "create": create,
    "put": lambda db: db.put(Thing(id=SECRET)),
    "update": update,
    "delete": lambda db: db.delete(Thing, SECRET),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("given", [lambda draft: SECRET, lambda draft: Thing.note == SECRET, late])
def test_what_transform_gives_is_a_write(used, verb, given):
    used(ConfigError, ruled("transform", given), "transform of Mine", "draft.instead(...)", call=VERBS[verb])


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("given", [lambda draft: Thing.note == SECRET, late])
def test_contribute_gives_nothing(used, verb, given):
    used(ConfigError, ruled("contribute", given), "contribute of Mine", "draft.require(condition)", call=VERBS[verb])


@pytest.mark.parametrize(
    ("pinned", "kind", "words"),
    [
        ({"amt": 3}, InvalidUse, ("amt", "stored form", "not int")),
        ({"amt": SECRET}, InvalidUse, ("amt", "stored form", "not str")),
        ({"amount": {"N": "3"}}, ValidationError, ("no attribute 'amount'", "did you mean 'amt'?")),
        ({"amuont": None}, ValidationError, ("no attribute 'amuont'",)),
        ({3: {"N": "3"}}, InvalidUse, ("stored names", "not int")),
        ("amt", InvalidUse, ("by their stored names", "not str")),
        (None, InvalidUse, ("by their stored names",)),
    ],
)
def test_what_is_pinned_is_stored_attributes(used, pinned, kind, words):
    used(kind, ruled("contribute", lambda draft: draft.pin(pinned)), "draft.pin", *words, call=update)


def test_the_library_s_own_attributes_may_be_pinned(made, server):
    db = made()
    db.use(ruled("contribute", lambda draft: draft.pin({"amt": None, "version": {"N": "1"}})))
    with pytest.raises(NotFound):  # this server stores nothing
        db.update(Thing, "x", Thing.amount.add(1))
    assert b"version" in b"".join(request.body for request in server.requests)


@pytest.mark.parametrize("name", [Thing.note, 3, None, ["note"]])
def test_set_takes_the_name_of_a_field(used, name):
    used(ValidationError, ruled("contribute", lambda draft: draft.set(name, "x")), "draft.set", "name", call=update)


def test_set_knows_no_other_name(used):
    used(
        ValidationError, ruled("contribute", lambda draft: draft.set("nots", "x")), "did you mean 'note'?", call=update
    )


@pytest.mark.parametrize("verb", ["put", "update", "delete"])
def test_what_is_stored_is_asked_for_before(made, refused, server, verb):
    db = made()
    db.use(ruled("contribute", lambda draft: draft.stored_item()))
    if verb == "put":
        error = refused(ValidationError, lambda: VERBS[verb](db), "draft.stored_item()", "needs_stored = True", "Thing")
        assert type(error) is ValidationError


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"needs_stored": "yes"}, ("needs_stored of Mine", "True or False")),
        ({"in_batches": 1}, ("in_batches of Mine", "True or False")),
        ({"verbs": None}, ("the verbs of Mine",)),
        ({"looks_at": "note"}, ("looks_at of Mine", "names of fields")),
        ({"looks_at": (3,)}, ("looks_at of Mine", "names of fields")),
    ],
)
def test_flags_of_a_rule_of_writes_are_true_or_false(used, members, words):
    used(ConfigError, ruled("contribute", lambda draft: None, **members), *words, call=create)


@pytest.mark.parametrize(
    ("add", "words"),
    [
        (lambda draft: draft.add("create", Row), ("the create added to the update by the rule Mine of Thing: ",)),
        (lambda draft: draft.add("create", {"of": SECRET}), ("the create added to the update by the rule Mine",)),
        (lambda draft: draft.add("create"), ("the create added", "tx.create(...)", "do not fit")),
        (
            lambda draft: draft.add("put", Row(of="x", number=1), iff=3),
            ("the put added to the update by the rule Mine",),
        ),
        (
            lambda draft: draft.add("update", Row, SECRET, Row.day.set("x")),
            ("the update added to the update by the rule",),
        ),
        (lambda draft: draft.add("upsert", Row), ("'upsert' is no verb that writes one item",)),
    ],
)
def test_a_write_that_cannot_be_added_is_the_rule_s(used, add, words):
    used(ValidationError, ruled("contribute", add), *words, call=update)


def read_ruled(contribute=None, **members):
    if contribute is not None:
        members["contribute"] = lambda self, draft: contribute(draft)
    rule = type("Mine", (ReadRule,), members)()
    return plugin_with(read_rule=lambda self, schema: rule if schema.model is Row else None)


def query(db):
    return db.model(Row).where(Row.of == SECRET).all()


@pytest.mark.parametrize(
    "given", [3, Row.of == "x", KnownQuery(Row.number == 1), KnownQuery(Row.of > "x"), KnownQuery((Row.of == "x") & (Row.of == "y"))]
)  # fmt: skip
def test_a_known_query_is_one_text(used, given):
    rule = read_ruled(lambda draft: None, known_query=lambda self, scope: given)
    used(ConfigError, rule, "known_query of Mine", "KnownQuery", call=query)


@pytest.mark.parametrize("flag", ["no", 1, None])
def test_filters_all_is_true_or_false(used, flag):
    used(ConfigError, read_ruled(filters_all=flag), "filters_all of Mine", "True or False", call=query)


@pytest.mark.parametrize("names", [5, "day", ("day", 3)])
def test_attributes_are_names(used, names):
    used(ConfigError, read_ruled(attributes=names), "attributes of Mine", call=query)


@pytest.mark.parametrize(
    ("names", "meant"),
    [(("amuont",), "amt"), (("note", "nota"), "note"), (("amount",), "amt"), (["versoin"], "version")],
)
def test_attributes_are_stored_names(used, made, server, names, meant):
    rule = type("Mine", (ReadRule,), {"attributes": names, "check": lambda self, item, scope: True})()
    words = f"attributes of Mine names {names[-1]!r}, which Thing does not store; did you mean {meant!r}?"
    used(ConfigError, plugin_with(read_rule=lambda self, schema: rule), words, call=get)


@pytest.mark.parametrize("names", [("amt", "note", "_wt"), {"id"}, ("stamped_by_another_program",)])
def test_attributes_may_be_what_another_program_stores(made, names):
    rule = type("Mine", (ReadRule,), {"attributes": names, "check": lambda self, item, scope: True})()
    db = made()
    db.use(plugin_with(read_rule=lambda self, schema: rule))
    assert get(db) is None


@pytest.mark.parametrize("given", [lambda draft: Row.day == SECRET, late, lambda draft: True])
def test_contribute_of_a_rule_of_reads_gives_nothing(used, given):
    used(ConfigError, read_ruled(given), "contribute of Mine", "draft.filter(condition)", call=query)


def test_a_filter_of_a_rule_on_the_key_is_the_rule_s(used):
    plugin = read_ruled(lambda draft: draft.filter(Row.number > 3))
    words = "the rule Mine of Row", "number is a part of the key", "draft.where(...)"
    error = used(ValidationError, plugin, *words, call=query)
    assert error.field == "number"
    plugin = read_ruled(lambda draft: draft.filter(Row.day != SECRET))

    def by_index(db):
        return db.model(Row).index("by-state").where(Row.state == SECRET).all()

    used(ValidationError, plugin, "the rule Mine of Row", "day is a part of the key", call=by_index)


def test_a_mistake_of_the_caller_s_stays_the_caller_s(used):
    plugin = read_ruled(lambda draft: draft.filter(Row.number > 3))
    error = used(ValidationError, plugin, "Row", call=lambda db: db.model(Row).where(Row.day == SECRET).all())
    assert "Mine" not in str(error)
