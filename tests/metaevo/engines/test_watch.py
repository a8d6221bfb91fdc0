"""A model learns from rows that passed the door, and from nothing else, whatever object brings the rows."""

from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import set_seed

from metaevo.artifacts import base
from metaevo.artifacts.store import Store
from metaevo.engines.transformers import Transformers
from metaevo.engines.trl import TrlWeights
from metaevo.errors import ModuleFailed
from metaevo.learning import rows as made_rows
from metaevo.learning import supervised
from metaevo.learning.model import Learner
from metaevo.registry.registry import Registry
from metaevo.tiny import CHECKPOINT
from metaevo.types import Admitted, Experience, Experiences, Generation, TrainSpec
from tests.metaevo.engines.work import LORA, job, judge, never, pairs, rows, said, task

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of trl, peft, torch
EXAM = tuple(Experience(said(f"what is exam item {i}", str(i))) for i in range(8))
REFUSED = r"^update\.supervised_finetune trains on what the door did not let pass, first '.*exam item \d.*'; make its"
FULL = TrainSpec()


class Free:
    """Weights that stamp every row."""

    def __init__(self, weights: TrlWeights) -> None:
        self._weights = weights

    def __getattr__(self, name: str) -> Any:
        return getattr(self._weights, name)

    def admit(self, found: Experiences) -> Admitted:
        return Admitted(found)


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., TrlWeights]:
    torch.set_num_threads(1)
    set_seed(7)
    store = Store(tmp_path)
    start = Generation("g000000", None, {"policy": base.refer(store, CHECKPOINT, "the test")})

    def begin(batch: Any = (), ask: Any = never, update: str = "supervised_finetune") -> TrlWeights:
        made = TrlWeights(store, Transformers(store), job(update, start), ask, lambda _done, _total: None)
        made.stamp(batch or rows())
        return made

    return begin


def tuned(weights: Any, learner: Learner, found: Experiences) -> Any:
    return supervised.run(
        lambda size, parts: supervised.trainer(learner, found, weights, LORA, 1e-3, 2, size, parts, 3), weights, 4
    )


def own_loop(learner: Learner, ids: list[tuple[int, ...]]) -> None:
    """One step of a module that trains by itself."""
    longest, pad = max(map(len, ids)), learner.tokenizer.pad_token_id
    batch = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in ids])
    learner.model(input_ids=batch, labels=batch).loss.backward()


def test_weights_that_stamp_by_themselves_are_refused_by_name_and_publish_nothing(
    begin: Callable[..., TrlWeights],
) -> None:
    weights = begin()
    learner = weights.load(spec=LORA)
    with pytest.raises(ModuleFailed, match=REFUSED):
        tuned(Free(weights), learner, EXAM)
    with pytest.raises(ModuleFailed, match=REFUSED):  # a module that goes on all the same
        Free(weights).publish(learner.model)
    assert weights.published is None


@pytest.mark.parametrize("mixed", [EXAM, (*rows(), EXAM[3])], ids=["exam", "one among clean ones"])
def test_a_stamp_that_a_module_makes_opens_nothing(begin: Callable[..., TrlWeights], mixed: Experiences) -> None:
    weights = begin()
    learner = weights.load(spec=FULL)
    made = made_rows.supervised_rows(learner.chat, Admitted(mixed))
    with pytest.raises(ModuleFailed, match=REFUSED):
        own_loop(learner, [row.input_ids for row in made])


def test_tokens_of_the_module_s_own_teach_nothing(begin: Callable[..., TrlWeights]) -> None:
    weights = begin()
    learner = weights.load(spec=FULL)
    learner.chat.conversation = lambda *_: made_rows.SupervisedRow((1, 2, 3), (1, 2, 3), 1.0)  # type: ignore[assignment,method-assign]
    for model in (learner.model, learner.model.model):  # whole, or past its head
        with pytest.raises(ModuleFailed, match="did not let pass"):
            model(input_ids=torch.tensor([learner.tokenizer("what is exam item 4").input_ids]))
    with torch.no_grad():  # what is only looked at teaches nothing
        learner.model(input_ids=torch.tensor([learner.tokenizer("what is exam item 4").input_ids]))


