"""How much of a language model's work is admitted: ``python -m tests.evidence.writer [--seeds N …] [--model F]``.

A small model is trained on the grammar's own programs (`tests.stranger.writer`) and is a home's champion. Its author
is asked for kernels through proposer and engine, every other time beside a parent; each goes through admission on the
embedded tier. The grammar is asked the same beside it. A part a seed of the asking, resumed.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from metaevo.synthesis import grammar
from metaevo.synthesis.admission import admit
from metaevo.synthesis.archive import Elite
from metaevo.synthesis.authors import Spent
from metaevo.synthesis.proposals import Outcome, Proposed, Proposer, Request
from metaevo.synthesis.proposer import Grammar, candidate_of
from sandbox.monty import Monty
from sandbox.types import Sandbox
from services.home.home import Home
from services.home.open import App, open_home
from tests.evidence import record
from tests.stranger.writer import KINDS, build

CLAIM = "writer"
ASKED = 50
CONFIG = """seed = 11
[model]
base = "BASE"
dialect = "tiny"
[environments.sorting]
levels = [4, 5]
[gate]
secret_seed = 11
[search]
kernels = 2
[proposer]
use = "champion"
calls = 50
answer = 120
"""


@contextmanager
def home_of(base: Path, folder: Path) -> Iterator[App]:
    """Yield a home with this base as its champion, with the engine of a run."""
    home = Home(folder)
    home.create(CONFIG.replace("BASE", str(base)))
    with open_home(home, engines=1) as app:
        yield app


def author_of(app: App) -> Proposer:
    """Return the champion as it is asked in a cycle."""
    (author,) = app.evolution().authors(app.host.lineage.get("champion"), Spent())
    return author


def request(number: int, known: frozenset[str], seed: int = 0) -> Request:
    """Return what a cycle asks for: every other time beside a parent, whose words the line then has."""
    kind, rng = KINDS[number // 2 % len(KINDS)], Random(f"parent {seed} {number}")
    parents = (Elite(candidate_of(grammar.grow(kind, rng, 3)), (0.5, 0.5), 0.0, 0.1),) if number % 2 else ()
    return Request(kind, parents, known)


def judged(proposer: Proposer, tier: Sandbox, seed: int = 0) -> tuple[Counter[str], list[Outcome]]:
    """Return what became of ASKED proposals, by reason, and the proposals."""
    known, said, made = set[str](), Counter[str](), list[Outcome]()
    for number in range(ASKED):
        outcome = proposer.propose(request(number, frozenset(known), seed), Random(f"{seed} {number}"))
        made.append(outcome)
        if not isinstance(outcome, Proposed):
            said[f"reply: {outcome.reason}"] += 1
            continue
        one = outcome.candidate
        known.add(one.id)
        decided = admit(one.source, one.kind, "refinement", tier)
        said["admitted" if decided.accepted else f"admission: {decided.reason}"] += 1
    return said, made


def case(app: App, seed: int) -> dict[str, Any]:
    """Return what became of the model's proposals, and of the grammar's beside them."""
    with Monty() as tier:
        (wrote, _), (grown, _) = judged(author_of(app), tier, seed), judged(Grammar(), tier, seed)
    return {"asked": ASKED, "model": dict(wrote.most_common()), "grammar": dict(grown.most_common())}


def main() -> None:
    """Measure every seed that is not recorded yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--model", type=Path, help="a model that `tests.stranger.writer` built; default: build it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        base = given.model or build(Path(scratch) / "model")
        with home_of(base.resolve(), Path(scratch) / "home") as app:
            for seed in given.seeds:
                began = time.monotonic()
                if f"seed {seed}" not in record.read(CLAIM):
                    numbers = case(app, seed)
                    command = f"python -m tests.evidence.writer --seeds {seed}"
                    record.write(CLAIM, f"seed {seed}", command, [seed], numbers, time.monotonic() - began)
                print(f"seed {seed}: {record.read(CLAIM)[f'seed {seed}']['numbers']}")


if __name__ == "__main__":
    main()
