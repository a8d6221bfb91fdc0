"""A model that writes kernels, built here: Qwen2-shaped, word-level, taught on the grammar's own programs.

It learns `grammar.specification` to source for two kinds. It stands for a champion that can write: it goes through
the proposer, the engine and admission as any other would, and most of what it learnt is of no use to anybody.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.stranger import small

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
    made = programs(1)
    pairs = [next(made) for _ in range(rows)]
    said = " ".join(f"{line} {source}" for line, source in pairs) + "".join(map(chr, range(32, 127)))
    words = small.tokenizer(said, SYSTEM, PIECES, TEMPLATE)
    taught = sorted((small.taught(words, *pair) for pair in pairs), key=lambda row: len(row[0]))
    random = Random(5)

    def batch(_step: int) -> list[small.Row]:
        at = random.randrange(len(taught) - 32)  # rows of like length: little is padded
        return taught[at : at + 32]

    shape = {"hidden_size": 96, "intermediate_size": 192, "max_position_embeddings": CONTEXT}
    return small.build(folder, words, lambda model: small.teach(model, batch, steps, 4e-3, 0.4), **shape)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
