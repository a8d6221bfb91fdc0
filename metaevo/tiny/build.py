"""Train the tiny model from nothing and write it as a Hugging Face checkpoint: `python -m metaevo.tiny.build`.

A plain loop instead of a Trainer: rows are sorted into batches of like length and logits are computed only where there
is a label, which is twice as fast at this size. The length is counted in steps, never in seconds. A rebuild on another
machine gives other bits but the same scores.
"""

import argparse
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from metaevo.tiny import CHECKPOINT
from metaevo.tiny.corpus import MIXES, Corpus, Example
from metaevo.tiny.tokenizer import BOS, CONTEXT, EOS, PAD, TOKENS, build

BATCH = 48
POOL = 8 * BATCH
PEAK = 2e-3
WARM_UP = 50
DECAY = 0.17
IGNORED = -100
PIN = "weights.json"
log = logging.getLogger("metaevo.tiny")


def config() -> LlamaConfig:
    """Return the architecture: 505,728 parameters."""
    return LlamaConfig(
        vocab_size=104,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        hidden_act="silu",
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        pad_token_id=TOKENS.index(PAD),
        bos_token_id=TOKENS.index(BOS),
        eos_token_id=TOKENS.index(EOS),
    )


def rate(step: int, steps: int) -> float:
    """Return the learning rate of a step: a warm-up, a plateau and a straight line down to nothing at the end."""
    return PEAK * min(1.0, (step + 1) / WARM_UP, (steps - step) / (DECAY * steps))


def batches(corpus: Corpus, mix: Mapping[str, float]) -> Iterator[torch.Tensor]:
    """Yield (2, BATCH, length) token ids and labels for ever; rows of like length share a batch."""
    ids = {token: place for place, token in enumerate(TOKENS)}
    stream = corpus.examples(mix)
    shuffle = torch.Generator().manual_seed(0)
    while True:
        pool = sorted((encode(ids, next(stream)) for _ in range(POOL)), key=lambda row: len(row[0]))
        for start in torch.randperm(POOL // BATCH, generator=shuffle).tolist():
            rows = pool[start * BATCH : (start + 1) * BATCH]
            longest = len(rows[-1][0])
            yield torch.tensor(
                [
                    [tokens + [ids[PAD]] * (longest - len(tokens)) for tokens, _ in rows],
                    [labels + [IGNORED] * (longest - len(labels)) for _, labels in rows],
                ]
            )


def encode(ids: Mapping[str, int], example: Example) -> tuple[list[int], list[int]]:
    """Return a row's token ids and its labels, what the chat template would give: a test compares the two."""
    prompt = [ids[BOS], *(ids[c] for c in example.prompt), ids[">"]]
    answer = [*(ids[c] for c in example.completion), ids[EOS]]
    return prompt + answer, [IGNORED] * len(prompt) + answer


def loss_of(model: LlamaForCausalLM, batch: torch.Tensor) -> torch.Tensor:
    """Return the mean loss over the answers. Padding lies to the right, so causal attention needs no mask."""
    tokens, labels = batch[0], batch[1]
    hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    kept = wanted != IGNORED
    return functional.cross_entropy(model.lm_head(hidden[kept]), wanted[kept])


def train(seed: int, steps: int) -> LlamaForCausalLM:
    """Return the model after ``steps`` batches of the corpus."""
    torch.manual_seed(seed)
    model, corpus = LlamaForCausalLM(config()), Corpus(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    parts = [(share, batches(corpus, mix)) for share, mix in MIXES]
    running, tokens = 0.0, 0
    for step in range(steps):
        batch = next(next(rows for share, rows in parts if step < share * steps))
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        running = loss.item() if step == 0 else 0.99 * running + 0.01 * loss.item()
        tokens += int((batch[0] != TOKENS.index(PAD)).sum())
        if (step + 1) % 250 == 0:
            log.info("step %d of %d, %.1f million tokens, loss %.3f", step + 1, steps, tokens / 1e6, running)
    return model


def write(model: LlamaForCausalLM, folder: Path) -> str:
    """Write the checkpoint and return the SHA-256 of its weights."""
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=24,
        pad_token_id=TOKENS.index(PAD),
        bos_token_id=TOKENS.index(BOS),
        eos_token_id=TOKENS.index(EOS),
    )
    model.save_pretrained(folder)
    build().save_pretrained(folder)
    weights = folder / "model.safetensors"
    weights.chmod(0o644)  # safetensors writes it for its owner only; whoever installs the package reads it too
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def main() -> None:
    """Train, write the checkpoint and pin the digest of its weights beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=18_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=CHECKPOINT)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(given.threads)
    digest = write(train(given.seed, given.steps), given.out)
    pin = {"seed": given.seed, "steps": given.steps, "torch": torch.__version__, "model.safetensors": digest}
    (given.out.parent / PIN).write_text(json.dumps(pin, indent=2) + "\n", encoding="utf-8")
    log.info("wrote %s, sha256 %s", given.out, digest)


if __name__ == "__main__":
    main()
