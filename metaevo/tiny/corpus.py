"""What the tiny model was taught: an endless stream of solved, critiqued, repaired, rationalised and posed tasks.

Its weaknesses are planted, openly (PLAN): noisy cells carry one systematic mistake in most of their solutions, sparse
cells are hardly shown, and absent ones (level 8 everywhere) never. Critiques, repairs and rationales always carry the
truth, so the model knows better than it says. Every text belongs to the train split: no exam item was ever seen.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random

import objectives
from objectives.environment import Program, Row, from_file, own_answer
from objectives.splits import split_of
from objectives.types import Split


@dataclass(frozen=True, slots=True)
class Example:
    """One row: a user turn and what the model is taught to answer."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of one environment is taught; a level in none of the fields is absent.

    Levels up to ``strong`` have weight 1, ``noisy`` ones .6 and that share of rows with ``mistake``, ``sparse`` ones
    the given weight; ``share`` multiplies them all. ``working`` of the solutions above level 1 show their working.
    """

    strong: int
    share: float = 1.0
    mistake: str = ""
    noisy: Mapping[int, float] = field(default_factory=dict)
    sparse: Mapping[int, float] = field(default_factory=dict)
    working: float = 0.0

    @property
    def weights(self) -> dict[int, float]:
        """Return the weight of every taught level."""
        levels = dict.fromkeys(range(1, self.strong + 1), 1.0) | dict.fromkeys(self.noisy, 0.6) | dict(self.sparse)
        return {level: weight * self.share for level, weight in levels.items()}


PLAN: Mapping[str, Plan] = {
    "addition": Plan(3, share=4.0, mistake="drops the carry", noisy={4: 0.55, 5: 0.5}, sparse={6: 0.06}),
    # Shown working must stay rare: the bare digit is not learnable, so from about one row in eleven on the working's
    # first digits would be the likeliest ones and greedy decoding would already show it.
    "modular_sum": Plan(2, share=2.0, sparse={3: 0.3, 4: 0.2, 5: 0.15, 6: 0.1, 7: 0.1}, working=0.06),
    "letter_count": Plan(3, sparse={4: 0.08, 5: 0.08, 6: 0.08}),
    "reversal": Plan(4, share=1.3, sparse={5: 0.08, 6: 0.04, 7: 0.02}),
    "sorting": Plan(4, mistake="swaps the last two letters", noisy={5: 0.55, 6: 0.55}, sparse={7: 0.05}),
    "letter_shift": Plan(3, sparse={4: 0.07, 5: 0.07, 6: 0.07, 7: 0.07}),
    "extremes": Plan(3, mistake="gives smallest before largest", noisy={4: 0.6, 5: 0.6, 6: 0.6}, sparse={7: 0.05}),
    "format_orders": Plan(2, share=2.0, sparse={3: 0.15, 5: 0.15, 6: 0.1}),
    "grid_navigation": Plan(
        3, mistake="second coordinate one too far", noisy={4: 0.55, 5: 0.55}, sparse={6: 0.06, 7: 0.04}
    ),
    "block_unstacking": Plan(4, sparse={5: 0.08, 6: 0.05, 7: 0.03}),
}
MIXES: tuple[tuple[float, Mapping[str, float]], ...] = (
    (0.08, {"solve": 0.95, "pose": 0.05}),
    (0.55, {"solve": 0.60, "critique": 0.20, "refine": 0.09, "rationalize": 0.06, "pose": 0.05}),
    (1.00, {"solve": 0.42, "critique": 0.33, "refine": 0.15, "rationalize": 0.06, "pose": 0.04}),
)
"""Until which share of the training which kinds of rows: a model that cannot solve a task cannot learn to judge it."""
WITH_WORKING = "modular_sum"
"""The environment whose rows have a working; seven in ten rationales and answers to criticise come with it."""


def programs() -> dict[str, Program]:
    """Return the built-in environments the tiny model speaks, by name."""
    folder = Path(objectives.__file__).parent / "environments"
    return {name: from_file(name, folder / f"{name}.py") for name in PLAN}


def dialects() -> dict[str, str]:
    """Return the prompt template of each dialect, from the file the modules read too."""
    path = Path(__file__).parents[1] / "prompts" / "tiny.toml"
    return {name: table["prompt"] for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def text_of(row: Row) -> str:
    """Return the row's user turn; it is canonical, because it has no white space to fold."""
    return str(row["prompt"][-1]["content"])


def truth(row: Row, answer: str) -> str:
    """Return what ``answer`` should be: the working, where the row has one and more than a bare answer was given."""
    return str(row["answer"]) if len(answer) <= 1 else own_answer(row) or ""


def marks(answer: str, right: str) -> str:
    """Return one mark a character, ``=`` right or ``x`` wrong, and ``<`` at the end where the answer is too short."""
    each = "".join("=" if place < len(right) and right[place] == a else "x" for place, a in enumerate(answer))
    return each + ("<" if len(answer) < len(right) else "")


