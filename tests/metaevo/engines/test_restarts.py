"""A training that is interrupted or runs out of memory ends in the weights it would have had anyway."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback, set_seed

from metaevo.artifacts import base
from metaevo.artifacts.store import Store
from metaevo.engines.transformers import Transformers
from metaevo.engines.trl import TrlWeights
from metaevo.errors import NotFinite, OutOfMemory
from metaevo.learning import online, preference, supervised, training
from metaevo.learning.model import Learner
from metaevo.tiny import CHECKPOINT
from metaevo.types import Generation, TrainSpec
from tests.metaevo.engines.work import LORA, job, judge, never, pairs, rows, task

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of trl, peft, torch
Make = Callable[[Learner, TrlWeights, int, int], Any]


class Stop(Exception):
    """The power goes."""


class Fails(TrainerCallback):
    """Raises an error at the end of one optimiser step."""

    def __init__(self, step: int, error: BaseException) -> None:
        self.step, self.error = step, error

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise self.error


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Store, Generation]:
    torch.set_num_threads(1)
    store = Store(tmp_path)
    return store, Generation("g000000", None, {"policy": base.refer(store, CHECKPOINT, "the test")})


def begun(store: Store, start: Generation, spec: TrainSpec = LORA, ask: Any = never) -> tuple[TrlWeights, Learner]:
    """Return the weights of one job and its learner, as an engine's process would begin it."""
    set_seed(7)
    made = TrlWeights(store, Transformers(store), job("supervised_finetune", start), ask, lambda _done, _total: None)
    made.stamp((*rows(), *pairs()))
    return made, made.load(spec=spec)


def sft(learner: Learner, weights: TrlWeights, size: int, parts: int, spec: TrainSpec = LORA, steps: int = 6) -> Any:
    return supervised.trainer(learner, rows(), weights, spec, 1e-3, steps, size, parts, 3)


def dpo(learner: Learner, weights: TrlWeights, size: int, parts: int, spec: TrainSpec = LORA, steps: int = 6) -> Any:
    return preference.trainer(learner, pairs(), weights, spec, 1e-3, steps, size, parts, 3, 0.1, 0.5)


def changed(model: Any) -> dict[str, torch.Tensor]:
    """Return what was trained; a reference adapter is left out."""
    every = preference.make_trainable(model).named_parameters()
    return {name: weight.detach().clone() for name, weight in every if weight.requires_grad}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return set(one) == set(two) and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("spec", [LORA, TrainSpec()], ids=["adapter", "full"])
