"""The host side of generated modules: what a kernel is shown, what is done with what it says, what it may not say."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from metaevo.errors import ModuleFailed, SandboxUnavailable, UnknownModule
from metaevo.history import History
from metaevo.registry import generated_files
from metaevo.registry.generated import BATCH, FORMS, Code, build
from metaevo.registry.generated_files import Generated, load, path_of, save
from metaevo.registry.laws import LAWS, batch_for, problems, unlawful_modules, with_sandbox
from metaevo.registry.registry import Registry
from metaevo.runtime.sandbox import KernelRun
from metaevo.testing import OTHER, TASK, attempt, experience
from metaevo.types import Completion, Turn, solved
from objectives.types import Cell, Objective
from sandbox.errors import Refused, Unavailable
from sandbox.handle import SandboxHandle
from sandbox.monty import Monty
from sandbox.types import Kernel, Limits

SOURCES: dict[tuple[str, str], str] = {
    ("tasks", "rewrite"): "def rewrite(task):\n    return {'prompt': task['prompt'] + '1'}\n",
    ("tasks", "order"): "def order(rows):\n    return sorted(range(len(rows)), key=lambda i: -rows[i]['level'])\n",
    (
        "tasks",
        "ask",
    ): "def ask(row):\n    return [row['prompt']]\ndef use(row, replies):\n    return {'prompt': replies[0]}\n",
    (
        "feedback",
        "score",
    ): "def score(prompt, completion):\n    return len(completion) / (1 + len(prompt) + len(completion))\n",
    (
        "feedback",
        "ask",
    ): "def ask(row):\n    return [row['text']]\ndef use(row, replies):\n    return {'score': 0.25}\n",
    ("refinement", "keep"): "def keep(row):\n    return len(row['text']) == 2\n",
    ("refinement", "weight"): "def weight(row):\n    return row['score'] * 4\n",
    ("refinement", "rewrite"): "def rewrite(row):\n    return {'text': row['text'][:2]}\n",
    (
        "refinement",
        "order",
    ): "def order(rows):\n    return sorted(range(len(rows)), key=lambda i: (rows[i]['score'], rows[i]['id']))\n",
    ("refinement", "ask"): (
        "def ask(row):\n    return [row['text'], row['id']] if row['score'] else []\n"
        "def use(row, replies):\n    return {'text': ' '.join(replies), 'weight': 2, 'keep': len(replies) == 2}\n"
    ),
    ("objective", "choose"): "def choose(cells):\n    return [i for i in range(len(cells)) if cells[i]['open']]\n",
}
ROWS = batch_for("refinement")
SECRET = "the-right-answer"


@pytest.fixture(scope="module")
def run() -> Iterator[KernelRun]:
    handle = SandboxHandle("monty", Monty)
    yield KernelRun(handle)
    handle.close()


@dataclass
class Recorded:
    """A sandbox that keeps what it was sent."""

    run: KernelRun
    identity: str = "recorded"
    calls: list[tuple[str, list[Any]]] = field(default_factory=list)

    def __call__(self, kernel: Kernel, rows_R: Sequence[Any]) -> tuple[Any, ...]:
        self.calls.append((kernel.function, [list(row) for row in rows_R]))
        return self.run(kernel, rows_R)


@dataclass(frozen=True)
class Echo:
    """A policy that says back what it is asked, and at which temperature."""

    id: str = "echo"

    def sample(self, prompts: Any, *, n: int = 1, temperature: float = 1.0, **_: Any) -> Any:
        return [[Completion(f"{prompt[-1].content}!{temperature:g}", 1)] for prompt in prompts]


def module(slot: str, kind: str, source: str = "") -> Any:
    code = Code(slot, kind, "syn_it", source or SOURCES[slot, kind])
    return build(code, Path("syn_it.toml"), "", "A kernel.")


def call(slot: str, kind: str, batch: Any, run: Any, source: str = "", **more: Any) -> Any:
    made = module(slot, kind, source)
    knobs = made.fill({key: value for key, value in more.items() if key != "policy"}, "test")
    policy = {"policy": more.get("policy", Echo())} if "policy" in made.effects else {}
    return made.call(batch, run=run, **policy, **knobs)


def texts(rows: Any) -> list[str]:
    return [row.attempt.solution.text for row in rows]


@pytest.mark.parametrize(("slot", "kind"), FORMS)
def test_every_kind_is_a_module_that_obeys_the_laws(run: KernelRun, slot: str, kind: str) -> None:
    made = module(slot, kind)
    assert list(problems(made)) == []
    assert list(problems(with_sandbox(made, run))) == []
    assert "run" in made.effects
    assert ("policy" in made.effects) == (kind == "ask")


def test_a_lawless_kernel_breaks_its_law_once_a_sandbox_is_given(run: KernelRun) -> None:
    source = "seen = []\ndef keep(row):\n    seen.append(1)\n    return len(seen) > 3\n"
    made = module("refinement", "keep", source)
    assert list(problems(made)) == []
    assert [said for said in problems(with_sandbox(made, run)) if "groups may be permuted" in said]
    assert len(LAWS) == 9


class Down:
    """A tier that does not answer."""

    tier, limits = "docker", Limits()

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, *_: Any, **__: Any) -> Any:
        raise self.error

    def close(self) -> None:
        return None


@pytest.mark.parametrize("error", [Unavailable("gone"), Refused("memory is not kept")])
def test_infrastructure_breaks_no_law_and_is_no_module_s_failure(error: Exception) -> None:
    down = KernelRun(SandboxHandle("docker", lambda: Down(error)))
    with pytest.raises(SandboxUnavailable, match=str(error)):
        list(problems(with_sandbox(module("refinement", "keep"), down)))
    with pytest.raises(SandboxUnavailable, match=str(error)):
        call("refinement", "keep", ROWS, down)


def test_no_answer_reference_or_right_attempt_is_ever_sent(run: KernelRun) -> None:
    whole = replace(TASK, answer=SECRET, reference=SECRET)
    right = replace(attempt("42", whole), solution=solved((Turn("assistant", SECRET, "reference"),)))
    rows = (*(replace(row, attempt=replace(row.attempt, task=whole)) for row in ROWS), replace(ROWS[0], attempt=right))
    for slot, kind in FORMS:
        seen = Recorded(run)
        batch: Any = {
            "tasks": (whole, OTHER),
            "feedback": tuple(row.attempt for row in rows),
            "refinement": rows,
            "objective": batch_for("objective"),
        }[slot]
        made = call(slot, kind, batch, seen)
        assert seen.calls
        assert SECRET not in json.dumps(seen.calls), (slot, kind)
        if slot == "refinement":
            assert [row for row in made if row.attempt.solution.text == SECRET] == [rows[-1]]
        if slot == "feedback":
            assert (made[-1].score, made[-1].attempt) == (None, right)


def test_keep_weight_rewrite_and_order_do_what_they_say(run: KernelRun) -> None:
    assert call("refinement", "keep", ROWS, run) == tuple(r for r in ROWS if len(r.attempt.solution.text) == 2)
    doubled = tuple(replace(row, weight=0.5) for row in ROWS)
    weighed = call("refinement", "weight", doubled, run)
    assert [row.weight for row in weighed] == [2 * row.score for row in ROWS if row.score]
    rewritten = call("refinement", "rewrite", ROWS, run)
    assert texts(rewritten) == [text[:2] for text in texts(ROWS)]
    for before, after in zip(ROWS, rewritten, strict=True):
        if len(before.attempt.solution.text) <= 2:
            assert after == before
        else:
            assert (after.score, after.feedback, after.tags) == (None, (), ("rewritten",))
            assert after.attempt.solution.turns[-1].by == "syn_it"
    ordered = call("refinement", "order", ROWS, run)
    assert [row.score for row in ordered] == sorted(row.score for row in ROWS)
    assert set(map(repr, ordered)) == set(map(repr, ROWS))
    tasks = call("tasks", "order", (TASK, OTHER), run)
    assert tasks == (OTHER, TASK)
    assert call("tasks", "order", (TASK, OTHER), run, "def order(rows):\n    return [1]\n") == (OTHER,)


def test_a_score_is_the_model_s_word_not_the_environment_s(run: KernelRun) -> None:
    (made,) = call("feedback", "score", (attempt("42"),), run)
    assert made.score == pytest.approx(2 / 12)
    assert [(f.score, f.verdict, f.source) for f in made.feedback] == [(made.score, "unknown", "model")]
    none = "def ask(row):\n    return []\ndef use(row, replies):\n    return {'score': None}\n"
    assert [row.score for row in call("feedback", "ask", (attempt("1"), attempt("2")), run, none)] == [None, None]


def test_replies_come_back_to_the_row_that_asked(run: KernelRun) -> None:
    made = call("refinement", "ask", ROWS, run, temperature=0.5)
    wanted = [row for row in ROWS if row.score]
    assert texts(made) == [f"{r.attempt.solution.text}!0.5 {r.attempt.task.id}!0.5" for r in wanted]
    assert {row.weight for row in made} == {2.0}


@pytest.mark.parametrize(("slot", "kind"), [key for key in FORMS if key[1] == "ask"])
def test_the_temperature_is_that_of_the_replies(run: KernelRun, slot: str, kind: str) -> None:
    source = SOURCES[slot, kind].replace("'score': 0.25", "'score': float(replies[0].split('!')[1])")
    batch = {"tasks": (TASK,), "feedback": (attempt("4"),), "refinement": ROWS[:1]}[slot]
    cold, warm = (call(slot, kind, batch, run, source, temperature=t) for t in (0.0, 1.0))
    assert cold != warm


def test_posed_tasks_are_new_ones_of_their_parents(run: KernelRun) -> None:
    both = call("tasks", "rewrite", (TASK, OTHER), run)
    assert both[:2] == (TASK, OTHER)
    assert [(t.text, t.origin, t.parents, t.answer) for t in both[2:]] == [
        (f"{t.text}1", "posed", (t.id,), None) for t in (TASK, OTHER)
    ]
    assert call("tasks", "rewrite", (TASK, OTHER), run, keep_parents=False) == both[2:]
    assert call("tasks", "ask", (TASK,), run, keep_parents=False)[0].text == f"{TASK.text}!0.7"
    same = "def rewrite(task):\n    return {'prompt': task['prompt'] + ' '}\n"
    assert call("tasks", "rewrite", (TASK,), run, same) == (TASK,)


def test_a_rule_chooses_among_the_open_cells_of_one_kind(run: KernelRun) -> None:
    history: History = batch_for("objective")
    made: Objective = call("objective", "choose", history, run)
    assert (made.rule, made.cells) == ("syn_it", (Cell("addition", 2), Cell("addition", 3)))
    finite = replace(history, cells=(history.cells[0], replace(history.cells[1], finite=True)))
    assert call("objective", "choose", finite, run).cells == (Cell("addition", 2),)
    turned = "def choose(cells):\n    return [1, 0]\n"
    assert call("objective", "choose", finite, run, turned).cells == (Cell("addition", 3),)
    seen = Recorded(run)
    one = replace(history, cells=(history.cells[0], replace(history.cells[1], parked="tried")))
    assert call("objective", "choose", one, seen).cells == (Cell("addition", 2),)
    assert [len(rows[0][0]) for _, rows in seen.calls] == [1]
    shut = replace(history, cells=tuple(replace(cell, weight=0.0) for cell in history.cells))
    assert call("objective", "choose", shut, seen).cells == ()
    assert len(seen.calls) == 1


@pytest.mark.parametrize(
    ("key", "body", "why"),
    [
        (("refinement", "weight"), "return -1", "weight of row 0: weight -1: want 0 to 4"),
        (("refinement", "order"), "return [0]", "order of row 0: 1 of 8 rows: want every one"),
        (("tasks", "order"), "return [2]", "order of row 0: index 2: there are 2"),
        (("tasks", "order"), "return [-1]", "order of row 0: index -1: there are 2"),
        (("feedback", "score"), "return 1.5", "score of row 0: score 1.5: want 0 to 1"),
        (("refinement", "rewrite"), "return {'answer': 1}", "unknown key 'answer': known: text"),
        (("refinement", "rewrite"), "return {'text': 1}", "text: want text"),
        (("objective", "choose"), "return [0, 0]", "an index comes twice"),
        (("objective", "choose"), "return []", "0 cells: want 1 to 4 of the 2 open ones"),
        (("refinement", "keep"), "return 1", "its kernel keep ended with protocol_violation"),
        (("refinement", "keep"), "return 1 / 0", "its kernel keep ended with crash: raised: ZeroDivisionError"),
    ],
)
def test_what_a_slot_cannot_have_is_the_module_s_failure(
    run: KernelRun, key: tuple[str, str], body: str, why: str
) -> None:
    head = SOURCES[key].partition("\n")[0]
    batch = {
        "tasks": (TASK, OTHER),
        "feedback": (attempt("4"),),
        "refinement": ROWS,
        "objective": batch_for("objective"),
    }
    with pytest.raises(ModuleFailed) as failed:
        call(*key, batch[key[0]], run, f"{head}\n    {body}\n")
    assert str(failed.value).startswith(f"{key[0]}.syn_it: ")
    assert why in str(failed.value)


def test_rows_go_in_batches_and_keep_their_order(run: KernelRun) -> None:
    rows = tuple(experience(str(i), 1.0) for i in range(2 * BATCH + 3))
    seen = Recorded(run)
    kept = call("refinement", "keep", rows, seen, "def keep(row):\n    return int(row['text']) % 2 == 0\n")
    assert [len(sent) for _, sent in seen.calls] == [BATCH, BATCH, 3]
    assert texts(kept) == [str(i) for i in range(0, 2 * BATCH + 3, 2)]


def test_a_long_text_is_cut(run: KernelRun) -> None:
    seen = Recorded(run)
    call("refinement", "keep", (experience("x" * 9000, 1.0),), seen)
    ((_, ((row,),)),) = seen.calls
    assert len(row["text"]) == 4000


def made(home: Path, **more: Any) -> Generated:
    """Write a generated module's file and return what it says."""
    facts = {"name": "syn_short", "slot": "refinement", "kind": "keep", "proposer": "grammar"}
    written = Generated.model_validate(facts | {"source": SOURCES["refinement", "keep"]} | more)
    return load(save(home, written))


