"""How figures become a page and a frame of the terminal: escaped, and good with whatever is in them."""

import io
import math
from html.parser import HTMLParser

import pytest

from dynamorm.plugins.dashboard import charts, page, words
from dynamorm.plugins.dashboard.markup import element, joined

EVIL = "<script>alert(1)</script>\"'&\x1b[31m[red]"

EMPTY = {
    "at": 1_000.0, "pid": 1, "broken": {}, "history": [], "region": None, "metrics": None, "breaker": None, "gauges": None,
    "cost": None, "hot_keys": None, "slowest": None, "last": None,
}  # fmt: skip


def figures(text="Payment", number=1.5, part=None):
    """Figures with this text and this number wherever there is one; ``part`` is what each share is."""
    part = number if part is None else part
    ends = {"count": number, "p50": number, "p90": number, "p99": number, "error_rate": part}
    seen = [
        {
            "at": number, "verb": text, "model": text, "table": text, "index": text, "seconds": number, "outcome": text,
            "error": text, "attempts": number,
        }
    ]  # fmt: skip
    row = {"model": text, "scope": text, "read": number, "write": number, "dollars": number, "monthly": number}
    hot = {
        "table": text,
        "index": text,
        "hash": text,
        "share": part,
        "per_second": number,
        "reads": number,
        "throttled": number,
    }
    return EMPTY | {
        "region": text,
        "history": [[10.0, number, number, number, part], [20.0, number, number, number, part]],
        "metrics": {
            "qps": number, "window": ends, "verbs": [{"verb": text, "model": text, **ends}], "outcomes": {text: number},
            "attempts": {text: number}, "retries": {text: number},
        },
        "breaker": {text: text},
        "gauges": {text: number},
        "cost": {"seconds": number, "priced": True, "rows": [row], "more": 3, "read": number, "write": number, "dollars": number, "monthly": number},
        "hot_keys": [{**hot, "advice": text}],
        "slowest": seen,
        "last": seen,
    }  # fmt: skip


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text; what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_each_text_is_escaped():
    good, evil = Tags(page.page(figures("x"))), Tags(page.page(figures(EVIL)))
    assert [tag for tag, _ in good.tags] == [tag for tag, _ in evil.tags]  # no text has become an element
    assert [set(attributes) for _, attributes in good.tags] == [set(attributes) for _, attributes in evil.tags]
    assert "<script>alert(1)" in evil.text
    assert evil.text.count("<script>alert(1)</script>") >= 12


@pytest.mark.parametrize("number", [0.0, 1e-300, 1e300, -1.0, 7, 0.5, None])
def test_each_number_can_be_shown(number):
    told = figures(number=number)
    for name in ("history",):
        told[name] = [[part or 0.0 for part in sample] for sample in told[name]]
    for ends in ("outcomes", "attempts", "retries"):
        told["metrics"][ends] = {"ok": number or 0.0}
    assert "Slow operations" in page.page(told)


@pytest.mark.parametrize("part", sorted(EMPTY.keys() - {"at", "pid", "broken", "history", "region"}))
def test_each_part_may_be_missing(part):
    made = page.page(figures() | {part: None, "broken": {part: "ValueError"}})
    assert "These figures could not be read (ValueError)." in made


def test_nothing_at_all():
    Tags(made := page.page(EMPTY))
    assert "db.use(HotKeys())" in made
    assert page.page(figures() | {"history": []}).count("The lines begin after a few seconds.") == 2


