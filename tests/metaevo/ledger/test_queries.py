"""Questions of reports: a page is the newest of a list, an aggregate is what adding up rows says."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metaevo.errors import BadInput
from metaevo.ledger import generation_queries, integrity, queries
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import AliasRow, CycleRow, EventRow, GenerationRow, RecipeRow, ScoreRow, StepRow, TrialRow
from objectives.types import Cell

BEGAN = datetime(2027, 1, 1, tzinfo=UTC)
OBJECTIVE = {"ability": "math", "direction": "performance", "cells": ["sums/1"], "reason": "weak", "rule": "r"}
VERDICT = {"decision": "promote", "reasons": [{"code": "gain proven", "numbers": {"n": 8}}], "gate": "x", "exam": {}}
MADE = 120


@pytest.fixture
def ledger(places: Callable[[], Path | Postgres]) -> Iterator[Ledger]:
    """A line of generations, each of a cycle of its own that took two seconds and ten tokens."""
    made = open_ledger(places(), create=True)
    made.set_meta("abilities", '{"sums": "math", "products": "math", "words": "language"}')
    with made.write() as session:
        session.add(RecipeRow(hash="h", name="rft", body={"name": "rft"}, modules=["update.sft"]))
        for number in range(MADE):
            session.add(_generation(number))
            session.add(_cycle(number + 1, candidate=_id(number)))
            for environment, mean in (("sums", 0.2), ("products", 0.4), ("words", 0.7)):
                session.add(_score(number, environment, mean))
        session.add(AliasRow(name="champion", generation=_id(MADE - 1)))
    yield made
    made.close()


def _id(number: int) -> str:
    return f"g{number:06d}"


def _generation(number: int, **facts: Any) -> GenerationRow:
    known: dict[str, Any] = {"status": "retired", "manifest": f"m{number}", "parts": {"policy": f"p{number}"}}
    known |= {"objective": OBJECTIVE, "verdict": VERDICT, "recipe": "h", "epoch": 1, "created_at": BEGAN}
    known |= {"cycle": number, "trial": 1, "place": 0, "parent": _id(number - 1) if number else None}
    return GenerationRow(id=_id(number), number=number, answer=[], **known | facts)


def _cycle(number: int, **facts: Any) -> CycleRow:
    at = BEGAN + timedelta(hours=number)
    known: dict[str, Any] = {"outcome": "promote", "parent": _id(max(0, number - 2)), "objective": OBJECTIVE}
    known |= {"epoch": 1, "seed": 1, "commitment": "c", "runtime": "r", "tokens": 10, "opened_at": at}
    known |= {"closed_at": at + timedelta(seconds=2), "wall_s": 2.0}
    return CycleRow(number=number, **known | facts)


def _score(number: int, environment: str, mean: float, split: str = "anchor") -> ScoreRow:
    facts: dict[str, Any] = {"n": 16, "mean": mean, "low": mean - 0.1, "high": mean + 0.1, "cycle": number}
    return ScoreRow(generation=_id(number), split=split, environment=environment, level=1, epoch=1, **facts)


def test_a_page_is_the_newest_generations_in_the_order_of_their_ids(ledger: Ledger) -> None:
    page = generation_queries.generation_page(ledger, 50)
    assert [found.id for found in page] == [_id(number) for number in range(MADE - 50, MADE)]
    newest = page[-1]
    assert (newest.recipe, newest.decision, newest.objective and newest.objective.ability) == ("rft", "promote", "math")
    assert newest.reasons == ({"code": "gain proven", "numbers": {"n": 8}},)
    assert newest.scores == {"language": 0.7, "math": 0.3}


def test_pages_follow_one_another_without_a_gap_down_to_the_base(ledger: Ledger) -> None:
    seen: list[str] = []
    before = None
    while page := generation_queries.generation_page(ledger, 50, before):
        seen = [*(found.id for found in page), *seen]
        before = page[0].id
    assert seen == [_id(number) for number in range(MADE)]


def test_what_was_never_examined_is_on_no_page(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(_generation(MADE, status="intermediate", cycle=500))
        session.add(_generation(MADE + 1, manifest=None, parts=None, cycle=501))
    assert generation_queries.generation_page(ledger, 1)[0].id == _id(MADE - 1)


def test_a_cursor_that_is_no_generation_is_refused_by_name(ledger: Ledger) -> None:
    with pytest.raises(BadInput, match="no generation 'g9'; `metaevo generations` lists them"):
        generation_queries.generation_page(ledger, 50, "g9")


def test_one_generation_is_found_by_id_and_by_alias_with_where_it_comes_from(ledger: Ledger) -> None:
    assert generation_queries.generation(ledger, "champion") == generation_queries.generation(ledger, _id(MADE - 1))
    made = generation_queries.origin(ledger, "champion")
    assert (made.id, made.cycle, made.recipe, made.verdict) == (_id(MADE - 1), MADE - 1, "h", VERDICT)
    with pytest.raises(BadInput, match="no generation 'best'"):
        generation_queries.origin(ledger, "best")


def test_the_champions_probe_scores_are_of_its_newest_epoch(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(_score(MADE - 1, "sums", 0.1, "probe"))
        newer = _score(MADE - 1, "sums", 0.5, "probe")
        newer.epoch = 2
        session.add(newer)
        session.add(_score(MADE - 2, "words", 0.9, "probe"))
    assert generation_queries.champion_scores(ledger) == {Cell("sums", 1): (0.5, 16)}


def test_what_was_spent_is_the_sum_over_closed_cycles(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(_cycle(MADE + 1, outcome="open", closed_at=None, wall_s=0.0, tokens=3))
    assert queries.total_spent(ledger) == queries.SpentTotals(MADE, 2.0 * MADE, 10 * MADE)


def test_the_newest_cycles_are_found_open_or_closed(ledger: Ledger) -> None:
    assert queries.open_cycle(ledger) is None
    with ledger.write() as session:
        session.add(_cycle(MADE + 1, outcome="open", closed_at=None, candidate=None))
    running = queries.open_cycle(ledger)
    assert running is not None
    assert running.number == MADE + 1
    assert [cycle.number for cycle in queries.newest_closed(ledger, 2)] == [MADE, MADE - 1]
    assert [cycle.number for cycle in queries.newest_cycles(ledger, 2)] == [MADE + 1, MADE]
    assert queries.newest_examined(ledger) == _id(MADE - 1)


def test_the_last_objective_is_that_of_the_champions_line(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(_generation(MADE, parent=_id(MADE - 1), status="quarantined", cycle=900))
        left = OBJECTIVE | {"cells": ["words/1"]}
        session.add(_cycle(MADE + 1, candidate=_id(MADE), parent=_id(MADE - 1), objective=left))
    found = queries.last_pursued(ledger, 128)
    assert found is not None
    assert found.cells == (Cell("sums", 1),)


def test_events_come_a_page_at_a_time_oldest_first(ledger: Ledger) -> None:
    with ledger.write() as session:
        for number in range(10):
            code = "odd" if number % 2 else "even"
            session.add(EventRow(code=code, sentence=str(number), data={}, cycle=number, at=BEGAN))
    page = queries.events(ledger, 3)
    assert [told.sentence for told in page] == ["7", "8", "9"]
    assert [told.sentence for told in queries.events(ledger, 3, before=page[0].seq)] == ["4", "5", "6"]
    assert [told.sentence for told in queries.events(ledger, 2, code="odd")] == ["7", "9"]


def test_trials_carry_the_names_of_their_recipes(ledger: Ledger) -> None:
    facts: dict[str, Any] = {"study": "s", "fidelity": 1.0, "params": {}, "constraints": {}}
    with ledger.write() as session:
        session.add(TrialRow(cycle=7, number=1, recipe="h", score=0.1, generation=_id(6), **facts))
        session.add(TrialRow(cycle=7, number=2, recipe="unknown", **facts))
    assert [(t.name, t.score) for t in queries.trials_of(ledger, 7)] == [("rft", 0.1), (None, None)]
    found = queries.recipe(ledger, "h")
    assert found is not None
    assert (found.name, found.modules) == ("rft", ("update.sft",))
    assert queries.recipe(ledger, None) is None


def test_the_journal_is_checked_in_pieces_and_each_body_once(ledger: Ledger) -> None:
    def step(cycle: int, **facts: Any) -> StepRow:
        known: dict[str, Any] = {"trial": 0, "stage": 0, "round": 0, "step": "diagnose", "position": 0, "mark": "m"}
        return StepRow(cycle=cycle, counts={}, opened_at=BEGAN, **known | facts)

    with ledger.write() as session:
        for number in range(1, MADE + 1):
            session.add(step(number, digest="d", body=None))
        session.add(step(2, step="screen", digest="wrong", body=b"body"))
        session.add(step(3, step="screen"))
        session.add(step(4, step="tasks", trial=1))
        session.add(step(1_000_000, digest="far", body=None))
    bodies = list(integrity.step_bodies(ledger))
    assert len(bodies) == MADE + 2
    assert [body.where for body in bodies if not body.sound] == ["2/0/0/0/screen/0"]
    assert integrity.unfinished_steps(ledger) == ("3/0/0/0/screen/0",)
    assert queries.newest_journalled(ledger) == 1_000_000
