"""Indexes whose partition and sort keys are several attributes: written, read, paged and updated as any other."""

import pytest

from dynamorm import DB, Attr, Model, Presets, ValidationError, attr, gsi, partition_key
from tests.conftest import ENGINE

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(ENGINE == "local", reason="DynamoDB Local 1.25 has no multi-attribute keys of indexes"),
    pytest.mark.filterwarnings("ignore:no cursor_key"),
]


class Match(Model, table="matches"):
    id: Attr[str] = partition_key()
    league: Attr[str]
    season: Attr[int]
    round: Attr[str]
    day: Attr[int]
    note: Attr[str | None] = attr(default=None)
    by_season = gsi("by-season", partition=("league", "season"), sort=("round", "day"))


MODELS = [Match]


def order(match):
    return match.round, match.day


@pytest.fixture(scope="module")
def matches(engine, made):
    """Two leagues, two seasons, three rounds of five days each."""
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        found = [
            Match(id=f"{league}{season}{name}{day}", league=league, season=season, round=name, day=day)
            for league in ("a", "b")
            for season in (2023, 2024)
            for name in ("final", "group", "semi")
            for day in range(5)
        ]
        assert db.batch_write(puts=found).ok
    return found


def test_the_whole_partition_in_the_order_of_the_sort_attributes(db, matches):
    wanted = sorted((one for one in matches if (one.league, one.season) == ("a", 2024)), key=order)
    query = db.model(Match).where(Match.season == 2024, Match.league == "a")  # in any order
    assert query.all() == wanted
    assert query.order_by("round", "desc").all() == wanted[::-1]
    assert query.count() == 15


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        (lambda: (Match.round == "group",), lambda one: one.round == "group"),
        (lambda: (Match.round == "group", Match.day >= 2), lambda one: one.round == "group" and one.day >= 2),
        (
            lambda: (Match.day.between(1, 3), Match.round == "semi"),
            lambda one: one.round == "semi" and 1 <= one.day <= 3,
        ),
        (lambda: (Match.round > "final",), lambda one: one.round > "final"),
        (lambda: (Match.round.begins_with("s"),), lambda one: one.round.startswith("s")),
    ],
)
def test_the_sort_attributes_from_the_left(db, matches, condition, fits):
    found = db.model(Match).where(Match.league == "b", Match.season == 2023).where(*condition()).all()
    assert found == sorted(
        (one for one in matches if (one.league, one.season) == ("b", 2023) and fits(one)), key=order
    )  # fmt: skip


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("size", [1, 4, 15, 40])
def test_pages_go_on_where_the_last_one_ended(db, matches, direction, size):
    query = db.model(Match).where(Match.league == "a", Match.season == 2023).order_by("round", direction)
    everything, found, cursor = query.all(), [], None
    while True:
        page = query.limit(size).cursor(cursor).page()
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert found == everything
    assert len(found) == 15


def test_an_update_of_a_key_attribute_moves_the_item(db, matches):
    db.update(Match, "a2024final0", Match.season.set(2030))
    moved = db.model(Match).where(Match.league == "a", Match.season == 2030).one()
    assert moved.id == "a2024final0"
    db.update(Match, "a2024final0", Match.season.set(2024))
    assert not db.model(Match).where(Match.league == "a", Match.season == 2030).exists()


def test_a_partition_that_is_not_whole_has_no_plan(db, wire):
    with pytest.raises(ValidationError, match="allow_scan"):
        db.model(Match).where(Match.league == "a").all()
    assert not wire.names
