"""The one door before every update: which rows may be trained on, whatever step, file or module they came from.

A text that an environment of the home may ask must be TRAIN there; of a text that nobody can ask nothing is asked.
Near copies are looked for in finite environments and files only: a 13-word gram that at most three rows hold (the
length of Brown et al. 2020, arXiv:2005.14165, appendix C), or a Jaccard index of at least .8 over words, without those
that more than 1 % of the rows share. What an operator protects from training (``train = false``) never passes.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from objectives.environment import Program, identity
from objectives.splits import Scheme, folded, hidden
from objectives.types import Split

GRAM, RARE, COMMON = 13, 3, 100
"""Words of a gram, rows that may hold a rare one, and the part of the rows from which a word is common."""
NEAR = 0.8
"""Jaccard index from which two texts are near."""
TELLING = 4
"""Words left after the common ones below which likeness says nothing: names and numbers of a template repeat."""
WORD = re.compile(r"\w+")
AROUND = re.compile(r"\s*([^\w\s])\s*")


def words(text: str) -> list[str]:
    """Return the words of a text without case, punctuation and what nobody sees."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if not hidden(c))
    return WORD.findall(plain.casefold())


def grams(text: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the 13-word grams of a text."""
    return {tuple(text[at : at + GRAM]) for at in range(len(text) - GRAM + 1)}


@dataclass(slots=True)
class Held:
    """The rows of one finite environment that may not be trained on, and what is near to them."""

    texts: frozenset[str]
    """All of its texts, folded."""
    rare: frozenset[tuple[str, ...]]
    common: frozenset[str]
    likes: dict[str, list[frozenset[str]]]
    """By each telling word of a row that is held: the row's telling words."""

    @classmethod
    def of(cls, all_rows: Sequence[str], held: Sequence[str]) -> "Held":
        """Return what is held of these texts."""
        split_words = [words(text) for text in all_rows]
        uses = Counter(word for said in split_words for word in set(said))
        limit = max(RARE, len(all_rows) // COMMON)
        common = frozenset(word for word, count in uses.items() if count > limit)
        held_words = [words(text) for text in held]
        wanted = {gram for said in held_words for gram in grams(said)}
        shared = Counter(gram for said in split_words for gram in grams(said) & wanted) if wanted else Counter()
        likes: dict[str, list[frozenset[str]]] = {}
        for said in held_words:
            telling = frozenset(said) - common
            for word in telling if len(telling) >= TELLING else ():
                likes.setdefault(word, []).append(telling)
        rare = frozenset(gram for gram in wanted if shared[gram] <= RARE)
        return cls(frozenset(map(folded, all_rows)), rare, common, likes)

    def near(self, text: str) -> bool:
        """Return whether a text is near to one that is held."""
        said = words(text)
        if self.rare and not self.rare.isdisjoint(grams(said)):
            return True
        telling = frozenset(said) - self.common
        met = {other for word in telling for other in self.likes.get(word, ())} if len(telling) >= TELLING else set()
        return any(len(telling & other) >= NEAR * len(telling | other) for other in met)


@dataclass(slots=True)
class Door:
    """What a home's environments say of a row. It stands where their code does, in a grader process."""

    programs: Mapping[str, Program]
    scheme: Scheme
    closed: frozenset[str] = frozenset()
    """The environments that are never trained on."""
    held: dict[str, Held] = field(default_factory=dict)

    def refusal(self, environment: str, texts: Sequence[str]) -> str:
        """Return why a row may not be trained on, "" where it may.

        ``texts`` are its canonical prompt and then its turns: an exam item may hide in any of them.
        """
        if environment in self.closed:
            return f"{environment} is never trained on"
        for name, program in self.programs.items():
            for text in texts[:1] if program.rows is None else texts:
                if not self._open(name, program, text, own=name == environment and text is texts[0]):
                    return f"exam item of {name}"
        for name, program in self.programs.items():
            if program.rows is not None and any(self._held(name, program).near(text) for text in texts):
                return f"near copy of an exam item of {name}"
        return ""

    def _open(self, name: str, program: Program, text: str, *, own: bool) -> bool:
        """Return whether this environment lets the text pass."""
        asked = self._asks(name, program, text)
        if asked is None:  # it cannot be known: the text alone decides, in the first scheme the row's own environment
            asked = own or self.scheme is not Scheme.NAMED
        if not asked:
            return True
        return name not in self.closed and self.scheme.split(name, text) is Split.TRAIN

    def _asks(self, name: str, program: Program, text: str) -> bool | None:
        """Return whether the environment may ask this text; None where nobody can know."""
        if program.rows is not None:
            return folded(text) in self._held(name, program).texts
        if program.read is None:
            return None if name not in self.closed else False
        seen = "".join(c for c in text if not hidden(c))
        return any(_reads(program, said) for said in {text, seen, seen.casefold(), AROUND.sub(r"\1", seen)})

    def _held(self, name: str, program: Program) -> Held:
        if name not in self.held:
            texts = [identity((program.rows or ())[index]) for index in program.first]
            kept = [t for t in texts if name in self.closed or self.scheme.split(name, t) is not Split.TRAIN]
            self.held[name] = Held.of(texts, kept)
        return self.held[name]


def _reads(program: Program, text: str) -> bool:
    try:
        return program.read is not None and program.read(text) is not None
    except (Exception, SystemExit):  # noqa: BLE001 - other people's code: what it cannot read is not its text
        return False