@pytest.mark.parametrize(
    "source",
    [
        'def keep(row):\n    """a \\"""" b"""\n    return True',
        "\n\nx = '\\t\\\\'\t",
        "x = 1\r\n",
        "é\x7f\u2028",
        '"' * 7,
    ],
)
def test_a_file_gives_its_source_back_to_the_letter(tmp_path: Path, source: str) -> None:
    assert made(tmp_path, source=source).source == source


def test_the_registry_sees_a_generated_module_like_any_other(tmp_path: Path, run: KernelRun) -> None:
    before = Registry(tmp_path).digest()
    wrote = made(tmp_path, parents=("syn_a",), cycle=3, about="Keep the short ones.")
    registry = Registry(tmp_path)
    found = registry.get("refinement", "syn_short")
    assert registry.where("refinement", "syn_short") == "generated"
    assert "syn_short" in registry.names("refinement")
    assert found.doc.startswith("Keep the short ones.\n\nWritten by grammar from syn_a in cycle 3.")
    assert unlawful_modules(registry) == {}
    assert texts(found.call(ROWS, run=run)) == ["42", "41", "42", "41"]
    assert registry.digest() != before
    save(tmp_path, wrote.model_copy(update={"state": "adopted", "numbers": {"rows": 3.0}}))
    assert registry.get("refinement", "syn_short").digest == found.digest
    made(tmp_path, source=SOURCES["refinement", "keep"] + "# more\n")
    assert registry.get("refinement", "syn_short").digest != found.digest


