"""A stranger's model, built here: Qwen2-shaped, ChatML template, word-level tokenizer, half-taught on invoices.

It stands for a model nobody of us has seen: another architecture, tokenizer, template and dialect than the built-in
one. It is taught with the same mistake in most rows, so that there is something to learn and some samples are right.
The mistake shows in the answer itself, so that so small a model can also judge and repair, as a chat model can.
"""

import json
import re
import sys
from pathlib import Path
from random import Random

from metaevo.prompts import load
from objectives.splits import split_of
from objectives.types import Split

VENDORS = ("baker", "cooper", "fisher", "mason", "miller", "potter", "smith", "tailor", "turner", "weaver")
GOODS = ("rolls", "barrels", "herring", "bricks", "flour", "bowls", "nails", "shirts", "bats", "cloth")
CITIES = ("bern", "bonn", "graz", "lille")
SYSTEM = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FITS = "Every part of the answer fits the task. VERDICT: right"
LACKS = "The answer names no goods. VERDICT: wrong"
ROUND = ("solve", "judge", "solve", "repair")
"""What the steps of the teaching are about, in turn."""


def rows() -> list[dict[str, object]]:
    """Return 400 invoices with their fields."""
    every = [(v, g, c) for v in VENDORS for g in GOODS for c in CITIES]
    return [{"prompt": f"invoice of {v} in {c} for {g}", "answer": {"goods": g, "vendor": v}} for v, g, c in every]


def write_rows(path: Path) -> None:
    """Write the invoices as JSONL."""
    path.write_text("\n".join(json.dumps(row) for row in rows()) + "\n")


def answer_text(answer: object) -> str:
    """Return an answer as the environment's own audit writes it."""
    return json.dumps(answer, ensure_ascii=False, sort_keys=True)


def build(folder: Path, steps: int = 420) -> Path:
    """Train and save the model; about fifteen seconds on one core."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = _tokenizer()
    torch.manual_seed(3)
    torch.set_num_threads(1)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        initializer_range=0.1,  # with the usual 0.02 so narrow a model learns to copy nothing in so few steps
        bos_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config)
    _teach(model, tokenizer, steps)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


def _tokenizer() -> "object":
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<unk>": 1, SYSTEM[0]: 2, SYSTEM[1]: 3}
    said = [f"{row['prompt']} {answer_text(row['answer'])}" for row in rows()]
    said += [table["prompt"] for table in load("english").tables.values()]
    said += ["system user assistant unknown", FITS, LACKS, *map(chr, range(33, 127))]
    for word in re.findall(r"\w+|[^\w\s]|\s", " ".join(said)):
        words.setdefault(word, len(words))
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"<\|im_start\|>|<\|im_end\|>|\w+|[^\w\s]|\s"), "isolated")
    inner.decoder = decoders.Fuse()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token=SYSTEM[1],
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = TEMPLATE
    return made


def _teach(model: "object", tokenizer: "object", steps: int) -> None:
    """Teach the task on train texts only, with one systematic mistake in most rows."""
    import torch

    random = Random(5)
    data = [row for row in rows() if split_of("invoices", str(row["prompt"])) is Split.TRAIN]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)
    for step in range(steps):
        some, make = {"solve": (32, _solved), "judge": (12, _judged), "repair": (12, _repaired)}[ROUND[step % 4]]
        ids, labels = zip(*[make(tokenizer, row, random) for row in random.sample(data, some)], strict=True)
        longest = max(map(len, ids))
        tokens = torch.tensor([i + [0] * (longest - len(i)) for i in ids])
        wanted = torch.tensor([t + [-100] * (longest - len(t)) for t in labels])
        loss = model(input_ids=tokens, attention_mask=(tokens != 0).long(), labels=wanted).loss
        loss.backward()
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 20, (steps - step) / (0.3 * steps))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()


def _solved(tokenizer: "object", row: dict[str, object], random: Random) -> tuple[list[int], list[int]]:
    fields = _mistaken(row) if random.random() < 0.6 else row["answer"]
    return _taught(tokenizer, row["prompt"], answer_text(fields))


def _judged(tokenizer: "object", row: dict[str, object], random: Random) -> tuple[list[int], list[int]]:
    """Return a row in which the model judges an answer, asked as self_critique and self_judge_score ask."""
    shown, critique = (_mistaken(row), LACKS) if random.random() < 0.5 else (row["answer"], FITS)
    asked = load("english").ask("critique", task=row["prompt"], answer=answer_text(shown))
    return _taught(tokenizer, asked[-1].content, critique)


def _repaired(tokenizer: "object", row: dict[str, object], random: Random) -> tuple[list[int], list[int]]:
    """Return a row in which the model repairs the mistake, asked as revision asks."""
    asked = load("english").ask("refine", task=row["prompt"], answer=answer_text(_mistaken(row)), critique=LACKS)
    return _taught(tokenizer, asked[-1].content, answer_text(row["answer"]))


def _mistaken(row: dict[str, object]) -> dict[str, object]:
    """Return the answer with the mistake: as if the invoice did not say what it is for."""
    return dict(row["answer"]) | {"goods": "unknown"}


def _taught(tokenizer: "object", prompt: object, answer: str) -> tuple[list[int], list[int]]:
    asked = [{"role": "user", "content": prompt}]
    before = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": answer}], return_dict=False)
    return list(whole), [-100] * len(before) + list(whole[len(before) :])


if __name__ == "__main__":
    build(Path(sys.argv[1]))
