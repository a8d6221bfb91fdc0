"""The one door before every update: which rows may be trained on, whatever step, file or module they came from.

A text that an environment of the home may ask must be TRAIN there; of a text that nobody can ask nothing is asked.
Near copies are looked for in finite environments and files only: the same words and signs (`objectives.wording`), a
13-word gram that at most three rows hold (the length of Brown et al. 2020, arXiv:2005.14165, appendix C; of a shorter
row all its words, from eight on), or a Jaccard index of at least .8 over words, without those that more than 1 % of
the rows share. What an operator protects from training (``train = false``) never passes.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from objectives.environment import Program, identity
from objectives.splits import Scheme, folded, hidden
from objectives.types import Split
from objectives.wording import LABEL, Words, grams, passages, readings, spoken

GRAM, SHORT, RARE, COMMON = 13, 8, 3, 100
"""Words of a gram and of the shortest row that is one, rows that may hold a rare one, part from which one is common."""
NEAR = 0.8
"""Jaccard index from which two texts are near."""
TELLING = 4
"""Words left after the common ones below which likeness says nothing: names and numbers of a template repeat."""
AROUND = re.compile(r"\s*([^\w\s])\s*")
EDGES = " \t\n.?!,;:\"'“”‘’«»`"
"""What may stand around a text without being part of it."""


@dataclass(slots=True)
class Held:
    """The rows of one finite environment that may not be trained on, and what is near to them."""

    texts: Mapping[str, bool]
    """Of each of its texts, folded, whether it may be trained on."""
    same: frozenset[Words]
    """What the rows say that are held, in words and signs, where at most three rows say it."""
    rare: Mapping[int, frozenset[Words]]
    """By their length: the rare grams of the rows that are held."""
    common: frozenset[str]
    likes: Mapping[str, Sequence[frozenset[str]]]
    """By each telling word of a row that is held: the row's telling words."""

    @classmethod
    def of(cls, all_rows: Sequence[str], held: Sequence[str]) -> "Held":
        """Return what is held of these texts."""
        read = {text: readings(text) for text in (*all_rows, *held)}
        uses = Counter(word for text in all_rows for word in set(spoken(read[text][-1])))
        limit = max(RARE, len(all_rows) // COMMON)
        common = frozenset(word for word, count in uses.items() if count > limit)
        likes: dict[str, list[frozenset[str]]] = {}
        for text in held:
            telling = frozenset(spoken(read[text][-1])) - common
            for word in telling if len(telling) >= TELLING else ():
                likes.setdefault(word, []).append(telling)
        texts = dict.fromkeys(map(folded, all_rows), True) | dict.fromkeys(map(folded, held), False)
        says = Counter(reading for text in all_rows for reading in read[text])
        same = {reading for text in held for reading in read[text] if reading and says[reading] <= RARE}
        return cls(texts, frozenset(same), _rare(all_rows, held, read), common, likes)

    def near(self, read: Sequence[Words], parts: set[Words], *, known: bool) -> bool:
        """Return whether a text, in its readings and its parts, is near to one that is held.

        One that is ``known`` to be a row of the environment itself may have a shorter one as its part.
        """
        said_by_held = not self.same.isdisjoint(read) or not (known or self.same.isdisjoint(parts))
        return said_by_held or self.alike(read, GRAM if known else SHORT)

    def alike(self, read: Sequence[Words], least: int = GRAM) -> bool:
        """Return whether a text shares a rare gram of at least so many words with a held one, or most of its words."""
        said = [spoken(reading) for reading in read]
        grammed = ((rare, grams(words, size)) for size, rare in self.rare.items() if size >= least for words in said)
        return any(not rare.isdisjoint(found) for rare, found in grammed) or any(map(self._like, said))

    def _like(self, said: Sequence[str]) -> bool:
        telling = frozenset(said) - self.common
        met = {other for word in telling for other in self.likes.get(word, ())} if len(telling) >= TELLING else set()
        return any(len(telling & other) >= NEAR * len(telling | other) for other in met)


def _rare(
    all_rows: Sequence[str], held: Sequence[str], read: Mapping[str, Sequence[Words]]
) -> dict[int, frozenset[Words]]:
    """Return by their length the grams of the rows that are held which at most three rows have."""
    wanted: dict[int, set[Words]] = {}
    for said in (spoken(reading) for text in held for reading in read[text]):
        if len(said) >= SHORT:
            size = min(GRAM, len(said))
            wanted.setdefault(size, set()).update(grams(said, size))
    found = {}
    for size, sought in wanted.items():
        shared = Counter(gram for text in all_rows for gram in _grams(read[text], size) & sought)
        found[size] = frozenset(gram for gram in sought if shared[gram] <= RARE)
    return found


def _grams(text: Sequence[Words], size: int) -> set[Words]:
    return {gram for reading in text for gram in grams(spoken(reading), size)}


@dataclass(slots=True)
class Door:
    """What a home's environments say of a row. It stands where their code does, in a grader process."""

    programs: Mapping[str, Program]
    scheme: Scheme
    closed: frozenset[str] = frozenset()
    """The environments that are never trained on."""
    held: dict[str, Held] = field(default_factory=dict)

    def refusal(self, environment: str, texts: Sequence[str], replies: Sequence[str] = ()) -> str:
        """Return why a row may not be trained on, "" where it may.

        ``texts`` are its canonical prompt and then its turns: an exam item may hide in any of them. ``replies`` are
        the answers it ends with: what an environment was just asked is answered in its own language, and is no
        question of it then.
        """
        if environment in self.closed:
            return f"{environment} is never trained on"
        for name, program in self.programs.items():
            if not self._open(name, program, texts, replies, own=name == environment):
                return f"exam item of {name}"
        finite = {name: self._held(name) for name, program in self.programs.items() if program.rows is not None}
        shown = [(folded(text), readings(text), passages(text)) for text in texts] if finite else []
        answers = [readings(text) for text in replies] if finite else []
        for name, held in finite.items():
            asked = shown[0][0] in held.texts
            if any(held.near(read, parts, known=text in held.texts) for text, read, parts in shown) or any(
                held.alike(read) if asked else held.near(read, set(), known=False) for read in answers
            ):
                return f"near copy of an exam item of {name}"
        return ""

    def _open(self, name: str, program: Program, texts: Sequence[str], replies: Sequence[str], *, own: bool) -> bool:
        """Return whether this environment lets these texts pass."""
        if program.rows is None and program.read is None:  # nobody can know what it asks: the prompt's text decides
            asked = name not in self.closed and (own or self.scheme is not Scheme.NAMED)
            return not asked or self.scheme.split(name, texts[0]) is Split.TRAIN
        said = [self._trains(name, program, text) for text in texts]
        if said[0] is None:
            said += [self._trains(name, program, text) for text in replies]
        return False not in said

    def _trains(self, name: str, program: Program, text: str) -> bool | None:
        """Return whether a text may be trained on as far as this environment goes; None where it never asks it."""
        if program.rows is not None:
            return self._held(name).texts.get(folded(text))
        asked = next((row for form in _forms(text) if (row := _read(program, form)) is not None), None)
        return None if asked is None else name not in self.closed and self.scheme.split(name, asked) is Split.TRAIN

    def _held(self, name: str) -> Held:
        if name not in self.held:
            program = self.programs[name]
            texts = [identity((program.rows or ())[index]) for index in program.first]
            kept = [t for t in texts if name in self.closed or self.scheme.split(name, t) is not Split.TRAIN]
            self.held[name] = Held.of(texts, kept)
        return self.held[name]


@lru_cache(maxsize=64)
def _forms(text: str) -> tuple[str, ...]:
    """Return the text as it stands, and as it may be meant: without what surrounds it, spacing and case."""
    seen = "".join(c for c in text if not hidden(c))
    said = [form for bare in (seen, LABEL.sub("", seen).strip(EDGES)) for form in (bare, AROUND.sub(r"\1", bare))]
    return tuple(dict.fromkeys((text, *said, *map(str.casefold, said))))


def _read(program: Program, text: str) -> str | None:
    """Return the canonical text of the row that the environment reads there, None where it reads none."""
    try:
        row = program.read(text) if program.read is not None else None
        return None if row is None else identity(row)
    except (Exception, SystemExit):  # noqa: BLE001 - other people's code: what it cannot read is not its text
        return None
