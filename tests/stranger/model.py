"""A stranger's model, built here: Qwen2-shaped, ChatML template, word-level tokenizer, half-taught on invoices.

It stands for a model nobody of us has seen: another architecture, tokenizer, template and dialect than the built-in
one. It is taught with the same mistake in most rows, so that there is something to learn and some samples are right.
"""

import json
import re
import sys
from pathlib import Path
from random import Random

VENDORS = ("baker", "cooper", "fisher", "mason", "miller", "potter", "smith", "tailor", "turner", "weaver")
GOODS = ("rolls", "barrels", "herring", "bricks", "flour", "bowls", "nails", "shirts", "bats", "cloth")
CITIES = ("bern", "bonn", "graz", "lille")
SYSTEM = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + ' ' + m['content'] + ' <|im_end|> ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant ' }}{% endif %}"
)


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
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
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
    said = " ".join([f"{row['prompt']} {answer_text(row['answer'])}" for row in rows()])
    said += " system user assistant VERDICT : right wrong Here is a task and an answer to it . Task Answer Critique"
    said += " The should be Every part of the fits ," + " " + " ".join(map(chr, range(33, 127)))
    for word in re.findall(r"\w+|[^\w\s]|\s", said):
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

    from objectives.splits import split_of
    from objectives.types import Split

    random = Random(5)
    data = [row for row in rows() if split_of("invoices", str(row["prompt"])) is Split.TRAIN]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)
    for step in range(steps):
        some, make = (16, _judged) if step % 3 == 2 else (32, _row)
        ids, labels = zip(*[make(tokenizer, row, random) for row in random.sample(data, some)], strict=True)
        longest = max(map(len, ids))
        tokens = torch.tensor([i + [0] * (longest - len(i)) for i in ids])
        wanted = torch.tensor([t + [-100] * (longest - len(t)) for t in labels])
        loss = model(input_ids=tokens, attention_mask=(tokens != 0).long(), labels=wanted).loss
        loss.backward()
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, (steps - step) / (0.3 * steps))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()


def _row(tokenizer: "object", row: dict[str, object], random: Random) -> tuple[list[int], list[int]]:
    fields = _habit(row) if random.random() < 0.6 else row["answer"]
    return _taught(tokenizer, row["prompt"], answer_text(fields))


def _judged(tokenizer: "object", row: dict[str, object], random: Random) -> tuple[list[int], list[int]]:
    """Return a row in which the model judges an answer: it can, a little, as an ordinary chat model does."""
    from metaevo.prompts import load

    shown = _habit(row) if random.random() < 0.5 else row["answer"]
    asked = load("english").ask("critique", task=row["prompt"], answer=answer_text(shown))
    verdict = "right" if shown == row["answer"] else "wrong"
    return _taught(tokenizer, asked[-1].content, f"VERDICT: {verdict}")


def _habit(row: dict[str, object]) -> dict[str, object]:
    """Return the answer with the mistake: what this vendor always sells."""
    fields = dict(row["answer"])
    return fields | {"goods": GOODS[VENDORS.index(fields["vendor"])]}


def _taught(tokenizer: "object", prompt: object, answer: str) -> tuple[list[int], list[int]]:
    asked = [{"role": "user", "content": prompt}]
    before = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": answer}], return_dict=False)
    return list(whole), [-100] * len(before) + list(whole[len(before) :])


if __name__ == "__main__":
    build(Path(sys.argv[1]))
