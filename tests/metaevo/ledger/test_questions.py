"""Every question of a cycle or a report is answered by an index: its plan reads no table whole, however long it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from metaevo.ledger import (
    anchors,
    confirmations,
    cycles,
    epochs,
    generation_queries,
    holds,
    line,
    proposed,
    queries,
    scores,
    trials,
)
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.ledger.lineage import Lineage, promote
from metaevo.ledger.postgres import Postgres
from metaevo.types import CycleEnd, Generation
from objectives.capability import Score
from objectives.types import Cell, Split

GROWING = ("confirmation", "confirmed_cell", "cycle", "event", "generation", "move", "score", "step", "trial")
"""Tables that are longer after every cycle."""
SUMS = "USING COVERING INDEX cycle_outcome"
"""What all cycles took is one scan of a narrow index, the only whole one."""
CELL = Cell("sorting", 4)


@contextmanager
def heard(ledger: Ledger) -> Iterator[list[tuple[str, Any]]]:
    """Yield the statements that are executed in the block."""
    said: list[tuple[str, Any]] = []

    def hear(_connection: object, _cursor: object, statement: str, parameters: Any, *_more: object) -> None:
        said.append((statement, parameters))

    with ledger.look() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", hear)


def whole(ledger: Ledger, statement: str, parameters: Any) -> list[str]:
    """Return where a statement's plan reads a growing table from end to end.

    SQLite plans by its rules alone; PostgreSQL by what tables hold, and so reads small ones whole: there it is enough
    that the question is answered.
    """
    if not statement.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")):
        return []
    one = parameters[0] if isinstance(parameters, list) else parameters
    with ledger.look() as connection:
        if connection.dialect.name != "sqlite":
            return []
        plan = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]
    ordered = "LIMIT" in statement and not any(
        "TEMP B-TREE" in step for step in plan
    )  # along the key, to the first rows
    scans = [step for step in plan if step.startswith("SCAN") and step.split()[1] in GROWING]
    return [step for step in scans if not ordered and SUMS not in step]


@pytest.fixture
def ledger(places: Callable[[], Path | Postgres]) -> Iterator[Ledger]:
    """A ledger with a base and one promoted child."""
    made = open_ledger(places(), create=True)
    lineage = Lineage(made)
    for cycle, parent in ((0, None), (1, "g000000")):
        (id_,) = lineage.reserve(cycle, 1, 1, parent)
        lineage.publish(Generation(id_, parent, {"policy": id_}), manifest=id_, status="candidate")
        if parent is None:
            lineage.crown(id_, who="test", why="base")
        else:
            with made.transaction() as connection:
                promote(connection, made, id_, who="test", why="gain", evidence={})
    epochs.ensure_epoch(made, "evaluator")
    yield made
    made.close()


def opened(ledger: Ledger) -> cycles.CycleRecord:
    fixed = {"objective": None, "recipe": None}
    return cycles.begin_cycle(ledger, seed=1, runtime="r", fixed=fixed, commitment=str)


def closed(ledger: Ledger) -> None:
    made = opened(ledger)
    score = scores.ScoredCell(CELL, 16, 0.5, 0.4, 0.6)
    fate = cycles.Consequence("g000001", "held", "gate", hold=holds.NewHold("g000001", "g000000", 1, 1, {}))
    cycles.close_cycle(
        ledger,
        cycles.Closing(
            number=made.number,
            outcome="hold",
            ending=CycleEnd.INCONCLUSIVE.value,
            why="",
            tokens=1,
            epoch=1,
            candidate="g000001",
            objective=None,
            verdict=None,
            sentence="held",
            scores=(scores.Scores("g000001", Split.ANCHOR, (score,)),),
            judged=fate,
        ),
    )


CYCLE: dict[str, Callable[[Ledger], object]] = {
    "ensure epoch": lambda ledger: epochs.ensure_epoch(ledger, "evaluator"),
    "open epoch": lambda ledger: epochs.ensure_epoch(ledger, "another"),
    "open": opened,
    "close": closed,
    "close without": lambda ledger: cycles.close_open_cycle(ledger, "void", CycleEnd.CODE_CHANGED, "x"),
    "due hold": lambda ledger: holds.due_hold(ledger, lambda _hold: True),
    "pursued": lambda ledger: cycles.pursued_objectives(ledger, 9, 128),
    "best anchors": lambda ledger: anchors.best_anchors(ledger, 1),
    "probe": lambda ledger: scores.pool_scores(ledger, Split.PROBE, 1, 3, [Score("g000001", CELL, 4, 0.5)]),
    "scores": lambda ledger: scores.scores_of_each(ledger, ["g000000", "g000001"], Split.ANCHOR, 1),
    "level": lambda ledger: confirmations.next_level(ledger, 0.05, 9),
    "served": lambda ledger: confirmations.confirmations_per_cell(ledger, 9, {"sorting/4": 90}),
    "confirm": lambda ledger: confirmations.open_confirmation(
        ledger,
        confirmations.Asked("g000001", "g000000", 1, ("sorting/4",), (1.0,)),
        cycle=1,
        alpha=0.05,
        finite={"sorting/4": 90},
        reuse=10,
    ),
    "study": lambda ledger: trials.study_rows(ledger, "x", 9, 128),
    "failed": lambda ledger: trials.often_failed(ledger, "x", 9, 2),
    "kernels": lambda ledger: proposed.measured_kernels(ledger, 9, 64),
    "proposals": lambda ledger: proposed.proposals_of(ledger, {7, 8}),
    "known proposals": lambda ledger: proposed.proposal_counts(ledger, 9),
    "reserve": lambda ledger: Lineage(ledger).reserve(5, 1, 2, "g000001"),
    "champion": lambda ledger: Lineage(ledger).get("champion"),
    "newest of the line": lambda ledger: Lineage(ledger).ancestors("g000001", 4),
}
REPORT: dict[str, Callable[[Ledger], object]] = {
    "next": cycles.next_number,
    "pinned": cycles.ever_pinned,
    "objectives": lambda ledger: list(cycles.objectives(ledger)),
    "promoted": lambda ledger: trials.promoted_other_than(ledger, [("update.sft",)]),
    "spent": queries.total_spent,
    "ended": lambda ledger: queries.newest_closed(ledger, 3),
    "open": queries.open_cycle,
    "examined": queries.newest_examined,
    "verdict": lambda ledger: queries.last_verdict_at(ledger, "g000001"),
    "last pursued": lambda ledger: queries.last_pursued(ledger, 128),
    "step": lambda ledger: queries.newest_step(ledger, 1),
    "result": lambda ledger: queries.step_result(ledger, 1, "diagnose"),
    "exam results": lambda ledger: queries.trial_results(ledger, 1, 0, "confirm"),
    "exams before": lambda ledger: queries.exams_before(ledger, 9, ("confirm", "screen"), 3),
    "events": lambda ledger: queries.events(ledger, 20),
    "events of a code": lambda ledger: queries.events(ledger, 1, code="grader_failed"),
    "tried": lambda ledger: queries.trials_of(ledger, 1),
    "generations": lambda ledger: generation_queries.generation_page(ledger, 50),
    "generation": lambda ledger: generation_queries.generation(ledger, "champion"),
    "cells": lambda ledger: generation_queries.cell_scores(ledger, "champion"),
    "standing": generation_queries.champion_scores,
    "moves": lambda ledger: Lineage(ledger).moves("champion"),
}


@pytest.mark.parametrize("question", CYCLE)
def test_no_question_of_a_cycle_reads_a_table_whole(ledger: Ledger, question: str) -> None:
    with heard(ledger) as said:
        CYCLE[question](ledger)
    assert said
    assert not {statement: found for statement, given in said if (found := whole(ledger, statement, given))}


@pytest.mark.parametrize("question", REPORT)
def test_no_question_of_a_report_reads_a_table_whole(ledger: Ledger, question: str) -> None:
    with heard(ledger) as said:
        REPORT[question](ledger)
    assert said
    assert not {statement: found for statement, given in said if (found := whole(ledger, statement, given))}


def test_the_line_and_a_family_are_one_statement_each(ledger: Ledger) -> None:
    with heard(ledger) as said, ledger.look() as connection:
        assert line.earlier_champion(connection, "g000001") == "g000000"
        assert line.family_of(connection, ["g000000"]) == {"g000000", "g000001"}
    assert len(said) == 2
    assert not {statement: found for statement, given in said if (found := whole(ledger, statement, given))}


def test_a_whole_reading_would_be_found(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "metaevo.db", create=True)
    assert whole(ledger, "SELECT * FROM step WHERE runs = 3", ()) == ["SCAN step"]
