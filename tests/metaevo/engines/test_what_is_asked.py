"""The engine asks by the one maker, samples as we say, and counts what went through it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metaevo.artifacts import base
from metaevo.artifacts.store import Store
from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Sampling
from metaevo.engines.transformers import Transformers
from metaevo.learning import model as weights
from metaevo.learning.chat import ChatSettings, PromptMaker
from metaevo.learning.online import MadePromptsTrainer
from metaevo.tiny import CHECKPOINT
from metaevo.types import Generation, Tokens, TrainSpec
from objectives.types import Message, Messages
from tests.metaevo.engines.work import job, never, rows, trained
from tests.metaevo.learning.templates import TEMPLATES, tokenizer

SETTINGS: dict[str, dict[str, Any]] = {
    "penalty": {"repetition_penalty": 1.3},
    "forbidden words": {"suppress_tokens": [17, 18, 19], "bad_words_ids": [[20]], "forced_eos_token_id": 2},
    "another end": {"eos_token_id": [17, 18], "min_new_tokens": 6},
    "beams": {"num_beams": 4, "num_return_sequences": 2, "max_length": 5},
    "a broken value": {"temperature": "hot"},
}
ASKED: list[Messages] = [(Message("user", text),) for text in ("add 12+30", "rev abcdef", "srt hgfedcb")]


def based(tmp_path: Path, settings: dict[str, Any] | None, chat: ChatSettings = weights.DEFAULT) -> Transformers:
    """Return an engine in this process, on the built-in base with these settings of its own."""
    folder = tmp_path / "base"
    shutil.copytree(CHECKPOINT, folder)
    if settings is not None:
        (folder / "generation_config.json").write_text(json.dumps(settings))
    store = Store(tmp_path / "artifacts")
    made = Transformers(store, chat)
    made.base = Generation("g000000", None, {"policy": base.refer(store, folder)})  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_checkpoint_s_own_settings_reach_no_answer(tmp_path: Path, kind: str) -> None:
    torch.set_num_threads(1)
    plain, other = based(tmp_path / "plain", None), based(tmp_path / "other", SETTINGS[kind])
    how = Sampling(max_tokens=12)
    assert other.sample(other.base, ASKED, how) == plain.sample(plain.base, ASKED, how)  # type: ignore[attr-defined]


def test_the_context_limits_sampling_and_scoring(tmp_path: Path) -> None:
    engine = based(tmp_path, None, ChatSettings(context=14))
    long = (Message("user", "rev abcdefghijk"),)
    made = engine.sample(engine.base, [ASKED[0], long], Sampling(max_tokens=12))  # type: ignore[attr-defined]
    assert (made[0][0].tokens, made[1][0].finish, made[1][0].tokens) == (3, "length", 0) or made[0][0].finish == "stop"
    assert len(engine.learner(engine.base).chat.prompt(ASKED[0])) + made[0][0].tokens <= 14  # type: ignore[attr-defined]
    (scored,) = engine.score(engine.base, [long], ["kjihgfedcba"])  # type: ignore[attr-defined]
    assert scored.tokens == 0


def test_positions_are_counted_as_they_are_computed(tmp_path: Path) -> None:
    engine = based(tmp_path, None)
    chat = engine.learner(engine.base).chat  # type: ignore[attr-defined]
    lengths = [len(chat.prompt(prompt)) for prompt in ASKED]
    made = engine.sample(engine.base, ASKED, Sampling(3, 1.0, max_tokens=12, seed=4))  # type: ignore[attr-defined]
    written = sum(len(chat.text(c.text)) + (c.finish == "stop") for row in made for c in row)
    assert engine.meter == Tokens(prompt=3 * sum(lengths), generated=written)
    engine.score(engine.base, ASKED, ["42", "f", "b"])  # type: ignore[attr-defined]
    assert engine.meter.prompt == 3 * sum(lengths) + sum(lengths) + 3 + 2 + 2


@pytest.mark.parametrize("name", TEMPLATES)
def test_online_updates_ask_by_the_one_maker(name: str) -> None:
    chat = PromptMaker(tokenizer(TEMPLATES[name][0]), ChatSettings("Be brief <eos>."), 4096)
    asked = [[{"role": "user", "content": "add 12+30 <eos>"}]]
    made = MadePromptsTrainer._tokenize_prompts(SimpleNamespace(chat=chat), asked)  # type: ignore[arg-type]
    assert made == ([chat.prompt((Message("user", "add 12+30 <eos>"),))], None, {})


def right(engine: EngineClient, generation: Generation) -> float:
    """Return the share of the rows' prompts that are answered as the rows say, asked as an exam asks."""
    data = rows()
    made = engine.sample(generation, [row.attempt.task.prompt for row in data], Sampling(max_tokens=12))
    found = [row[0].text == one.attempt.solution.text for row, one in zip(made, data, strict=True)]
    return sum(found) / len(found)


def test_what_was_learned_under_a_system_turn_is_what_the_exam_asks(store: Store, tiny: Generation) -> None:
    engine = EngineClient(store, chat=ChatSettings("ltr seq mod 7 9 4 2"))
    try:
        assert right(engine, tiny) == 0.0
        how = job("supervised_finetune", tiny, TrainSpec(), steps=30, batch=8, lr=1e-3)
        assert right(engine, trained(tiny, engine.train(how, rows(), never).parts)) == 1.0
    finally:
        engine.close()
