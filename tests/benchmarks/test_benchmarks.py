"""The benchmarks still run and measure what they say, in tiny sizes. Nothing here asserts a time."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.home.home import Home
from tests.benchmarks import history, model_compute, rollout, sandbox_calls
from tests.benchmarks.__main__ import ALL, main, measured, table
from tests.benchmarks.measure import Line, Result, Spread, alternated
from tests.benchmarks.model_compute import Bench, covered
from tests.benchmarks.peer import PlainScript


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, PlainScript]]:
    place = tmp_path_factory.mktemp("bench")
    with PlainScript(place, 1) as plain, model_compute.started(place, quick=True) as made:
        yield made, plain


def by_what(result: Result) -> dict[str, Line]:
    assert all(line.spread.low <= line.spread.median <= line.spread.high for line in result.lines)
    return {line.what: line for line in result.lines}


@pytest.mark.parametrize("name", ["durable_step", pytest.param("many_cycles", marks=pytest.mark.full)])
def test_a_record_says_how_where_and_when_it_was_measured(tmp_path: Path, name: str) -> None:
    result = measured(name, tmp_path / "homes", tmp_path / "records", quick=True)
    known: dict[str, Any] = json.loads((tmp_path / "records" / f"{name}.json").read_text())
    assert known["command"] == f"python -m tests.benchmarks {name}"
    assert {"date", "commit", "code", "how", "took_s"} <= known.keys()
    assert {"cores", "processor", "memory_gib", "filesystem", "torch", "python"} <= known["machine"].keys()
    assert [line["what"] for line in known["lines"]] == [line.what for line in result.lines]
    assert sum(line.kept is not None for line in result.lines) == 1
    assert all(value.spread.median > 0 for what, value in by_what(result).items() if "memory added" not in what)
    assert table(name, result).row_count == len(result.lines)


@pytest.mark.full
def test_a_share_is_a_share_and_the_script_does_the_same_work(bench: tuple[Bench, PlainScript]) -> None:
    result = model_compute.compared(*bench, quick=True)
    lines, numbers = by_what(result), result.numbers
    assert 0 < lines["inside the model"].spread.median < lines["engines busy"].spread.median < 1
    assert lines["engines busy"].spread.median == pytest.approx(lines["wall with an engine busy"].spread.median)
    assert 0 < lines["engines' CPU"].spread.median < 1
    assert 0 < lines["the script: inside the model"].spread.median < 1
    assert numbers["cycle"]["sft_steps"] == numbers["script"]["sft_steps"] > 0
    assert numbers["script"]["tokens"] == pytest.approx(numbers["cycle"]["tokens"], rel=0.25)
    (cycle,) = numbers["cycles"]
    assert cycle["trials"] == 1
    assert list(cycle["phases"])[:3] == ["diagnose", "objective", "search"]
    assert sum(phase["busy_s"] for phase in cycle["phases"].values()) == pytest.approx(cycle["busy_s"], rel=0.01)


@pytest.mark.full
def test_every_arm_of_the_rollout_answers_the_same_prompts(bench: tuple[Bench, PlainScript]) -> None:
    made, plain = bench
    engine: Any = made.engines[0].inner
    result = rollout.compared(engine, plain, quick=True)
    answers = {name: row["answers"] for name, row in result.numbers.items()}
    assert answers == {"engine": 96, "batched": 96, "sorted": 96, "one by one": 16}
    each = {name: row["tokens_an_answer"] for name, row in result.numbers.items()}
    assert each["engine"] == pytest.approx(each["batched"], rel=0.25)
    assert by_what(result)["engine / bare batched loop"].limit == "at least 0.95"


@pytest.mark.full
def test_ways_of_a_call_that_this_machine_lacks_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METAEVO_TEST_DOCKER", raising=False)
    monkeypatch.setenv("PATH", "")
    result = sandbox_calls.run(tmp_path, quick=True)
    lines = by_what(result)
    assert set(lines) == {"bare fork", "monty"}
    assert all(line.spread.median > 0 and line.spread.n == 2 for line in lines.values())
    assert set(result.numbers["left out"]) == {"docker", "docker+runsc", "bubblewrap"}
    assert all(name in result.how for name in result.numbers["left out"])


def test_arms_take_turns_in_alternating_order() -> None:
    said: list[str] = []
    arms = {name: lambda name=name: said.append(name) for name in ("a", "b")}
    assert alternated(arms, 3) == {"a": [None] * 3, "b": [None] * 3}
    assert said == ["a", "b", "b", "a", "a", "b"]


def test_limits_are_kept_or_missed_by_the_median() -> None:
    spread = Spread.of([0.9, 1.0, 2.0])
    assert spread == Spread(1.0, 0.9, 2.0, 3)
    assert (Line("", spread, at_least=0.95).kept, Line("", spread, at_most=0.95).kept) == (True, False)
    assert (Line("", spread).kept, Line("", spread, at_most=1.1).limit) == (None, "at most 1.1")
    either = [Line("", spread, at_most=0.95, or_upper=(upper, 1.1)) for upper in (1.05, 1.2)]
    assert [line.kept for line in either] == [True, False]
    assert either[0].limit == "at most 0.95 or its upper end 1.05 at most 1.1"


def test_the_interval_of_a_median_holds_it_and_is_wider_where_values_differ() -> None:
    narrow, wide = history.interval([1.0] * 15 + [1.01]), history.interval([1.0 + i / 10 for i in range(16)])
    assert narrow == (1.0, 1.0)
    assert wide[0] < 1.75 < wide[1]
    assert history.interval([1.0, 2.0, 3.0]) == history.interval([1.0, 2.0, 3.0])


@pytest.mark.full
def test_two_aged_homes_take_turns_and_their_reports_are_whole_processes(young_home: Home, tmp_path: Path) -> None:
    result = history.run(tmp_path, quick=True, first=young_home)
    lines, numbers = by_what(result), result.numbers
    assert {" ".join(words) for words in history.ASKED} == set(numbers["reports"])
    assert lines["cycle: CPU of control plane and sampler, old / young"].spread.n == 2
    did = [[{**cycle, "control_s": 0, "sampler_s": 0} for cycle in made] for made in numbers["cycles"].values()]
    assert did[0] == did[1]
    assert all(one["steps"] > 20 and one["asked"] >= 1 and one["window"] == 128 for one in did[0])
    assert [one["number"] for one in did[0]] == [201, 202]
    assert all(20 < lines[f"{words}: peak memory, old"].spread.median < 500 for words in numbers["reports"])


def test_a_pair_that_did_different_work_or_too_little_is_no_number() -> None:
    work = history.Work(43, "promote", "raise", 41, 4, ("a", "b"), "g000043", 1, 128, "rows")
    history.check_equal_work(work, replace(work))
    with pytest.raises(RuntimeError, match="steps 41 and 53; recipes"):
        history.check_equal_work(work, replace(work, steps=53, recipes=("a", "c")))
    for short in (replace(work, asked=0), replace(work, window=127)):
        with pytest.raises(RuntimeError, match="cycle 43"):
            history.check_equal_work(short, short)


def test_time_that_spans_share_counts_once() -> None:
    assert covered([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)]) == 4.0


def test_an_unknown_benchmark_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rollouts"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "'rollouts'" in said
    assert all(name in said for name in ALL)