@pytest.mark.parametrize("method", [sft, dpo], ids=["sft", "dpo"])
def test_memory_that_ends_in_mid_run_lets_the_halved_one_begin_anew(
    tiny: tuple[Store, Generation], method: Any, spec: TrainSpec
) -> None:
    sizes = []

    def make(size: int, parts: int) -> Any:
        sizes.append((size, parts))
        made = method(learner, weights, size, parts, spec)
        if parts == 1:
            made.add_callback(Fails(3, torch.OutOfMemoryError("out of memory")))
        return made

    weights, learner = begun(*tiny, spec)
    cut = changed(training.run(make, weights, 8))
    assert sizes == [(8, 1), (4, 2)]
    weights, learner = begun(*tiny, spec)
    whole = changed(training.run(lambda size, _: method(learner, weights, size // 2, 2, spec), weights, 8))
    assert same(cut, whole)
    weights, learner = begun(*tiny, spec)
    assert not same(cut, changed(learner.model))


@pytest.mark.parametrize(
    ("batch", "wanted"), [(8, [8, 4, 2, 1]), (9, [9, 3, 1]), (6, [6, 3, 1]), (7, [7, 1]), (1, [1])]
)
def test_the_batch_is_cut_into_equal_parts_down_to_one_row(
    tiny: tuple[Store, Generation], batch: int, wanted: list[int]
) -> None:
    weights, learner = begun(*tiny)
    sizes = []

    def make(size: int, parts: int) -> Any:
        sizes.append(size)
        assert size * parts == batch
        made = sft(learner, weights, size, parts)
        made.add_callback(Fails(1, torch.OutOfMemoryError("out of memory")))
        return made

    with pytest.raises(OutOfMemory, match=f"also with a batch of {wanted[-1]}$"):
        training.run(make, weights, batch)
    assert sizes == wanted


def test_another_runtime_error_is_not_taken_for_want_of_memory(tiny: tuple[Store, Generation]) -> None:
    weights, learner = begun(*tiny)

    def make(size: int, parts: int) -> Any:
        made = sft(learner, weights, size, parts)
        made.add_callback(Fails(1, RuntimeError("shapes differ")))
        return made

    with pytest.raises(RuntimeError, match="shapes differ"):
        training.run(make, weights, 8)


def test_a_policy_that_cannot_be_sampled_any_more_is_not_finite_by_name(tiny: tuple[Store, Generation]) -> None:
    weights, learner = begun(*tiny, ask=judge(lambda text: float(len(text) % 2)))
    tasks = tuple(task(text) for text in ("x", "xx", "y", "q"))
    weights.stamp(tasks)
    how = online.OnlineSettings(1e36, 4, 4, 4, 1.0, 0.0, "group", 3)
    with pytest.raises(NotFinite):
        online.run(learner, tasks, weights, LORA, how)


def test_fewer_tasks_than_prompts_still_train(tiny: tuple[Store, Generation]) -> None:
    asked: list[int] = []

    def ask(what: str, payload: Any) -> Any:
        asked.append(len(payload))
        return judge(lambda text: float(len(text) % 2))(what, payload)

    weights, learner = begun(*tiny, ask=ask)
    how = online.OnlineSettings(1e-3, 2, 16, 4, 1.5, 0.0, "group", 3)
    before = changed(learner.model)
    tasks = (task("x"), task("rev abcdefg"), task("y"))
    weights.stamp(tasks)
    after = changed(online.run(learner, tasks, weights, LORA, how))
    assert asked == [12, 12]
    assert not same(before, after)


def interrupted(tiny: tuple[Store, Generation], method: Any, steps: int, stop: int) -> TrlWeights:
    """Train until the power goes; what is left is the scratch folder."""
    weights, learner = begun(*tiny)

    def make(size: int, parts: int) -> Any:
        made = method(learner, weights, size, parts, steps=steps)
        made.add_callback(Fails(stop, Stop()))
        return made

    with pytest.raises(Stop):
        training.run(make, weights, 4)
    return weights


def finished(tiny: tuple[Store, Generation], method: Any, steps: int) -> tuple[dict[str, torch.Tensor], int]:
    """Return what training to the end gives, and how many steps this process took for it."""
    weights, learner = begun(*tiny)
    done: list[int] = []

    def make(size: int, parts: int) -> Any:
        made = method(learner, weights, size, parts, steps=steps)

        class Count(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                done.append(state.global_step)

        made.add_callback(Count())
        return made

    trained = changed(training.run(make, weights, 4))
    return trained, len(done)


@pytest.mark.parametrize("method", [sft, pytest.param(dpo, marks=pytest.mark.full)], ids=["sft", "dpo"])
def test_a_long_run_resumes_from_its_checkpoint_bit_for_bit(tiny: tuple[Store, Generation], method: Any) -> None:
    whole, steps = finished(tiny, method, 120)
    assert steps == 120
    scratch = begun(*tiny)[0].scratch
    for path in scratch.glob("checkpoint-*"):
        shutil.rmtree(path)
    weights = interrupted(tiny, method, 120, 110)
    assert [path.name for path in weights.scratch.glob("checkpoint-*")] == ["checkpoint-100"]
    resumed, left = finished(tiny, method, 120)
    assert left == 20
    assert same(resumed, whole)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_broken_checkpoint_is_removed_and_the_run_falls_back(tmp_path: Path, damage: str) -> None:
    for step in (100, 200):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    broken = tmp_path / "checkpoint-200" / "trainer_state.json"
    if damage == "missing":
        broken.unlink()
    else:
        broken.write_text(broken.read_text()[:7])
    assert training._latest(tmp_path) == str(tmp_path / "checkpoint-100")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-100"]
