"""`Weights` in the real engine: SFT, DPO and GRPO through TRL move the model where their rows say."""

import math
from collections.abc import Sequence

import pytest

from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Sampling
from metaevo.errors import ModuleFailed
from metaevo.types import Experiences, Generation, TrainSpec
from tests.metaevo.engines.work import LORA, job, judge, never, pairs, prompt, rows, said, task, trained

FULL = TrainSpec()


def logprobs(engine: EngineClient, generation: Generation, data: Experiences, *, rejected: bool = False) -> list[float]:
    """Return each row's log-probability of its chosen, or its rejected answer."""
    attempts = [row.rejected if rejected else row.attempt for row in data]
    asked = [attempt.task.prompt for attempt in attempts if attempt]
    found = engine.score(generation, asked, [attempt.solution.text for attempt in attempts if attempt])
    return [completion.logprob or 0.0 for completion in found]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("spec", [LORA, FULL], ids=["adapter", "full"])
def test_supervised_steps_raise_what_the_rows_say(engine: EngineClient, tiny: Generation, spec: TrainSpec) -> None:
    data = rows()
    made = engine.train(job("supervised_finetune", tiny, spec, steps=5, batch=8), data, never)
    after = trained(tiny, made.parts)
    assert made.parts["policy"] != tiny.parts["policy"]
    assert mean(logprobs(engine, after, data)) > mean(logprobs(engine, tiny, data)) + 1
    assert all(math.isfinite(probe.logprob or 0.0) for probe in made.probes)
    assert made.tokens > 0
    assert made.model_s > 0


def test_a_weight_of_zero_teaches_nothing_and_a_weight_of_one_does(engine: EngineClient, tiny: Generation) -> None:
    from dataclasses import replace

    data = rows()
    half = tuple(replace(row, weight=float(i < 4)) for i, row in enumerate(data))
    made = engine.train(job("supervised_finetune", tiny, steps=8, batch=8, lr=3e-3), half, never)
    after, before = (logprobs(engine, g, data) for g in (trained(tiny, made.parts), tiny))
    gained = [new - old for new, old in zip(after, before, strict=True)]
    only = engine.train(job("supervised_finetune", tiny, steps=8, batch=8, lr=3e-3), data[:4], never)
    alone = logprobs(engine, trained(tiny, only.parts), data)
    assert mean(gained[:4]) > 1
    assert mean(after[:4]) == pytest.approx(mean(alone[:4]), abs=1.0)


def test_untrained_turns_enter_no_loss(engine: EngineClient, tiny: Generation) -> None:
    from dataclasses import replace

    from metaevo.types import Turn, solved

    data = rows()
    talk = tuple(
        replace(
            row,
            attempt=replace(
                row.attempt,
                solution=solved(
                    (
                        Turn("assistant", row.attempt.solution.text, "test", trained=False),
                        Turn("user", "again", "test", trained=False),
                        Turn("assistant", "7", "test"),
                    )
                ),
            ),
        )
        for row in data
    )
    made = engine.train(job("supervised_finetune", tiny, steps=8, batch=8, lr=3e-3), talk, never)
    plain = engine.train(job("supervised_finetune", tiny, steps=8, batch=8, lr=3e-3), data, never)
    before = mean(logprobs(engine, tiny, data))
    assert mean(logprobs(engine, trained(tiny, plain.parts), data)) > before + 3
    assert mean(logprobs(engine, trained(tiny, made.parts), data)) < before + 3


@pytest.mark.parametrize("spec", [LORA, FULL], ids=["adapter", "full"])
def test_preference_steps_widen_the_margin_of_the_chosen_over_the_rejected(
    engine: EngineClient, tiny: Generation, spec: TrainSpec
) -> None:
    data = pairs()
    made = engine.train(job("preference_optimization", tiny, spec, steps=5, batch=8, sft=0.0), data, never)
    after = trained(tiny, made.parts)
    margins = [
        mean(logprobs(engine, which, data)) - mean(logprobs(engine, which, data, rejected=True))
        for which in (tiny, after)
    ]
    assert margins[1] > margins[0] + 1


def test_preference_steps_start_at_the_iterate_not_at_what_a_path_holds(engine: EngineClient, tiny: Generation) -> None:
    first = trained(tiny, engine.train(job("supervised_finetune", tiny, FULL, steps=8, batch=8), rows(), never).parts)
    still = engine.train(job("preference_optimization", first, FULL, steps=2, batch=8, lr=0.0), pairs(), never)
    before, after = (logprobs(engine, g, pairs()) for g in (first, trained(first, still.parts)))
    assert after == pytest.approx(before, abs=1e-4)