def test_another_model_than_the_loaded_one_is_not_published(begin: Callable[..., TrlWeights]) -> None:
    weights = begin()
    learner = weights.load(spec=FULL)
    other = type(learner.model)(learner.model.config)
    with pytest.raises(ModuleFailed, match=r"publishes a model that weights\.load\(\) did not give"):
        weights.publish(other)


def test_a_copy_of_a_model_is_under_the_same_eye(begin: Callable[..., TrlWeights]) -> None:
    weights = begin((task("abc"),))
    learner = weights.load(spec=FULL)
    copy = deepcopy(learner.model)
    with torch.no_grad():
        for weight in copy.parameters():
            weight.zero_()
    asked = torch.tensor([learner.chat.prompt(task("abc").prompt)])
    written = [model.generate(input_ids=asked, max_new_tokens=4, do_sample=False) for model in (learner.model, copy)]
    assert written[0].tolist() != written[1].tolist()
    with pytest.raises(ModuleFailed, match=REFUSED):
        copy(input_ids=torch.tensor([learner.chat.prompt(EXAM[0].attempt.task.prompt)]))


def test_rows_that_passed_train_in_a_loop_of_the_module_s_own_too(begin: Callable[..., TrlWeights]) -> None:
    weights = begin()
    learner = weights.load(spec=LORA)
    made = made_rows.supervised_rows(learner.chat, weights.admit(rows()))
    own_loop(learner, [row.input_ids for row in made])
    assert weights.publish(learner.model).parts == (weights.published and weights.published.parts)


def test_a_model_may_learn_what_it_wrote_after_a_task_that_passed_and_nothing_put_there(
    begin: Callable[..., TrlWeights],
) -> None:
    weights = begin((task("rev abc"), task("x")))
    learner = weights.load(spec=FULL)
    for text, passes in (("rev abc", True), ("what is exam item 0", False)):
        asked = torch.tensor([learner.chat.prompt(task(text).prompt)])
        whole = learner.model.generate(input_ids=asked, max_new_tokens=6, do_sample=False)
        if passes:
            learner.model(input_ids=whole)
        else:
            with pytest.raises(ModuleFailed, match="did not let pass"):
                learner.model(input_ids=whole)
    put = torch.tensor([learner.chat.prompt(task("x").prompt) + learner.chat.answer("what is exam item 0")])
    with pytest.raises(ModuleFailed, match=REFUSED):
        learner.model(input_ids=put)


def test_rows_of_a_module_s_own_train_once_the_door_let_them_pass(begin: Callable[..., TrlWeights]) -> None:
    asked: list[int] = []

    def ask(what: str, found: Any) -> list[int]:
        asked.append(len(found))
        return [place for place, row in enumerate(found) if "exam" not in row.attempt.task.text]

    weights = begin(pairs(), ask)
    learner = weights.load(spec=LORA)
    weights.publish(tuned(weights, learner, (*rows(), *EXAM)))
    assert asked == [16]
    assert weights.published is not None
    assert weights.published.left_out == {"refused": 8}


@pytest.mark.parametrize("update", ["supervised_finetune", "preference_optimization", "policy_gradient"])
def test_every_update_we_ship_publishes(begin: Callable[..., TrlWeights], update: str) -> None:
    online = update == "policy_gradient"
    batch = (task("x"), task("y")) if online else (*pairs(), *rows(lambda word: word + word))
    knobs = {"steps": 4, **({"prompts": 2, "group": 4} if online else {"batch": 8})}
    weights = begin(batch, judge(lambda text: float(len(text) % 2)), update)
    module = Registry().get("update", update)
    made = module.call(batch, weights=weights, spec=LORA, rng=Random(1), **(module.knobs().model_dump() | knobs))
    assert weights.published is not None
    assert made.parts == weights.published.parts


def test_a_stranger_s_update_with_changed_rows_publishes(
    begin: Callable[..., TrlWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "plugin_package" / "src"))
    winners_only = import_module("acme_metaevo.winners_only").winners_only

    weights = begin(pairs(), lambda _what, found: list(range(len(found))))
    made = winners_only(pairs(), weights=weights, spec=LORA, rng=Random(1), steps=2)
    assert weights.published is not None
    assert made.parts == weights.published.parts
