"""What the small models of the tests share: Qwen2-shaped, a word-level tokenizer, a few hundred steps on one core."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = tuple[list[int], list[int]]
"""Token ids and labels; what is not taught is IGNORED."""
IGNORED = -100
WARM_UP = 20
"""Steps until the learning rate is whole."""


def tokenizer(said: str, marks: Sequence[str], pieces: str, template: str) -> Any:
    """Return a tokenizer of the pieces of a text. ``marks`` are the template's own words; the last one ends a turn."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: place for place, word in enumerate(("<pad>", "<unk>", *marks))}
    for word in re.findall(pieces, said):
        words.setdefault(word, len(words))
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(pieces), "isolated")
    inner.decoder = decoders.Fuse()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token=marks[-1],
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = template
    return made


def build(folder: Path, words: Any, teach: Callable[[Any], None], **shape: Any) -> Path:
    """Make a model of that shape, teach it and save it with its tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(3)
    torch.set_num_threads(1)
    config = Qwen2Config(
        vocab_size=len(words),
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        bos_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=True,
        **shape,
    )
    model = Qwen2ForCausalLM(config)
    teach(model)
    model.generation_config.eos_token_id = words.eos_token_id
    model.save_pretrained(str(folder))
    words.save_pretrained(str(folder))
    return folder


def teach(model: Any, batch: Callable[[int], Sequence[Row]], steps: int, rate: float, falling: float) -> None:
    """Train on ``batch(step)``; over the last ``falling`` share of the steps the rate falls to nothing."""
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    for step in range(steps):
        ids, labels = zip(*batch(step), strict=True)
        longest = max(map(len, ids))
        tokens = torch.tensor([i + [0] * (longest - len(i)) for i in ids])
        wanted = torch.tensor([t + [IGNORED] * (longest - len(t)) for t in labels])
        loss = model(input_ids=tokens, attention_mask=(tokens != 0).long(), labels=wanted).loss
        loss.backward()
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARM_UP, (steps - step) / (falling * steps))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()


def taught(words: Any, prompt: str, answer: str) -> Row:
    """Return a conversation of one turn each, of which the answer is taught."""
    asked = [{"role": "user", "content": prompt}]
    before = words.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    whole = words.apply_chat_template([*asked, {"role": "assistant", "content": answer}], return_dict=False)
    return list(whole), [IGNORED] * len(before) + list(whole[len(before) :])
