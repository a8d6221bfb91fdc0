"""Tokens: what the journal and the cycles say is what an independent count at the engines says, every step charged."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Ask, Job, Published, Sampling
from metaevo.learning.chat import tokenizer_in
from metaevo.ledger.queries import total_spent
from metaevo.ledger.tables import CycleRow, StepRow
from metaevo.testing import ScriptedEngine
from metaevo.tiny import CHECKPOINT
from metaevo.types import Completion, Generation, Tokens
from objectives.types import Messages
from services.home.home import Home
from services.records.why import Why
from services.reports.why import why_generation
from tests.journeys import small


class Watched(EngineClient):
    """The real engine, keeping what is asked and answered; what happens inside of a training or probe it cannot see."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.answered: list[tuple[Messages, list[Completion]]] = []
        self.inside, self.before = Tokens(), Tokens()

    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        made = super().sample(generation, prompts_P, how)
        self.answered += zip(prompts_P, made, strict=True)
        return made

    def train(self, job: Job, batch: Any, ask: Ask) -> Published:
        before = self.meter
        made = super().train(job, batch, ask)
        assert (self.meter - before).trained == made.tokens
        self.inside += self.meter - before
        return made

    def probe(self, generation: Generation) -> Sequence[Completion]:
        before = self.meter
        made = super().probe(generation)
        if before == Tokens():  # the base's probes: before any cycle
            self.before = self.meter
        else:
            self.inside += self.meter - before
        return made


METERS = ("prompt_tokens", "generated_tokens", "trained_tokens")


@dataclass
class Recording(ScriptedEngine):
    """The scripted engine, counting for itself what it is given and what it gives."""

    ids: dict[str, int] = field(default_factory=lambda: {"prompt": 0, "generated": 0, "trained": 0})

    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        made = ScriptedEngine.sample(self, generation, prompts_P, how)
        for prompt, row in zip(prompts_P, made, strict=True):
            for completion in row:
                self.ids["prompt"] += sum(len(message.content) + 1 for message in prompt)
                self.ids["generated"] += len(completion.text) + 1
        return made

    def score(self, generation: Generation, prompts_P: Sequence[Messages], texts_P: Sequence[str]) -> list[Completion]:
        for prompt, text in zip(prompts_P, texts_P, strict=True):
            self.ids["prompt"] += sum(len(message.content) + 1 for message in prompt) + max(1, len(text))
        return ScriptedEngine.score(self, generation, prompts_P, texts_P)

    def embed(self, generation: Generation, texts_R: Sequence[str]) -> list[list[float]]:
        self.ids["prompt"] += sum(len(text) for text in texts_R)
        return ScriptedEngine.embed(self, generation, texts_R)

    def probe(self, generation: Generation) -> Sequence[Completion]:
        made = ScriptedEngine.probe(self, generation)
        self.ids["generated"] += len(made)
        return made

    def train(self, job: Job, batch: Any, ask: Ask) -> Published:
        self.ids["trained"] += 16 * len(batch) if isinstance(batch, tuple) else 0
        return ScriptedEngine.train(self, job, batch, ask)


def in_journal(home: Home, cycle: int) -> list[int]:
    """Return what the journal's rows of a cycle say, meter by meter."""
    rows = [row for row in small.rows(home, StepRow) if row.cycle == cycle]
    return [sum(row.counts.get(meter, 0) for row in rows) for meter in METERS]


def test_journal_and_cycles_say_what_was_counted_at_the_engines(tmp_path: Path) -> None:
    home, engines = small.create(tmp_path / "home"), list[Recording]()

    def make(home: Home, _config: object, _width: int) -> list[Recording]:
        engines.extend(Recording(home.store(), small.SKILLS, environments=("extremes", "sorting")) for _ in range(2))
        return engines

    made = small.evolve(home, 2, make=make)
    counted = {name: sum(engine.ids[name] for engine in engines) for name in ("prompt", "generated", "trained")}
    counted["generated"] -= 8  # the base's probes, before any cycle
    told = [in_journal(home, cycle.number) for cycle in made]
    assert [sum(meter) for meter in zip(*told, strict=True)] == list(counted.values())
    assert [cycle.spent for cycle in made] == [Tokens(*meters) for meters in told]
    assert [row.tokens for row in small.rows(home, CycleRow)] == [cycle.tokens for cycle in made]
    ledger = home.ledger()
    assert total_spent(ledger).tokens == sum(counted.values())
    ledger.close()
    charged = {row.step for row in small.rows(home, StepRow) if row.counts.get("tokens")}
    assert {"diagnose", "archive", "score", "solutions", "update", "screen", "protect", "anchor"} <= charged
    decided = why_generation(home, None)
    assert isinstance(decided, Why)
    shown = next(cycle for cycle in made if cycle.candidate is not None and cycle.candidate.id == decided.generation)
    assert (decided.cost.prompt, decided.cost.generated, decided.cost.trained) == astuple(shown.spent)
    assert decided.cost.tokens == shown.tokens


@pytest.mark.full
def test_a_cycle_of_the_built_in_base_is_charged_the_ids_that_went_through_it(tmp_path: Path) -> None:
    few = small.CONFIG.replace("items = 16", "items = 4").replace("trials = 2", "trials = 1").replace("= 320", "= 128")
    home, engines = small.create(tmp_path / "home", few.replace("0.05", "0.3")), list[Watched]()

    def make(home: Home, config: object, _width: int) -> list[Watched]:
        engines.append(Watched(home.store(), home.path))
        return engines

    (made,) = small.evolve(home, 1, make=make)
    (engine,) = engines
    ids = tokenizer_in(CHECKPOINT)
    read = wrote = 0
    for prompt, row in engine.answered:
        user = [{"role": message.role, "content": message.content} for message in prompt]
        asked = len(ids.apply_chat_template(user, add_generation_prompt=True, return_dict=False))
        read += asked * len(row)
        wrote += sum(len(ids.encode(c.text, add_special_tokens=False)) + (c.finish == "stop") for c in row)
    assert made.spent.prompt == read + engine.inside.prompt
    # A sampled text may be written by more ids than its own encoding has: seen once among 150,000 ids.
    assert 0 <= made.spent.generated - wrote - engine.inside.generated <= wrote / 10_000
    assert made.spent.trained == engine.inside.trained > 0
    assert made.spent == engine.meter - engine.before
