"""Adapters: continued where the shape is the same, merged in fp32 where it is not, and nothing drifts on the way."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from metaevo.artifacts import base
from metaevo.artifacts.store import Store
from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Sampling
from metaevo.errors import NotFinite, StoreError
from metaevo.learning import chat as chats
from metaevo.learning import model as weights
from metaevo.learning.model import Learner
from metaevo.tiny import CHECKPOINT
from metaevo.types import Generation, Lora, TrainSpec
from tests.metaevo.engines.work import LORA, job, never, pairs, prompt, rows, trained

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # peft asks transformers by a name it deprecated
FULL = TrainSpec()
SHAPE = {"r": 4, "alpha": 8, "dropout": 0.0}
TEXTS = ("rev abc", "srt gia", "add 12+30", "x")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def root(store: Store) -> str:
    return base.refer(store, CHECKPOINT, "the test")


def shaken(store: Store, digest: str, spec: TrainSpec, seed: int, *, by: float = 0.02, merge_every: int = 5) -> str:
    """Return a policy made from another one by noise on everything that is trainable: a training without a trainer."""
    learner = weights.load_trainable(store, digest, spec, merge_every=merge_every)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in learner.model.parameters():
            if weight.requires_grad:
                weight.add_(by * torch.randn(weight.shape, generator=generator))
    return weights.write(store, learner, spec, store.scratch(f"shaken-{seed}"))


@torch.inference_mode()
def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    """Return the logits after each of `TEXTS`."""
    found = []
    for text in TEXTS:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        found.append(model.eval()(input_ids=ids).logits[0, -1].double())
    return torch.stack(found)


def of(store: Store, digest: str) -> torch.Tensor:
    learner = weights.load(store, digest)
    return logits(learner.model, learner.tokenizer)


def unmerged(store: Store, digest: str) -> torch.Tensor:
    """Return the logits of base and adapter side by side, as PEFT itself computes them."""
    folder = weights.checkpoint_folder(store, store.manifest(digest)["meta"]["base"])
    plain = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(plain, str(store.tree(digest)))
    return logits(adapted, chats.tokenizer_in(folder))


def meta(store: Store, digest: str) -> dict[str, Any]:
    return dict(store.manifest(digest)["meta"])


def near(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two ways to one model differ by no more than fp32's own error (bf16's is 1,000 times that)."""
    return float((one - other).abs().max()) < 1e-5 * float(other.abs().max())


def test_merged_weights_answer_as_the_adapter_beside_its_base_does(store: Store, root: str) -> None:
    digest = shaken(store, root, LORA, 1)
    assert meta(store, digest) == {
        "kind": "adapter",
        "base": root,
        "depth": 0,
        "lora": {"r": 4, "alpha": 8, "dropout": 0.0},
    }
    merged, beside = of(store, digest), unmerged(store, digest)
    assert near(merged, beside)
    assert float((of(store, digest) - of(store, root)).abs().max()) > 0.1


def test_a_continued_adapter_begins_where_it_was_left(store: Store, root: str) -> None:
    first = shaken(store, root, LORA, 2)
    learner = weights.load_trainable(store, first, LORA, merge_every=5)
    assert near(logits(learner.model, learner.tokenizer), of(store, first))
    again = weights.write(store, learner, LORA, store.scratch("continued"))
    assert meta(store, again) == meta(store, first) | {"depth": 1}
    one, two = (load_file(store.tree(digest) / "adapter_model.safetensors") for digest in (first, again))
    assert set(one) == set(two)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_only_the_adapter_is_trainable_and_a_full_run_trains_everything(store: Store, root: str) -> None:
    first = shaken(store, root, LORA, 2)
    for digest in (root, first):
        names = {
            n
            for n, w in weights.load_trainable(store, digest, LORA, merge_every=5).model.named_parameters()
            if w.requires_grad
        }
        assert names
        assert all(".lora_" in name and ".default." in name for name in names)
        full = weights.load_trainable(store, digest, FULL, merge_every=5).model
        assert all(weight.requires_grad for weight in full.parameters())


def test_another_shape_is_merged_into_a_whole_checkpoint_first(store: Store, root: str) -> None:
    first = shaken(store, root, LORA, 3)
    other = TrainSpec(Lora(2, 4))
    learner = weights.load_trainable(store, first, other, merge_every=5)
    assert (meta(store, learner.base), learner.depth) == ({"kind": "full"}, 0)
    assert near(logits(learner.model, learner.tokenizer), of(store, first))
    second = shaken(store, first, other, 4)
    assert meta(store, second) == {
        "kind": "adapter",
        "base": learner.base,
        "depth": 0,
        "lora": {"r": 2, "alpha": 4, "dropout": 0.0},
    }


