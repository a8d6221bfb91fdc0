"""A language model writes kernels for real: trained here, asked through proposer and engine, judged by admission."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metaevo.synthesis.authors import LanguageModel
from metaevo.synthesis.proposals import Proposed
from sandbox.monty import Monty
from services.home.open import App
from tests.evidence.writer import ASKED, author_of, home_of, judged, request

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, writer_model: Path) -> Iterator[App]:
    """A home whose champion is the writer."""
    with home_of(writer_model, tmp_path_factory.mktemp("writer") / "home") as made:
        yield made


def test_some_of_what_it_writes_is_admitted(app: App, record_property: Any, capsys: pytest.CaptureFixture[str]) -> None:
    author = author_of(app)
    assert isinstance(author, LanguageModel)
    with Monty() as tier:
        said, made = judged(author, tier)
    with capsys.disabled():
        print(f"\n{said['admitted']} of {ASKED} kernels of a small model admitted; {dict(said.most_common())}")
    record_property("proposals", dict(said))
    assert said["admitted"] > 0
    assert said.total() == ASKED == author.budget.spent_calls
    assert not [reason for reason in said if reason in ("reply: engine", "reply: no_room", "reply: paused")]
    wrote = [one.candidate for one in made if isinstance(one, Proposed)]
    assert len({one.source for one in wrote}) == len(wrote) > ASKED // 3, "it says what it learnt, and not one thing"
    assert {(one.by, one.model) for one in wrote} == {("champion", "g000000")}
    assert any(one.parents for one in wrote)


def test_the_same_stream_writes_the_same(app: App) -> None:
    texts = [author_of(app).propose(request(1, frozenset()), Random(7)) for _ in "ab"]
    assert texts[0] == texts[1]