def test_markup_escapes_what_is_none():
    assert element("td", "<b>", element("i", "&"), title='"', class_="x") == (
        '<td title="&quot;" class="x">&lt;b&gt;<i>&amp;</i></td>'
    )
    assert joined("<", element("b")) == "&lt;<b></b>"
    text = joined("<") + "<"  # a sum is a text again
    assert element("p", text) == "<p>&amp;lt;&lt;</p>"


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (words.seconds, 0.000_85, "850 µs"), (words.seconds, 0.012_34, "12.3 ms"), (words.seconds, 0.25, "250 ms"),
        (words.seconds, 0.9996, "1.00 s"), (words.seconds, 1.25, "1.25 s"), (words.seconds, 600, "10 min"),
        (words.seconds, 7_200, "2.0 h"), (words.seconds, -0.5, "-500 ms"), (words.seconds, 0, "0 s"),
        (words.amount, 7, "7"), (words.amount, 1_234, "1,234"), (words.amount, 0.04, "0.04"), (words.amount, 12.34, "12.3"),
        (words.amount, 3.4e6, "3.4 M"), (words.amount, -2, "-2"), (words.share, 0.0, "0 %"), (words.share, 0.0025, "0.25 %"),
        (words.share, 0.12, "12 %"), (words.dollars, 0, "$0"), (words.dollars, 1e-9, "< $0.0001"), (words.dollars, 0.0031, "$0.0031"),
        (words.dollars, 1234.5, "$1,234.50"), (words.clock, None, words.NOTHING),
        *((function, value, words.NOTHING) for function in (words.seconds, words.amount, words.share, words.dollars) for value in (None, "7", math.nan, math.inf, True)),
    ],
)  # fmt: skip
def test_words(function, value, text):
    assert function(value) == text


def test_how_long_ago():
    assert [words.ago(100.0, now) for now in (99.0, 100.5, 103.0, 300.0)] == ["now", "now", "3 s ago", "3 min ago"]
    assert words.ago(None, 1.0) == words.NOTHING


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([], ("1", "0.50", "0")),
        ([7.0], ("10", "5", "0")),
        ([1.0], ("1", "0.50", "0")),
        ([130.0, 20], ("200", "100", "0")),
    ],
)
def test_an_even_scale(values, labels):
    scale = charts.even(values)
    assert scale.labels == labels
    assert all(0 <= scale.height(value) <= 1 for value in values)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([], ("10 ms", "1 ms")),
        ([0.004, 0.09], ("100 ms", "10 ms", "1 ms")),
        ([0.5], ("1 s", "100 ms")),
        ([0.01], ("100 ms", "10 ms")),
    ],
)
def test_a_scale_by_tens(values, labels):
    scale = charts.by_tens(values)
    assert scale.labels == labels
    assert all(0 <= scale.height(value) <= 1 for value in values)


def test_a_line_goes_from_the_oldest_to_the_newest():
    drawn = charts.lines([("first", [(10.0, 0.0), (20.0, 5.0), (30.0, 10.0)])], charts.even([10.0]), "rates")
    assert 'points="0.0,119.0 300.0,60.0 600.0,1.0"' in drawn


# -------------------------------------------------------------------------------------------------------- the terminal


def frame(told):
    from rich.console import Console

    from dynamorm.plugins.dashboard.screen import frame

    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    console.print(frame(told))
    return console.file.getvalue()


def test_the_terminal_shows_the_same_figures():
    shown = frame(figures("Payment", 0.5))
    for text in ("Payment", "500 ms", "50 %", "Slow operations", "Hot keys", "a month"):
        assert text in shown


def test_a_terminal_does_not_act_on_a_text():
    plain, evil = frame(figures("x" * len(EVIL))), frame(figures(EVIL))
    assert "[31m" in evil
    assert "\x1b[31m[red]" not in evil
    assert "?[31m[red]" in evil
    assert plain.count("\n") == evil.count("\n")


@pytest.mark.parametrize(
    ("word", "tone", "code"),
    [
        ("ok", "good", 32),
        ("throttled", "warn", 33),
        ("unavailable", "bad", 31),
        ("condition", "", None),
        ("cancelled", "", None),
    ],
)
def test_an_end_has_one_tone_on_the_page_and_in_the_terminal(word, tone, code):
    """What was refused is no fault."""
    told = figures(word)
    assert words.tone_of(word) == tone
    assert f'<span class="{f"tone {tone}".strip()}">{word}' in str(page.page(told))
    shown = frame(told | {"breaker": None})
    assert [f"\x1b[{number}m{word}" in shown for number in (31, 32, 33)] == [code == number for number in (31, 32, 33)]


@pytest.mark.parametrize(("state", "tone"), [("closed", "good"), ("half-open", "warn"), ("open", "bad"), ("none", "")])
def test_a_state_of_the_breaker_has_a_tone(state, tone):
    assert words.tone_of(state) == tone


def test_a_frame_of_nothing():
    shown = frame(EMPTY)
    assert "db.use(CostPlugin())" in shown
    assert "These figures could not be read (ValueError)." in frame(EMPTY | {"broken": {"cost": "ValueError"}})
