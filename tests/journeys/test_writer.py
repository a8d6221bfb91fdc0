"""A language model writes kernels for real: trained here, asked through proposer and engine, judged by admission."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metaevo.synthesis import grammar
from metaevo.synthesis.admission import admit
from metaevo.synthesis.archive import Elite
from metaevo.synthesis.authors import LanguageModel, Spent
from metaevo.synthesis.proposals import Outcome, Proposed, Request
from metaevo.synthesis.proposer import Grammar, proposed
from sandbox.monty import Monty
from services.app import App, opened
from services.home import Home
from tests.journeys import small
from tests.stranger.writer import KINDS

pytestmark = [pytest.mark.full, pytest.mark.timeout(900), pytest.mark.xdist_group("writer")]
ASKED = 50
SETTINGS = """[proposer]
use = "champion"
calls = 50
answer = 120
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, writer_model: Path) -> Iterator[App]:
    """A home whose champion is the writer, with the engine of a run."""
    path = tmp_path_factory.mktemp("writer") / "home"
    text = small.CONFIG.replace('"builtin:tiny"', f'"{writer_model}"\ndialect = "tiny"')
    home: Home = small.create(path, text.replace("trials = 2", "trials = 2\nkernels = 2") + SETTINGS)
    with opened(home, engines=1) as made:
        yield made


def request(number: int, known: frozenset[str]) -> Request:
    """Return what a cycle asks for: every other time beside a parent, whose words the line then has."""
    kind, rng = KINDS[number // 2 % len(KINDS)], Random(f"parent {number}")
    parents = (Elite(proposed(grammar.grow(kind, rng, 3)), (0.5, 0.5), 0.0, 0.1),) if number % 2 else ()
    return Request(kind, parents, known)


def judged(proposer: Any, tier: Monty) -> tuple[Counter[str], list[Outcome]]:
    """Return what became of ASKED proposals, by reason, and the proposals."""
    known, said, made = set[str](), Counter[str](), list[Outcome]()
    for number in range(ASKED):
        outcome = proposer.propose(request(number, frozenset(known)), Random(number))
        made.append(outcome)
        if not isinstance(outcome, Proposed):
            said[f"reply: {outcome.reason}"] += 1
            continue
        one = outcome.candidate
        known.add(one.id)
        decided = admit(one.source, one.kind, "refinement", tier)
        said["admitted" if decided.accepted else f"admission: {decided.reason}"] += 1
    return said, made


def test_some_of_what_it_writes_is_admitted(app: App, record_property: Any, capsys: pytest.CaptureFixture[str]) -> None:
    champion = app.host.lineage.get("champion")
    (author,) = app.evolution().authors(champion, Spent())
    assert isinstance(author, LanguageModel)
    with Monty() as tier:
        said, made = judged(author, tier)
        beside, _ = judged(Grammar(), tier)
    with capsys.disabled():
        print(f"\nwriter: {said['admitted']} of {ASKED} admitted; {dict(said.most_common())}")
        print(f"grammar: {beside['admitted']} of {ASKED} admitted; {dict(beside.most_common())}")
    record_property("writer", dict(said))
    record_property("grammar", dict(beside))
    assert said["admitted"] > 0
    assert said.total() == ASKED == author.budget.spent_calls
    assert not [reason for reason in said if reason in ("reply: engine", "reply: no_room", "reply: paused")]
    wrote = [one.candidate for one in made if isinstance(one, Proposed)]
    assert len({one.source for one in wrote}) == len(wrote) > ASKED // 2, "it says what it learnt, and not one thing"
    assert {(one.by, one.model) for one in wrote} == {("champion", champion.id)}
    assert any(one.parents for one in wrote)


def test_the_same_stream_writes_the_same(app: App) -> None:
    champion = app.host.lineage.get("champion")
    texts = [
        [author.propose(request(1, frozenset()), Random(7)) for author in app.evolution().authors(champion, Spent())]
        for _ in "ab"
    ]
    assert texts[0] == texts[1]
