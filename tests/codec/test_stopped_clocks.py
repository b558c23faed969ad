"""Times of other libraries are accepted: pendulum's, and those of freezegun, which stand in the place of Python's own."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from dynamorm.codec.strict import dumps
from dynamorm.codec.types import times
from dynamorm.models.schema.schema import Json
from tests.codec.holders import codec_of


class _Stands(type):
    """As freezegun's: Python's own times count as instances."""

    def __instancecheck__(cls, one):
        return isinstance(one, cls.__mro__[1])


class StoppedDate(date, metaclass=_Stands):
    __module__ = "freezegun.api"


class Stopped(datetime, metaclass=_Stands):
    __module__ = "freezegun.api"


class Longer(timedelta):
    """As pendulum's: its arithmetic is another."""

    def __floordiv__(self, other):
        raise AttributeError


VALUES = {
    datetime: (Stopped(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 12, tzinfo=UTC)),
    date: (StoppedDate(2024, 1, 1), date(2024, 1, 1)),
    timedelta: (Longer(days=3, microseconds=5), timedelta(days=3, microseconds=5)),
}


@pytest.fixture
def stopped(monkeypatch):
    """The names in the module are replaced, as freezegun does."""
    monkeypatch.setattr(times, "datetime", Stopped)
    monkeypatch.setattr(times, "date", StoppedDate)


@pytest.mark.parametrize("annotation", VALUES)
@pytest.mark.parametrize("while_stopped", [True, False])
def test_they_are_stored_as_pythons_own(annotation, while_stopped, request):
    if while_stopped:
        request.getfixturevalue("stopped")
    codec = codec_of(annotation)
    for value in VALUES[annotation]:
        back = codec.decode(dumps(codec.encode(codec.model(id="p", value=value))))
        assert (back.value, type(back.value)) == (VALUES[annotation][1], annotation)
        assert codec.changes(back) == {}


@pytest.mark.parametrize("options", [(), (Json(),)], ids=["plain", "json"])
@pytest.mark.usefixtures("stopped")
def test_a_model_declared_while_the_clock_stands_still_has_pythons_own(options):
    for plain, stand_in in ((datetime, Stopped), (date, StoppedDate)):
        codec = codec_of(list[plain] if options else stand_in | None, *options)
        given = VALUES[plain][0]
        back = codec.decode(dumps(codec.encode(codec.model(id="p", value=[given] if options else given))))
        assert back.value == ([given] if options else given)


TOOLS = """
from freezegun import freeze_time
import pendulum
with freeze_time("2024-01-01T12:00:00.5"):
    import datetime as python
    from dynamorm import Attr, Model, attr, partition_key
    from dynamorm.codec import Registry
    from dynamorm.codec.strict import dumps

    class Visit(Model, table="visits"):
        id: Attr[str] = partition_key()
        at: Attr[python.datetime]
        day: Attr[python.date | None] = attr(default=None)

    codec = Registry().codec(Visit)
    visit = Visit(id="p", at=python.datetime.now(python.timezone.utc), day=python.date.today())
    assert codec.decode(dumps(codec.encode(visit))) == visit
assert codec.encode(visit)["at"] == {"S": "2024-01-01T12:00:00.500000000Z"}
assert type(codec.decode(dumps(codec.encode(visit))).at).__module__ == "datetime"
later = Visit(id="p", at=pendulum.now("Europe/Riga"), day=pendulum.today().date())
assert codec.decode(dumps(codec.encode(later))) == later
"""


def test_the_tools_themselves():
    pytest.importorskip("freezegun")
    pytest.importorskip("pendulum")
    subprocess.run([sys.executable, "-c", TOOLS], check=True, timeout=60)
