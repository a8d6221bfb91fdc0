"""Admission: malicious and faulty proposals are refused each for its true reason, on every tier; good ones pass."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from metaevo.errors import BadInput, SandboxUnavailable
from metaevo.history import CellState
from metaevo.kernels import CELL, CONTRACTS, PAIR, ROW, TASK
from metaevo.registry.generated import FORMS, Code
from metaevo.registry.generated_rows import SHAPES, experience_rows
from metaevo.synthesis.admission import Admission, admit, admitted_module
from metaevo.synthesis.inputs import Samples, fresh_samples
from metaevo.synthesis.refusals import RejectReason
from metaevo.types import Turn, solved
from objectives.splits import NEWEST, canonical
from objectives.types import Split
from sandbox.errors import Unavailable
from sandbox.types import Limits, Sandbox
from tests.hostile import tiers


@pytest.fixture(scope="module", params=["monty", pytest.param("docker", marks=tiers.ALONE)])
def tier(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """The embedded tier, and containers."""
    tiers.need(request.param)
    made = tiers.open_tier(request.param, Limits(wall_s=2.0), owner="admission")
    yield made
    made.close()


def keep(body: str, head: str = "") -> tuple[str, str, str]:
    return f"{head}def keep(row):\n    {body}\n", "keep", "refinement"


def weight(body: str) -> tuple[str, str, str]:
    return f"def weight(row):\n    {body}\n", "weight", "refinement"


def score(body: str) -> tuple[str, str, str]:
    return f"def score(prompt, completion):\n    {body}\n", "score", "feedback"


CLOSE = "n = len(prompt.split()[-1]); d = abs(n - len(completion)) / (n + len(completion) + 1); return "
BAD: dict[str, tuple[tuple[str, str, str], RejectReason]] = {
    "imports os": (keep("return bool(os.environ)", "import os\n"), RejectReason.IMPORTS),
    "imports inside": (keep("import socket; return True"), RejectReason.IMPORTS),
    "eval": (keep("return eval('len(row) > 3')"), RejectReason.NAMES),
    "exec": (keep("exec('x = 1'); return True"), RejectReason.NAMES),
    "dunder": (keep("return row.__class__.__base__ is None"), RejectReason.NAMES),
    "endless": (keep("while True: pass"), RejectReason.TIME),
    "memory bomb": (keep("return bool(['x' * 10 ** 6 + str(i) for i in range(10 ** 4)])"), RejectReason.MEMORY),
    "prints 1 MB": (keep("print('x' * 10 ** 6); return True"), RejectReason.OUTPUT),
    "writes 1 MB": (
        ("def rewrite(row):\n    return {'text': 'x' * 10 ** 6}\n", "rewrite", "refinement"),
        RejectReason.OUTPUT,
    ),
    "unseeded": (keep("return random.random() < 0.5", "import random\n"), RejectReason.RANDOM),
    "remembers": (keep("seen.append(row['id']); return len(seen) % 2 == 0", "seen = []\n"), RejectReason.STATE),
    "first of a task": (
        keep("new = row['prompt'] not in seen; seen.add(row['prompt']); return new", "seen = set()\n"),
        RejectReason.STATE,
    ),
    "NaN": (weight("return float('nan') if row['level'] > 2 else 1.0"), RejectReason.NOT_FINITE),
    "infinite": (weight("return 1e999"), RejectReason.NOT_FINITE),
    "wrong type": (keep("return 'yes'"), RejectReason.WRONG_TYPE),
    "number for truth": (keep("return 1"), RejectReason.WRONG_TYPE),
    "reads an answer": (keep("return row['text'] == row['answer']"), RejectReason.LOOKS_FOR_ANSWERS),
    "asks for an answer": (keep("return row['text'] == row.get('answer')"), RejectReason.LOOKS_FOR_ANSWERS),
    "raises": (keep("return row['text'][0] in 'abc' or 1 / 0 > 0"), RejectReason.CRASHES),
    "no Python": (("def keep(row:\n    return True\n", "keep", "refinement"), RejectReason.CRASHES),
    "no function": (("def other(row):\n    return True\n", "keep", "refinement"), RejectReason.NO_FUNCTION),
    "no text": (keep("return '\ud800' in row['text']"), RejectReason.NO_TEXT),
    "too long": (keep("return True" + "  # more" * 1000), RejectReason.TOO_LONG),
    "keeps nothing": (keep("return row['level'] > 99"), RejectReason.KEEPS_NOTHING),
    "keeps all": (keep("return row['level'] < 99"), RejectReason.KEEPS_ALL),
    "constant weight": (weight("return 2"), RejectReason.CONSTANT),
    "negative weight": (weight("return -1.0"), RejectReason.OUT_OF_BOUNDS),
    "heavy weight": (weight("return 4.5"), RejectReason.OUT_OF_BOUNDS),
    "constant score": (score("return 0.5"), RejectReason.CONSTANT),
    "score above 1": (score("return len(completion)"), RejectReason.OUT_OF_BOUNDS),
    "length of the prompt": (score("return min(1.0, len(prompt) / 40)"), RejectReason.PROMPT_ONLY),
    "the wrong way round": (score(CLOSE + "min(1.0, d)"), RejectReason.ANTI_CORRELATED),
    "changes nothing": (
        ("def rewrite(task):\n    return {'prompt': task['prompt']}\n", "rewrite", "tasks"),
        RejectReason.CHANGES_NOTHING,
    ),
    "another key": (
        ("def rewrite(task):\n    return {'answer': '1'}\n", "rewrite", "tasks"),
        RejectReason.OUT_OF_BOUNDS,
    ),
    "same order": (
        ("def order(rows):\n    return list(range(len(rows)))\n", "order", "tasks"),
        RejectReason.CHANGES_NOTHING,
    ),
    "twice": (("def order(rows):\n    return [0, 0]\n", "order", "tasks"), RejectReason.OUT_OF_BOUNDS),
    "drops rows": (("def order(rows):\n    return [0]\n", "order", "refinement"), RejectReason.OUT_OF_BOUNDS),
    "all cells": (
        ("def choose(cells):\n    return list(range(len(cells)))\n", "choose", "objective"),
        RejectReason.OUT_OF_BOUNDS,
    ),
    "no cell": (("def choose(cells):\n    return []\n", "choose", "objective"), RejectReason.OUT_OF_BOUNDS),
    "asks too much": (
        ("def ask(row):\n    return ['?'] * 9\ndef use(row, replies):\n    return {}\n", "ask", "refinement"),
        RejectReason.OUT_OF_BOUNDS,
    ),
    "asks for nothing": (
        ("def ask(row):\n    return ['?']\ndef use(row, replies):\n    return {'weight': 1}\n", "ask", "refinement"),
        RejectReason.CHANGES_NOTHING,
    ),
}
UNEQUAL: dict[str, tuple[tuple[str, str, str], dict[str, tuple[RejectReason, ...]]]] = {
    "an object's address": (
        keep("return random.Random(id(row)).random() < 0.5", "import random\n"),
        {"monty": (RejectReason.STATE,), "docker": (RejectReason.NOT_REPEATABLE,)},
    ),
    "what a module imports": (
        keep("return random._os.chroot('/') is None", "import random\n"),
        {"monty": (RejectReason.CRASHES,), "docker": (RejectReason.REACHES,)},
    ),
}
"""The embedded interpreter counts its objects, and its modules import nothing: there it is another fault."""
GOOD: dict[str, tuple[str, str, str]] = {
    "keep": keep("return row['score'] is not None and row['score'] >= 1"),
    "weight": weight("return 2.0 if row['same'] * 2 >= row['of'] else 1"),
    "score": score(CLOSE + "1.0 - min(1.0, d)"),
    "rewrite rows": ("def rewrite(row):\n    return {'text': row['text'].upper() + '.'}\n", "rewrite", "refinement"),
    "rewrite tasks": ("def rewrite(task):\n    return {'prompt': task['prompt'] + '0'}\n", "rewrite", "tasks"),
    "order rows": (
        "def order(rows):\n    return sorted(range(len(rows)), key=lambda i: -(rows[i]['score'] or 0))\n",
        "order",
        "refinement",
    ),
    "order tasks": (
        "def order(rows):\n    return [i for i in range(len(rows)) if rows[i]['level'] > 2]\n",
        "order",
        "tasks",
    ),
    "choose": (
        "def choose(cells):\n    return [max(range(len(cells)), key=lambda i: cells[i]['latent'])]\n",
        "choose",
        "objective",
    ),
    "seeded": keep("return random.Random(row['id']).random() < 0.5", "import random\n"),
    "ask": (
        "def ask(row):\n    return ['Is ' + row['text'] + ' right?']\n"
        "def use(row, replies):\n    return {'keep': 'no' not in replies[0]}\n",
        "ask",
        "refinement",
    ),
    "ask for a score": (
        "def ask(row):\n    return [row['prompt'] + '=' + row['text'] + '?']\n"
        "def use(row, replies):\n    return {'score': {'yes': 1.0, 'no': 0.0}.get(replies[0])}\n",
        "ask",
        "feedback",
    ),
    "ask for a task": (
        "def ask(row):\n    return ['One like ' + row['prompt']]\n"
        "def use(row, replies):\n    return {'prompt': replies[0]}\n",
        "ask",
        "tasks",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_proposal_is_refused_for_its_true_reason(tier: Sandbox, name: str) -> None:
    proposal, reason = BAD[name]
    decided = admit(*proposal, tier)
    assert (decided.accepted, decided.reason) == (False, reason), decided.sentence
    assert decided.sentence.startswith(f"{reason}: ")
    assert "\n" not in decided.sentence
    assert decided.tier == tier.tier


@pytest.mark.parametrize("name", UNEQUAL)
def test_what_each_tier_sees_otherwise_is_refused_for_what_it_is_there(tier: Sandbox, name: str) -> None:
    proposal, reasons = UNEQUAL[name]
    decided = admit(*proposal, tier)
    assert (decided.accepted, decided.reason in reasons[tier.tier]) == (False, True), decided.sentence


@pytest.mark.parametrize("name", GOOD)
def test_a_right_one_is_admitted_with_its_numbers(tier: Sandbox, name: str) -> None:
    decided = admit(*GOOD[name], tier)
    assert (decided.accepted, decided.reason, decided.sentence) == (True, None, "")
    assert decided.numbers["rows"] >= 6


def test_what_is_not_listed_here_is_tried_elsewhere() -> None:
    listed = {reason for _, reason in BAD.values()}
    listed |= {reason for _, found in UNEQUAL.values() for reasons in found.values() for reason in reasons}
    elsewhere = {RejectReason.MEMORISED, RejectReason.UNLAWFUL}
    assert listed | elsewhere == set(RejectReason)
    assert {(slot, kind) for _, kind, slot in GOOD.values()} == set(FORMS)


def test_numbers_say_how_a_score_and_a_filter_agree_with_the_truth(tier: Sandbox) -> None:
    right = admit(*GOOD["score"], tier).numbers
    assert 0.5 < right["low"] < right["agreement"] < right["high"] <= 1.0
    wrong = admit(*BAD["the wrong way round"][0], tier).numbers
    assert wrong["low"] < wrong["agreement"] < wrong["high"] < 0.5
    assert admit(*BAD["length of the prompt"][0], tier).numbers["with_prompt_length"] > 0.99
    kept = admit(*GOOD["keep"], tier).numbers
    assert (kept["right_kept"], 0.2 < kept["kept"] < 0.5) == (1.0, True)


def test_one_that_works_only_where_its_author_looked_is_refused(tier: Sandbox) -> None:
    shown = fresh_samples("what the author saw")
    texts = sorted({row.attempt.task.text for row in shown.experiences})[:9]
    decided = admit(*keep(f"return row['prompt'] in {texts!r}"), tier, shown=shown)
    assert decided.reason is RejectReason.MEMORISED
    assert admit(*keep(f"return row['prompt'] in {texts!r}"), tier).reason is RejectReason.KEEPS_NOTHING


def test_one_that_breaks_a_law_is_refused_by_the_law(tier: Sandbox) -> None:
    decided = admit(*keep("return (row['score'] or 0) >= 1 if row['prompt'] != 'add 12+30' else 1 / 0 > 0"), tier)
    assert decided.reason is RejectReason.UNLAWFUL, decided.sentence
    assert "refinement.syn_proposal breaks the law" in decided.sentence


class Down:
    """A tier that does not answer."""

    tier, limits = "docker", Limits()

    def run(self, *_: object, **__: object) -> None:
        raise Unavailable("the daemon is gone")

    def close(self) -> None:
        return None


def test_infrastructure_is_no_refusal() -> None:
    with pytest.raises(SandboxUnavailable, match="the daemon is gone"):
        admit(*GOOD["keep"], Down())  # type: ignore[arg-type]


def test_a_kind_that_is_none_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"no kernel of kind 'keep' in slot 'update'; there are tasks\.rewrite"):
        admit("def keep(row): return True\n", "keep", "update", Down())  # type: ignore[arg-type]


def test_only_what_was_admitted_becomes_a_module() -> None:
    code = Code("refinement", "keep", "syn_x", "def keep(row):\n    return True\n")
    with pytest.raises(BadInput, match=r"refinement\.syn_x was not admitted: keeps everything"):
        admitted_module(code, Admission(False, RejectReason.KEEPS_ALL, "keeps everything: all"), "grammar")
    made = admitted_module(
        code, Admission(True, None, "", {"rows": 3.0}, "monty"), "grammar", parents=("syn_a",), cycle=4
    )
    assert (made.label, made.state, made.proposer, made.parents, made.cycle) == (
        "refinement.syn_x",
        "admitted",
        "grammar",
        ("syn_a",),
        4,
    )
    assert (made.tier, made.numbers) == ("monty", {"rows": 3.0})


def test_fresh_inputs_are_train_items_that_only_the_source_decides() -> None:
    one, two = fresh_samples("a"), fresh_samples("b")
    assert one == fresh_samples("a")
    assert {t.id for t in one.tasks} != {t.id for t in two.tasks}
    assert all(NEWEST.split(t.environment, canonical(t.prompt)) is Split.TRAIN for t in one.tasks)
    assert all(t.answer is None and t.reference is None for t in one.tasks)
    assert set(one.truth) == {0.0, 1.0}
    assert {type(cell) for cells in one.cells for cell in cells} == {CellState}


def test_an_environment_s_own_right_answer_is_never_an_input() -> None:
    made = fresh_samples("a")
    row = made.experiences[0]
    reference = replace(row.attempt, solution=solved((Turn("assistant", "secret", "reference"),)))
    samples = Samples((*made.experiences, replace(row, attempt=reference)))
    assert len(samples.arguments("refinement", "keep")) == len(samples.truth) == len(made.experiences)
    assert "secret" not in str(samples.arguments("feedback", "score"))


def test_rows_have_the_fields_of_the_contract_and_no_other() -> None:
    made = fresh_samples("a")
    assert {name for (row,) in made.arguments("refinement", "keep") for name in row} == set(ROW)
    assert {name for (task,) in made.arguments("tasks", "rewrite") for name in task} == set(TASK)
    assert {name for (cells,) in made.arguments("objective", "choose") for cell in cells for name in cell} == set(CELL)
    assert {len(pair) for pair in made.arguments("feedback", "score")} == {len(PAIR)}
    assert {kind: contract.returns for kind, contract in CONTRACTS.items()} == {
        kind: SHAPES[kind] for kind in CONTRACTS
    }
    assert {(contract.slot, kind) for kind, contract in CONTRACTS.items()} <= set(FORMS)
    rows = experience_rows(made.experiences)
    assert all(1 <= row["same"] <= row["of"] for row in rows)
    assert any(row["same"] > 1 for row in rows)
