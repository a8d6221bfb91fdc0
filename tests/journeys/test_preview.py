"""Looking ahead: a plan writes nothing, and a recipe that is tried alone starts where the next cycle starts."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import func, select

from metaevo.evolution.loop import OUTSIDE
from metaevo.ledger.lineage import move
from metaevo.ledger.tables import ALIAS, CYCLE, EPOCH, EVENT, GENERATION, MOVE, SCORE, STEP
from metaevo.recipes import schema
from services.home.home import Home
from services.home.open import App, open_home
from services.records.plan import Plan
from services.reports.plan import plan
from tests.journeys import small

LINE = (ALIAS, CYCLE, EPOCH, GENERATION, MOVE, SCORE, EVENT)


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after one cycle of the scripted engine, which promoted."""
    home = small.create(tmp_path_factory.mktemp("promoted") / "home")
    assert [made.outcome for made in small.evolve(home)] == ["promote"]
    return home.path


@pytest.fixture
def home(promoted: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(promoted, tmp_path / "home"))


def sizes(app: App) -> list[int]:
    """Return how many rows each table has that says where the line stands."""
    with app.ledger.look() as connection:
        return [int(connection.execute(select(func.count()).select_from(table)).scalar_one()) for table in LINE]


def referred(app: App) -> None:
    """Move the reference to the champion, as the fifth promotion does."""
    champion = app.host.lineage.alias("champion")
    with app.ledger.transaction() as connection:
        move(connection, app.ledger, "reference", "g000000", champion, who="test", why="a fifth promotion")


def test_a_plan_writes_nothing(home: Home) -> None:
    with open_home(home, make=small.engines(), engines=1) as app:
        before = sizes(app)
    assert isinstance(plan(home, make=small.engines()), Plan)
    with open_home(home, make=small.engines(), engines=1) as app:
        assert sizes(app) == before


def test_a_recipe_that_is_tried_stands_on_the_reference_and_reaches_nothing_of_the_line(home: Home) -> None:
    with open_home(home, make=small.engines(), engines=1) as app:
        referred(app)
        champion, evolution = app.host.lineage.alias("champion"), app.evolution()
        before = sizes(app)
        assert evolution.start(2, 1).reference.id == champion
        try:
            tried = evolution.try_recipe(schema.load("rft", app.host.registry), None, 0.5)
        finally:
            evolution.sampler.close()
        assert tried.objective.cells
        assert tried.trial.generation is not None
        assert tried.trial.generation.parent == champion == app.host.lineage.alias("champion")
        after = sizes(app)
        changed = {table.name for table, old, new in zip(LINE, before, after, strict=True) if old != new}
        assert changed == {"generation"}
        with app.ledger.look() as connection:
            newest = connection.execute(select(func.max(STEP.c.cycle))).scalar_one()
        assert newest == OUTSIDE