def test_rows_without_a_rejected_answer_are_learned_after_the_pairs(engine: EngineClient, tiny: Generation) -> None:
    other = tuple(row for row in rows(lambda word: word + word))[:4]
    mixed = (*pairs()[:4], *other[::-1])
    data = tuple(row for row in mixed if row.rejected is None)
    made = engine.train(job("preference_optimization", tiny, steps=10, batch=8), mixed, never)
    assert mean(logprobs(engine, trained(tiny, made.parts), data)) > mean(logprobs(engine, tiny, data)) + 1


def test_preference_without_a_pair_says_what_to_add(engine: EngineClient, tiny: Generation) -> None:
    with pytest.raises(ModuleFailed, match="add preference_pairs"):
        engine.train(job("preference_optimization", tiny, steps=2), rows(), never)


def test_online_steps_move_towards_what_is_rewarded(engine: EngineClient, tiny: Generation) -> None:
    tasks = tuple(task(text) for text in ("x", "xx", "y", "q"))
    groups: list[int] = []

    def score(text: str) -> float:
        return float(text[:1] in "gij" and text != "")

    def ask(what: str, payload: object) -> object:
        groups.append(len(payload))  # type: ignore[arg-type]
        return judge(score)(what, payload)

    knobs = {"steps": 6, "prompts": 4, "group": 8, "lr": 2e-3}
    made = engine.train(job("policy_gradient", tiny, **knobs), tasks, ask)
    how = Sampling(64, 1.0, max_tokens=12, seed=3)
    rates = []
    for which in (tiny, trained(tiny, made.parts)):
        answers = engine.sample(which, [t.prompt for t in tasks], how)
        rates.append(mean([score(completion.text) for row in answers for completion in row]))
    assert rates[1] > rates[0] + 0.1
    assert groups == [32] * 6


@pytest.mark.parametrize("given", [0.0, 1.0, None])
def test_groups_with_equal_or_no_rewards_give_no_gradient(
    engine: EngineClient, tiny: Generation, given: float | None
) -> None:
    tasks = tuple(task(text) for text in ("x", "xx"))
    knobs = {"steps": 2, "prompts": 2, "group": 4, "lr": 2e-3}
    made = engine.train(job("policy_gradient", tiny, **knobs), tasks, judge(lambda _: given))
    data = tuple(row for row in rows())
    before, after = (logprobs(engine, g, data) for g in (tiny, trained(tiny, made.parts)))
    assert after == pytest.approx(before, abs=1e-5)


def test_the_same_job_gives_the_same_bytes(engine: EngineClient, tiny: Generation) -> None:
    for update, data, ask in (
        ("supervised_finetune", rows(), never),
        ("preference_optimization", pairs(), never),
        ("policy_gradient", (task("x"), task("y")), judge(lambda text: float(len(text) % 2))),
    ):
        knobs = {"prompts": 2, "group": 4} if update == "policy_gradient" else {"batch": 8}
        made = [engine.train(job(update, tiny, steps=3, **knobs), data, ask).parts for _ in range(2)]
        assert made[0] == made[1] != tiny.parts


def test_rows_that_do_not_fit_are_left_out_and_none_at_all_is_an_error(engine: EngineClient, tiny: Generation) -> None:
    from metaevo.types import Experience

    long = Experience(said("rev " + "a" * 180, "b" * 20))
    with pytest.raises(ModuleFailed, match="none of 1 rows fits the context of 192 tokens"):
        engine.train(job("supervised_finetune", tiny, steps=2), (long,), never)
    alone, beside = (
        engine.train(job("supervised_finetune", tiny, steps=2, batch=8), data, never).parts
        for data in (rows(), (*rows(), long))
    )
    assert alone == beside


def test_what_is_published_answers_the_same_reloaded_from_disk(engine: EngineClient, tiny: Generation) -> None:
    made = engine.train(job("supervised_finetune", tiny, steps=5, batch=8), rows(), never)
    after = trained(tiny, made.parts)
    asked = [prompt(f"rev {word}") for word in ("gia", "decaf", "jjj")]
    before = engine.sample(after, asked, Sampling(max_tokens=12))
    engine.close()
    assert engine.probe(after) == list(made.probes)
    assert engine.sample(after, asked, Sampling(max_tokens=12)) == before