def test_adapters_are_merged_after_so_many_continuations(store: Store, root: str) -> None:
    depths, bases, digest = [], [], root
    for seed in range(7):
        digest = shaken(store, digest, LORA, 10 + seed, merge_every=3)
        depths.append(meta(store, digest)["depth"])
        bases.append(meta(store, digest)["base"])
    assert depths == [0, 1, 2, 0, 1, 2, 0]
    assert bases[:3] == [root] * 3
    assert len(set(bases)) == 3
    assert {meta(store, digest)["kind"] for digest in bases[3:]} == {"full"}


def test_nothing_drifts_over_twelve_generations_that_learn_nothing(store: Store, root: str) -> None:
    first = shaken(store, root, LORA, 5)
    digest = first
    for seed in range(12):
        digest = shaken(store, digest, LORA, 40 + seed, by=0.0, merge_every=2)
    assert near(of(store, digest), of(store, first))
    assert near(unmerged(store, digest), of(store, first))


def test_a_full_training_of_an_adapter_s_generation_begins_at_its_answers(store: Store, root: str) -> None:
    first = shaken(store, root, LORA, 6)
    whole = shaken(store, first, FULL, 7, by=0.0)
    assert meta(store, whole) == {"kind": "full"}
    assert near(of(store, whole), of(store, first))


def test_the_base_is_never_copied_nor_changed(store: Store, root: str) -> None:
    before = {path.name: path.read_bytes() for path in CHECKPOINT.iterdir()}
    digest = shaken(store, root, LORA, 8)
    assert {path.name for path in store.tree(digest).iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    }
    assert not list(store.tree(root).glob("*.safetensors"))
    assert {path.name: path.read_bytes() for path in CHECKPOINT.iterdir()} == before


def test_weights_that_are_not_finite_are_refused_by_name_and_nothing_is_written(store: Store, root: str) -> None:
    for spec in (LORA, FULL):
        learner = weights.load_trainable(store, root, spec, merge_every=5)
        name, weight = next((n, w) for n, w in learner.model.named_parameters() if w.requires_grad)
        with torch.no_grad():
            weight.view(-1)[0] = float("nan")
        before = store.digests()
        with pytest.raises(NotFinite, match=name.replace(".", r"\.")):
            weights.write(store, learner, spec, store.scratch("nan"))
        assert store.digests() == before


def test_an_adapter_file_that_was_changed_on_disk_is_not_loaded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = shaken(store, base.refer(store, CHECKPOINT, "the test"), LORA, 9)
    path = store.tree(digest) / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="missing or changed"):
        weights.load(store, digest)


def test_the_engine_continues_an_adapter_and_leaves_no_reference_behind(
    engine: EngineClient, store: Store, tiny: Generation
) -> None:
    first = trained(tiny, engine.train(job("supervised_finetune", tiny, steps=4, batch=8), rows(), never).parts)
    still = engine.train(job("supervised_finetune", first, steps=2, batch=8, lr=0.0), rows(), never)
    assert meta(store, still.parts["policy"])["depth"] == 1
    one, two = (load_file(store.tree(p["policy"]) / "adapter_model.safetensors") for p in (first.parts, still.parts))
    assert all(torch.equal(one[name], two[name]) for name in one)
    pushed = engine.train(job("preference_optimization", first, steps=3, batch=8), pairs(), never).parts["policy"]
    assert {path.name for path in store.tree(pushed).rglob("*")} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    }
    assert meta(store, pushed)["depth"] == 1


def test_an_exported_generation_is_one_plain_checkpoint_with_the_same_answers(
    engine: EngineClient, store: Store, tiny: Generation, tmp_path: Path
) -> None:
    made = trained(tiny, engine.train(job("supervised_finetune", tiny, steps=4, batch=8), rows(), never).parts)
    engine.export(made, str(tmp_path))
    assert "adapter_config.json" not in {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "llama"
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    known = AutoTokenizer.from_pretrained(tmp_path)
    assert near(logits(model, known), of(store, made.parts["policy"]))
    answers = engine.sample(made, [prompt(text) for text in TEXTS], Sampling(max_tokens=1))
    for (completion,), row in zip(answers, logits(model, known), strict=True):
        assert completion.text == known.decode([int(row.argmax())], skip_special_tokens=True)


def test_a_learner_says_what_it_stands_on(store: Store, root: str) -> None:
    learner = weights.load(store, shaken(store, root, LORA, 8))
    assert isinstance(learner, Learner)
    assert learner.base == root
    assert not isinstance(learner.model, PeftModel)
    assert learner.chat.context == 192
