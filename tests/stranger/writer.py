"""A model that writes kernels, built here: Qwen2-shaped, word-level, taught on the grammar's own programs.

It learns `grammar.specification` to source for two kinds. It stands for a champion that can write: it goes through
the proposer, the engine and admission as any other would, and most of what it learnt is no use to anybody.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

KINDS = ("keep", "weight")
CHARS = 130
"""Of the longest line and program together."""
CONTEXT = 256
SYSTEM = "<|line|>", "<|code|>", "<|end|>"
TEMPLATE = (
    "{% for m in messages %}{{ ('<|code|>' if m['role'] == 'assistant' else '<|line|>') + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|code|>' }}{% endif %}"
)
PIECES = r"<\|\w+\|>|[A-Za-z_]+|[0-9]| +|[^\w\s]|\s"


def programs(seed: int) -> Iterator[tuple[str, str]]:
    """Yield (line, source) of the two kinds; what imports is left out: the host begins with the function."""
    from metaevo.synthesis import grammar

    for line, source in grammar.examples(Random(seed), CHARS):
        if line.startswith(KINDS) and source.startswith("def "):
            yield line, source


def build(folder: Path, steps: int = 500, rows: int = 6000) -> Path:
    """Train and save the model; about half a minute on one core."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    made = programs(1)
    pairs = [next(made) for _ in range(rows)]
    tokenizer = _tokenizer(pairs)
    torch.manual_seed(3)
    torch.set_num_threads(1)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config)
    _teach(model, tokenizer, pairs, steps)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


def _tokenizer(pairs: list[tuple[str, str]]) -> "object":
    import re

    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<unk>": 1} | {mark: 2 + i for i, mark in enumerate(SYSTEM)}
    said = " ".join(f"{line} {source}" for line, source in pairs) + "".join(map(chr, range(32, 127)))
    for word in re.findall(PIECES, said):
        words.setdefault(word, len(words))
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
    inner.decoder = decoders.Fuse()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token=SYSTEM[2],
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = TEMPLATE
    return made


def _teach(model: "object", tokenizer: "object", pairs: list[tuple[str, str]], steps: int) -> None:
    """Teach the sources only, each after its line."""
    import torch

    taught = [_taught(tokenizer, *pair) for pair in pairs]
    taught.sort(key=lambda row: len(row[0]))
    random, optimiser = Random(5), torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)
    for step in range(steps):
        at = random.randrange(len(taught) - 32)  # rows of like length: little is padded
        ids, labels = zip(*taught[at : at + 32], strict=True)
        longest = max(map(len, ids))
        tokens = torch.tensor([i + [0] * (longest - len(i)) for i in ids])
        wanted = torch.tensor([t + [-100] * (longest - len(t)) for t in labels])
        loss = model(input_ids=tokens, attention_mask=(tokens != 0).long(), labels=wanted).loss
        loss.backward()
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1.0, (step + 1) / 20, (steps - step) / (0.4 * steps))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()


def _taught(tokenizer: "object", line: str, source: str) -> tuple[list[int], list[int]]:
    asked = [{"role": "user", "content": line}]
    before = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": source}], return_dict=False)
    return list(whole), [-100] * len(before) + list(whole[len(before) :])


if __name__ == "__main__":
    build(Path(sys.argv[1]))
