"""What each knob of the modules that train does, in the real engine on the built-in base: a few small steps each."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from metaevo.artifacts import base
from metaevo.artifacts.bodies import adapter
from metaevo.artifacts.store import Store
from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Published
from metaevo.registry.registry import Registry
from metaevo.tiny import CHECKPOINT
from metaevo.types import Attempts, Experience, Experiences, Generation, TrainSpec
from tests.architecture.knobs import effect_of
from tests.metaevo.engines.work import LORA, WORDS, job, judge, never, pairs, rows, said, task, trained

FULL = TrainSpec()


class Bench:
    """One engine on the built-in base, and what a few steps make of it."""

    def __init__(self, store: Store) -> None:
        self.engine = EngineClient(store, threads=1)
        self.base = Generation("g000000", None, {"policy": base.refer(store, CHECKPOINT, "the test")})

    def made(self, update: str, given: Any, ask: Callable[[str, Any], Any] = never, **knobs: Any) -> Published:
        """Return what one job publishes; everything not said is small."""
        spec = knobs.pop("spec", LORA)
        return self.engine.train(job(update, self.base, spec, **knobs), given, ask)

    def likes(self, parts: Any, data: Experiences, *, rejected: bool = False) -> float:
        """Return the mean log-probability, in nats, of the rows' answers."""
        attempts = [row.rejected if rejected else row.attempt for row in data]
        asked = [(a.task.prompt, a.solution.text) for a in attempts if a is not None]
        found = self.engine.score(trained(self.base, parts), [p for p, _ in asked], [t for _, t in asked])
        return sum(completion.logprob or 0.0 for completion in found) / len(found)

    def learned(self, update: str, data: Experiences, **knobs: Any) -> float:
        """Return by how many nats the rows' answers became likelier."""
        made = self.made(update, data, **knobs)
        return self.likes(made.parts, data) - self.likes(self.base.parts, data)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(Store(tmp_path_factory.mktemp("bench") / "artifacts"))
    yield made
    made.engine.close()


@effect_of("update.supervised_finetune.lr")
def test_supervised_steps_move_the_weights_in_proportion_to_lr(bench: Bench) -> None:
    gains = [bench.learned("supervised_finetune", rows(), steps=4, batch=8, lr=lr) for lr in (0.0, 5e-4, 3e-3)]
    assert gains[0] == pytest.approx(0.0, abs=1e-4)
    assert 0.1 < gains[1] < gains[2] - 0.5


@effect_of("update.supervised_finetune.steps", "update.supervised_finetune.batch")
def test_supervised_training_reads_steps_times_batch_rows(bench: Bench) -> None:
    one = bench.made("supervised_finetune", rows(), steps=2, batch=4)
    more = bench.made("supervised_finetune", rows(), steps=6, batch=4)
    wide = bench.made("supervised_finetune", rows(), steps=2, batch=8)
    assert more.tokens == pytest.approx(3 * one.tokens, rel=0.15)
    assert wide.tokens == pytest.approx(2 * one.tokens, rel=0.15)


def margin(bench: Bench, parts: Any) -> float:
    return bench.likes(parts, pairs()) - bench.likes(parts, pairs(), rejected=True)


@effect_of("update.preference_optimization.beta", "update.preference_optimization.lr")
def test_preference_steps_open_a_margin_unless_beta_or_lr_is_zero(bench: Bench) -> None:
    small = {"steps": 4, "batch": 8, "sft": 0.0}
    before = margin(bench, bench.base.parts)
    opened = {
        (beta, lr): margin(bench, bench.made("preference_optimization", pairs(), beta=beta, lr=lr, **small).parts)
        for beta, lr in ((0.1, 1.5e-3), (0.0, 1.5e-3), (0.1, 0.0))
    }
    assert opened[0.1, 1.5e-3] > before + 1
    assert opened[0.0, 1.5e-3] == pytest.approx(before, abs=1e-3)
    assert opened[0.1, 0.0] == pytest.approx(before, abs=1e-3)


@effect_of("update.preference_optimization.sft", "update.preference_optimization.steps")
def test_sft_raises_the_chosen_answer_itself_and_more_steps_raise_it_more(bench: Bench) -> None:
    def chosen(**knobs: Any) -> float:
        return bench.learned("preference_optimization", pairs(), batch=8, beta=0.0, lr=1.5e-3, **knobs)

    none, few, many = chosen(sft=0.0, steps=2), chosen(sft=1.0, steps=2), chosen(sft=1.0, steps=6)
    assert none == pytest.approx(0.0, abs=1e-3)
    assert 0.1 < few < many - 0.3


@effect_of("update.preference_optimization.batch")
def test_preference_training_reads_batch_pairs_a_step(bench: Bench) -> None:
    tokens = [bench.made("preference_optimization", pairs(), steps=2, batch=batch).tokens for batch in (2, 4)]
    assert tokens[1] == pytest.approx(2 * tokens[0], rel=0.2)