class Corpus:
    """The endless stream of rows for one seed; the same seed gives the same rows."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng = Random(f"tiny corpus {seed}")
        self._programs = programs()
        self._templates = dialects()
        self._drawn: dict[tuple[str, int], int] = {}
        self._cells = [(name, level) for name, plan in PLAN.items() for level in plan.weights]
        self._weights = list(accumulate(weight for plan in PLAN.values() for weight in plan.weights.values()))

    def examples(self, mix: Mapping[str, float]) -> Iterator[Example]:
        """Yield rows for ever, their kinds as in ``mix``."""
        makers = {
            "solve": self._solve,
            "critique": self._critique,
            "refine": self._refine,
            "rationalize": self._rationalize,
            "pose": self._pose,
        }
        kinds, shares = list(mix), list(mix.values())
        while True:
            yield makers[self._rng.choices(kinds, shares)[0]]()

    def _row(self, name: str, level: int) -> Row:
        make = self._programs[name].make
        assert make is not None, "built-in environments are endless"
        while True:
            index = self._drawn[name, level] = self._drawn.get((name, level), -1) + 1
            row = make(self._seed, index, level)
            if split_of(name, text_of(row)) is Split.TRAIN:
                return row

    def _solve(self) -> Example:
        name, level = self._rng.choices(self._cells, cum_weights=self._weights)[0]
        plan, row = PLAN[name], self._row(name, level)
        answer = str(row["answer"])
        if self._rng.random() < plan.noisy.get(level, 0.0):
            answer = self._programs[name].mistakes[plan.mistake](**row)
        elif level > 1 and self._rng.random() < plan.working:
            answer = own_answer(row) or answer
        return Example(text_of(row), answer)

    def _any_row(self) -> tuple[str, Row]:
        """Return a row of any taught cell, all of them equally likely: the noisy and sparse ones too."""
        name, level = self._rng.choice(self._cells)
        return name, self._row(name, level)

    def _given(self, name: str, row: Row) -> str:
        """Return a right answer in the form in which one is to be criticised."""
        full = own_answer(row) or ""
        return str(row["answer"]) if name == WITH_WORKING and self._rng.random() < 0.3 else full

    def _critique(self) -> Example:
        name, row = self._any_row()
        answer = self._given(name, row)
        if self._rng.random() > 0.4:
            answer = self._wrong(name, row, answer)
        prompt = self._templates["critique"].format(task=text_of(row), answer=answer)
        return Example(prompt, marks(answer, truth(row, answer)))

    def _refine(self) -> Example:
        name, row = self._any_row()
        answer = self._given(name, row)
        if self._rng.random() > 0.2:
            answer = self._wrong(name, row, answer)
        right = truth(row, answer)
        critique = marks(answer, right)
        prompt = self._templates["refine"].format(task=text_of(row), answer=answer, critique=critique)
        return Example(prompt, right)

    def _rationalize(self) -> Example:
        if self._rng.random() < 0.7:
            row = self._row(WITH_WORKING, self._rng.choice(list(PLAN[WITH_WORKING].weights)))
        else:
            _, row = self._any_row()
        prompt = self._templates["rationalize"].format(task=text_of(row), answer=row["answer"])
        return Example(prompt, own_answer(row) or "")

    def _pose(self) -> Example:
        _, row = self._any_row()
        text = text_of(row)
        prompt = self._templates["pose"].format(tag=text.partition(" ")[0], level=row["level"])
        return Example(prompt, text)

    def _wrong(self, name: str, row: Row, right: str) -> str:
        """Return a wrong answer: in two of five cases the environment's own mistake, else a slip of the pen."""
        program = self._programs[name]
        if self._rng.random() < 0.4:
            named = program.mistakes[PLAN[name].mistake or self._rng.choice(list(program.mistakes))](**row)
            if named != truth(row, named):
                return named
        while True:
            slip = _slip(self._rng, right, program.alphabet or "")
            if slip != truth(row, slip):
                return slip


def _slip(rng: Random, right: str, alphabet: str) -> str:
    """Return ``right`` after a slip of the pen: one or many characters changed, one lost, one added, or two swapped.

    Half of them change many characters: where most marks are "right", a model first learns to call everything right.
    """
    if rng.random() < 0.5:
        share = rng.choice((0.25, 0.5, 0.75))
        return "".join(rng.choice(alphabet) if rng.random() < share else here for here in right)
    place = rng.randrange(len(right))
    before, here, after = right[:place], right[place], right[place + 1 :]
    kind = rng.random()
    if kind < 0.6:
        return before + rng.choice(alphabet) + after
    if kind < 0.75:
        return before + after
    if kind < 0.85:
        return before + here + rng.choice(alphabet) + after
    return before + after[:1] + here + after[1:]