def test_what_is_quarantined_is_not_installed_and_says_why(tmp_path: Path) -> None:
    made(tmp_path, state="quarantined", reason="it lies")
    registry = Registry(tmp_path)
    assert "syn_short" not in registry.names("refinement")
    with pytest.raises(UnknownModule, match=r"recipe: refinement\.syn_short is quarantined \(it lies\); take it out"):
        registry.get("refinement", "syn_short")
    assert [found.name for found in generated_files.every_module(tmp_path)] == ["syn_short"]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('kind = "keep"', 'kind = "score"', "no kernel of kind 'score' in slot refinement"),
        ('slot = "refinement"', 'slot = "tasks"', "says it is tasks.syn_short"),
        ("== 2", "== 3", "its source is not what was admitted"),
        ('kind = "keep"', "kind = keep", "is not a generated module"),
        ('state = "admitted"', 'state = "fine"', "is not a generated module"),
        ('proposer = "grammar"', 'proposer = "grammar"\nmore = 1', "is not a generated module"),
    ],
)
def test_a_broken_file_is_told_by_its_name(tmp_path: Path, before: str, after: str, why: str) -> None:
    made(tmp_path)
    path = path_of(tmp_path, "refinement", "syn_short")
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    registry = Registry(tmp_path)
    assert registry.digest()
    with pytest.raises(ModuleFailed) as failed:
        registry.get("refinement", "syn_short")
    assert str(failed.value).startswith(f"{path}: {why}")
    assert "\n" not in str(failed.value)
    assert ("refinement", "syn_short") in unlawful_modules(registry)


@pytest.mark.parametrize("facts", [{"name": "short"}, {"name": "syn_../x"}, {"kind": "score"}, {"slot": "update"}])
def test_a_file_is_only_written_where_it_can_be_read(tmp_path: Path, facts: dict[str, str]) -> None:
    with pytest.raises(ModuleFailed, match="want a name like syn_short_answers and a kind of"):
        made(tmp_path, **facts)
    assert list(tmp_path.rglob("*.toml")) == []


def test_two_modules_of_one_name_are_refused(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "modules" / "refinement" / "syn_short.py").write_text("")
    with pytest.raises(ModuleFailed, match="refinement already has a module 'syn_short'; give the file another name"):
        Registry(tmp_path).names("refinement")
