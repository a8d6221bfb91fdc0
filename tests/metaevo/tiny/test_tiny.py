"""The built-in base: its checkpoint loads offline, is the one that was pinned, and was taught what README.md says."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from metaevo.tiny import CHECKPOINT
from metaevo.tiny.build import PIN, batches, config, encode, loss_of, rate, train, write
from metaevo.tiny.corpus import MIXES, PLAN, Corpus, Example, dialects, marks, programs, text_of
from metaevo.tiny.measure import Speaker, items_of, passes
from metaevo.tiny.tokenizer import TOKENS, build
from objectives.splits import split_of
from objectives.types import Split

PROMPTS = Path(CHECKPOINT).parents[1] / "prompts" / "tiny.toml"
TALK = [
    {"role": "system", "content": "You are a calculator."},
    {"role": "user", "content": "add 47+85"},
    {"role": "assistant", "content": "231"},
    {"role": "user", "content": "rev abc"},
]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(islice(Corpus(3).examples(MIXES[-1][1]), 4000))


def test_package_names_its_checkpoint_without_importing_torch() -> None:
    code = "import sys, metaevo.tiny; assert metaevo.tiny.CHECKPOINT.is_dir(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_checkpoint_is_small_whole_and_the_pinned_one() -> None:
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in CHECKPOINT.iterdir()} == names | {"chat_template.jinja"}
    weights = (CHECKPOINT / "model.safetensors").read_bytes()
    assert len(weights) <= 4 * 2**20
    pin = json.loads((CHECKPOINT.parent / PIN).read_text(encoding="utf-8"))
    assert hashlib.sha256(weights).hexdigest() == pin["model.safetensors"]


def test_checkpoint_loads_offline() -> None:
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINT, local_files_only=True)
    assert isinstance(model, LlamaForCausalLM)
    assert model.dtype is torch.float32
    assert sum(parameter.numel() for parameter in model.parameters()) == 505_728
    assert model.config.max_position_embeddings == 192
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (1, 2, 0)


def test_shipped_tokenizer_is_the_built_one_and_spells_characters() -> None:
    shipped, built = AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True), build()
    for text in ("add 47+85", "a\nb  c ", "".join(TOKENS[3:99])):
        ids = shipped(text)["input_ids"]
        assert ids == built(text)["input_ids"]
        assert len(ids) == 1 + len(text)
        assert shipped.decode(ids, skip_special_tokens=True) == text
    assert shipped("é")["input_ids"] == [1, 99]
    assert shipped.padding_side == "left"


def test_chat_template_ignores_the_system_and_marks_turns() -> None:
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)
    asked = tokenizer.apply_chat_template(TALK[:2], add_generation_prompt=True, tokenize=False)
    assert asked == "<bos>add 47+85>"
    whole = tokenizer.apply_chat_template(TALK, add_generation_prompt=True, tokenize=False)
    assert whole == "<bos>add 47+85>231<eos>rev abc>"
    ids = tokenizer.apply_chat_template(TALK[:3], tokenize=True, return_dict=False)
    assert encode({token: place for place, token in enumerate(TOKENS)}, Example("add 47+85", "231"))[0] == ids


def test_dialects_are_data_with_known_fields() -> None:
    tables = tomllib.loads(PROMPTS.read_text(encoding="utf-8"))
    assert set(tables) == {"critique", "refine", "rationalize", "pose"}
    fields = {"task": "add 47+85", "answer": "231", "critique": "x==", "tag": "add", "level": 2}
    said = {name: form.format(**fields) for name, form in dialects().items()}
    assert said == {
        "critique": "C add 47+85=231",
        "refine": "R add 47+85=231/x==",
        "rationalize": "H add 47+85=231",
        "pose": "P add2",
    }
    assert re.search(tables["critique"]["passes"], marks("231", "231"))
    assert not re.search(tables["critique"]["passes"], marks("23", "231"))


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [("231", "231", "==="), ("131", "231", "x=="), ("23", "231", "==<"), ("2311", "231", "===x"), ("", "2", "<")],
)
def test_marks(answer: str, right: str, expected: str) -> None:
    assert marks(answer, right) == expected


def test_corpus_repeats_itself(examples: list[Example]) -> None:
    assert examples[:200] == list(islice(Corpus(3).examples(MIXES[-1][1]), 200))
    assert examples[:200] != list(islice(Corpus(4).examples(MIXES[-1][1]), 200))


def test_corpus_holds_only_train_texts_of_planned_levels(examples: list[Example]) -> None:
    known = programs()
    kinds: Counter[str] = Counter()
    for one in examples:
        mark, _, rest = one.prompt.partition(" ")
        kind = mark if mark in "CRHP" else "solve"
        kinds[kind] += 1
        text = {"solve": one.prompt, "P": one.completion}.get(kind, rest.partition("=")[0])
        found = {name: row for name, program in known.items() if program.read and (row := program.read(text))}
        assert len(found) == 1, one
        ((name, row),) = found.items()
        assert split_of(name, text) is Split.TRAIN, one
        assert row["level"] in PLAN[name].weights, one
        if kind in "RH":
            assert passes(known[name], row, one.completion), one
    for kind, named in {"solve": "solve", "C": "critique", "R": "refine", "H": "rationalize", "P": "pose"}.items():
        assert kinds[kind] / len(examples) == pytest.approx(MIXES[-1][1][named], abs=0.03)


def test_level_eight_is_absent_everywhere() -> None:
    assert all(8 not in plan.weights for plan in PLAN.values())


def test_planted_mistakes_are_as_frequent_as_planned() -> None:
    known, rows = programs(), islice(Corpus(5).examples({"solve": 1.0}), 12_000)
    seen: dict[tuple[str, int], list[bool]] = {}
    for one in rows:
        name = next(name for name, program in known.items() if program.read and program.read(one.prompt))
        row = (known[name].read or (lambda _: None))(one.prompt)
        assert row is not None
        right = passes(known[name], row, one.completion)
        seen.setdefault((name, row["level"]), []).append(right)
        if not right:
            assert one.completion == known[name].mistakes[PLAN[name].mistake](**row), one
    for (name, level), right_N in seen.items():
        planned = PLAN[name].noisy.get(level, 0.0)
        wrong = 1 - sum(right_N) / len(right_N)
        assert wrong <= planned + 0.15, (name, level)
        assert (wrong > 0.2) == (planned > 0), (name, level)


def test_learning_rate_warms_up_and_ends_near_nothing() -> None:
    rates = [rate(step, 1000) for step in range(1000)]
    assert rates[0] < rates[49] == max(rates) == rates[800]
    assert 0 < rates[-1] < 0.01 * max(rates)


def test_batches_label_only_the_answers() -> None:
    tokens, labels = next(batches(Corpus(1), MIXES[0][1]))
    assert tokens.shape == labels.shape
    for ids, wanted in zip(tokens.tolist(), labels.tolist(), strict=True):
        end = ids.index(TOKENS.index(">"))
        assert set(wanted[: end + 1]) == {-100}
        answer = [label for label in wanted if label != -100]
        assert ids[end + 1 : end + 1 + len(answer)] == answer
        assert answer[-1] == TOKENS.index("<eos>")


def test_training_repeats_on_one_machine_learns_and_writes_a_checkpoint(tmp_path: Path) -> None:
    before, batch = LlamaForCausalLM(config()), next(batches(Corpus(9), MIXES[0][1]))
    one, two = train(1, 12), train(1, 12)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert loss_of(one, batch).item() < loss_of(before, batch).item() - 0.5
    digest = write(one, tmp_path)
    assert digest == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in CHECKPOINT.iterdir()}


def test_shipped_weights_are_strong_where_taught_and_weak_where_planted() -> None:
    torch.manual_seed(0)
    known, speaker = programs(), Speaker(CHECKPOINT)
    items = items_of(known, 12)
    answers = speaker.say([text_of(item.row) for item in items])
    scores: dict[tuple[str, int], list[bool]] = {}
    for item, answer in zip(items, answers, strict=True):
        name = item.cell.environment
        scores.setdefault((name, item.cell.level), []).append(passes(known[name], item.row, answer))
    share = {cell: sum(hits) / len(hits) for cell, hits in scores.items()}
    assert all(share[cell] >= 0.75 for cell in (("sorting", 2), ("reversal", 3), ("extremes", 2), ("letter_shift", 2)))
    assert all(share[cell] <= 0.25 for cell in (("addition", 8), ("reversal", 8), ("letter_shift", 8)))
    assert all(share[cell] < 0.95 for cell in (("addition", 4), ("sorting", 5), ("extremes", 4)))
    assert sum(0.05 <= score <= 0.90 for score in share.values()) >= 18
