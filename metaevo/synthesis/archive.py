"""The archive: the best kernel found of each kind, size and behaviour, so that search keeps what differs.

Mouret and Clune 2015, MAP-Elites, arXiv:1504.04909. Differs from the paper in one way: qualities are measured with
noise. An elite is compared by its quality less one standard error, and a kernel measured again is pooled, so that a
lucky first measurement fades. Pure data: telling gives a new archive, and the order of telling different kernels
does not matter.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from metaevo.artifacts.bodies import adapter
from metaevo.errors import BadInput
from metaevo.kernels import CONTRACTS
from metaevo.synthesis.tree import from_json
from objectives.types import Json
from sandbox.types import Kernel

BINS = 5
"""Into how many parts the range of each number that describes behaviour is cut."""
EXACT = 1e-6
"""The least standard error that pooling believes in."""

Cell: TypeAlias = tuple[str, int, tuple[int, ...]]
"""(kind, size bucket, bin of each number that describes behaviour)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One kernel with its provenance. ``tree`` is the grammar's form of it, None where a model wrote it.

    ``size`` counts the source's tokens; ``model`` and ``prompt`` say which model wrote it, asked by a letter of which
    digest, both empty where none did. ``saw_rows`` says that its author, or that of a parent, was shown rows: such
    code may quote them, so it is not sent to an endpoint that gets code alone.
    """

    kind: str
    source: str
    size: int
    by: str
    tree: Json = None
    parents: tuple[str, ...] = ()
    saw_rows: bool = False
    model: str = ""
    prompt: str = ""

    @property
    def id(self) -> str:
        """Return 16 hex digits of what it does: its kind and source."""
        return hashlib.sha256(f"{self.kind}\0{self.source}".encode()).hexdigest()[:16]

    @property
    def kernel(self) -> Kernel:
        """Return what a sandbox runs."""
        return CONTRACTS[self.kind].kernel(self.source)


@dataclass(frozen=True, slots=True)
class Elite:
    """A candidate as measured. ``noise`` is the standard error of ``quality``; ``n`` counts its measurements."""

    candidate: Candidate
    behaviour: tuple[float, ...]
    quality: float
    noise: float
    n: int = 1

    def __post_init__(self) -> None:
        said = f"kernel {self.candidate.id}"
        if self.candidate.kind not in CONTRACTS:
            raise BadInput(f"{said}: kind", "", f"want one of {', '.join(CONTRACTS)}", given=repr(self.candidate.kind))
        if not math.isfinite(self.quality) or not (math.isfinite(self.noise) and self.noise >= 0):
            found = f"quality {self.quality} ± {self.noise}"
            raise BadInput(f"{said}: {found}", "", "want finite numbers, the error at least 0")
        if not all(0 <= number <= 1 for number in self.behaviour):
            raise BadInput(f"{said}: behaviour", "", "want numbers from 0 to 1", given=self.behaviour)

    @property
    def cell(self) -> Cell:
        """Return where in the archive it belongs; sizes are doubled from bucket to bucket."""
        bins = tuple(min(BINS - 1, int(number * BINS)) for number in self.behaviour)
        return self.candidate.kind, self.candidate.size.bit_length(), bins

    @property
    def rank(self) -> tuple[float, int, str]:
        """Return the order of elites, the best least: by the lower bound of quality, then size, then id."""
        return self.noise - self.quality, self.candidate.size, self.candidate.id

    def pooled(self, other: "Elite") -> "Elite":
        """Return the same kernel with both measurements, each weighted by its precision."""
        mine, theirs = (1 / max(one.noise, EXACT) ** 2 for one in (self, other))
        quality = (mine * self.quality + theirs * other.quality) / (mine + theirs)
        return Elite(self.candidate, self.behaviour, quality, (mine + theirs) ** -0.5, self.n + other.n)


@dataclass(frozen=True, slots=True)
class KernelArchive:
    """The elites by cell."""

    elites: Mapping[Cell, Elite] = field(default_factory=dict)

    def tell(
        self, candidate: Candidate, quality: float, behaviour: tuple[float, ...], noise: float = 0.0
    ) -> "KernelArchive":
        """Return the archive that knows this measurement too.

        Raises:
            BadInput: The measurement is not finite, or the behaviour outside [0, 1].
        """
        new = Elite(candidate, behaviour, quality, noise)
        old = self.elites.get(new.cell)
        if old is not None and old.candidate.id == candidate.id:
            new = old.pooled(new)
        elif old is not None and old.rank <= new.rank:
            return self
        return KernelArchive({**self.elites, new.cell: new})

    def ask(self, rng: Random, kind: str, n: int = 2) -> tuple[Elite, ...]:
        """Return up to ``n`` different elites of a kind: the parents to come.

        The first is the better one of two cells drawn, the others are any: a trial costs too much to search blindly.
        """
        found = [self.elites[cell] for cell in sorted(self.elites) if cell[0] == kind]
        drawn = rng.sample(found, min(n + 1, len(found)))
        head = sorted(drawn[:2], key=lambda elite: elite.rank)
        return (*head[:1], *drawn[2:], *head[1:])[:n]

    def best(self, kind: str, n: int = 1) -> tuple[Elite, ...]:
        """Return the ``n`` best elites of a kind, best first."""
        found = (elite for elite in self.elites.values() if elite.candidate.kind == kind)
        return tuple(sorted(found, key=lambda elite: elite.rank)[:n])

    def rows(self) -> list[dict[str, Any]]:
        """Return the elites as JSON, one row each, in the order of their cells."""
        return [adapter(Elite).dump_python(self.elites[cell], mode="json") for cell in sorted(self.elites)]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> "KernelArchive":
        """Return the archive of rows that `rows` gave; of two in one cell the better one stays.

        Raises:
            BadInput: A row is not an elite.
        """
        elites: dict[Cell, Elite] = {}
        for number, row in enumerate(rows):
            try:
                elite: Elite = adapter(Elite).validate_python(row)
            except ValueError as error:
                first = str(error).replace("\n", " ")[:200]
                raise BadInput(f"archive row {number}", first, "leave the row out") from None
            if elite.candidate.tree is not None:
                from_json(elite.candidate.tree)
            old = elites.get(elite.cell)
            elites[elite.cell] = elite if old is None or elite.rank < old.rank else old
        return cls(elites)