class Watched:
    """A judge that remembers what it was asked; answers without a one are right."""

    def __init__(self) -> None:
        self.batches: list[Attempts] = []
        self.answer = judge(lambda text: float("1" not in text))

    def __call__(self, what: str, payload: Any) -> Any:
        self.batches.append(adapter(Attempts).validate_python(payload))
        return self.answer(what, payload)


TASKS = tuple(task(f"add {i}39182+84920{i}") for i in range(1, 9))
"""Sums the base is unsure of: its samples differ, so that there is something to prefer."""
ONLINE: dict[str, Any] = {"steps": 2, "prompts": 2, "group": 4, "lr": 2e-3}


@effect_of("update.policy_gradient.steps", "update.policy_gradient.prompts", "update.policy_gradient.group")
@pytest.mark.parametrize("knobs", [{}, {"steps": 3}, {"prompts": 4}, {"group": 8}], ids=str)
def test_online_training_samples_groups_of_prompts_at_every_step(bench: Bench, knobs: dict[str, Any]) -> None:
    watched, given = Watched(), ONLINE | knobs
    bench.made("policy_gradient", TASKS, watched, **given)
    assert len(watched.batches) == given["steps"]
    for batch in watched.batches:
        assert len(batch) == given["prompts"] * given["group"]
        assert len({attempt.task.id for attempt in batch}) == given["prompts"]


@effect_of("update.policy_gradient.temperature")
def test_heat_makes_the_samples_of_a_group_differ(bench: Bench) -> None:
    kinds = []
    for temperature in (0.05, 2.0):
        watched = Watched()
        bench.made("policy_gradient", TASKS, watched, **ONLINE | {"temperature": temperature, "steps": 1, "group": 16})
        kinds.append(len({(a.task.id, a.solution.text) for a in watched.batches[0]}))
    assert 2 * kinds[0] < kinds[1]


@effect_of("update.policy_gradient.lr", "update.policy_gradient.beta", "update.policy_gradient.scale")
def test_online_weights_move_by_lr_and_by_how_rewards_are_scaled_and_held_back(bench: Bench) -> None:
    def parts(**knobs: Any) -> Any:
        return bench.made("policy_gradient", TASKS, Watched(), **ONLINE | {"steps": 3} | knobs).parts

    own = tuple(Experience(said(t.text, "55555")) for t in TASKS)
    start = bench.likes(bench.base.parts, own)
    assert bench.likes(parts(lr=0.0), own) == pytest.approx(start, abs=1e-4)
    usual, held, unscaled = parts(), parts(beta=10.0), parts(scale="none")
    assert len({usual["policy"], held["policy"], unscaled["policy"]}) == 3
    assert abs(bench.likes(usual, own) - start) > 1e-3


class Taste:
    """Answers a merge: capitals are a gain, lower case is what was kept; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, what: str, payload: Any) -> Any:
        if what == "dev_tasks":
            return [said(f"rev {word}", "").task.prompt for word in WORDS]
        self.asked += 1
        upper = sum(text.isupper() for text in payload) / len(payload)
        return {"gain": upper, "kept": sum(text.islower() for text in payload) / len(payload)}


@pytest.fixture(scope="module")
def shouting(bench: Bench) -> Generation:
    """Return a generation that answers in capitals what its parent answers in lower case."""
    made = bench.made("supervised_finetune", rows(), spec=FULL, steps=40, batch=8, lr=3e-3)
    return Generation("g000001", bench.base.id, made.parts)


def merged(bench: Bench, start: Generation, **knobs: Any) -> tuple[Generation, Taste]:
    module, taste = Registry().get("consolidation", "adaptive_model_averaging"), Taste()
    filled = module.fill(knobs, "test")
    asked = replace(
        job("supervised_finetune", start, FULL, name=f"merge{sorted(knobs.items())}"),
        slot="consolidation",
        module=module.name,
        digest=module.digest,
        knobs=filled,
        others={"parent": bench.base},
    )
    return trained(bench.base, bench.engine.train(asked, start, taste).parts), taste


@effect_of("consolidation.adaptive_model_averaging.blocks", "consolidation.adaptive_model_averaging.tries")
@pytest.mark.parametrize(("blocks", "tries"), [(1, 1), (1, 3), (3, 3)])
def test_a_merge_tries_so_many_ratios_for_every_block(
    bench: Bench, shouting: Generation, blocks: int, tries: int
) -> None:
    _, taste = merged(bench, shouting, blocks=blocks, tries=tries)
    assert taste.asked == 1 + blocks * (tries - 1)


@effect_of("consolidation.adaptive_model_averaging.keep")
def test_the_more_keeping_counts_the_more_of_the_parent_is_in_the_average(bench: Bench, shouting: Generation) -> None:
    new, old = (merged(bench, shouting, keep=keep, tries=8)[0] for keep in (0.0, 100.0))
    likes = [bench.likes(g.parts, rows(lambda word: word[::-1])) for g in (new, old)]
    assert likes[1] > likes[0] + 1
