"""Kernels as a contract: which functions a machine may write, what they are given, what they must return.

A kernel sees plain data and nothing else: no answer, no reference, no row of another split. The host side cuts
texts to TEXT_CHARS and sends every field of the list, each of its type; whoever writes kernels relies on both. All this
stands at the bottom because who writes kernels (`synthesis`) and who runs them (`registry`) are layers apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sandbox.types import Kernel, Shape

TEXT_CHARS = 4000
"""The longest text in a row, in characters: the host cuts."""
NUMBER_MOST = 1e9
"""The largest magnitude of a number in a row."""
SOURCE_CHARS = 4000
"""The longest source of a kernel, in characters."""
WEIGHT_MOST = 4.0
"""The largest weight a row may be given; the least is 0."""
CELLS_MOST = 4
"""How many cells an objective may have."""


class Field(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    """An int or a finite float."""
    MAYBE = "maybe"
    """A number, or None for "cannot say"."""
    TRUTH = "truth"
    TEXTS = "texts"
    """A list of texts."""


ROW: Mapping[str, Field] = {
    "id": Field.TEXT,
    "prompt": Field.TEXT,
    "text": Field.TEXT,
    "score": Field.MAYBE,
    "cell": Field.TEXT,
    "level": Field.NUMBER,
    "tokens": Field.NUMBER,
    "tags": Field.TEXTS,
    "same": Field.NUMBER,
    "of": Field.NUMBER,
}
"""One experience: its task's id, last user turn, cell and level; its solution's text and tokens; score and tags.

``of`` counts the batch's rows of the same task, ``same`` those of them with the same text, this one included: a kernel
sees one row at a time, and agreement among samples is what needs no verifier.
"""

PAIR: Mapping[str, Field] = {"prompt": Field.TEXT, "completion": Field.TEXT}
"""One attempt: its task's last user turn and its solution's text, as two arguments."""

TASK: Mapping[str, Field] = {"id": Field.TEXT, "prompt": Field.TEXT, "cell": Field.TEXT, "level": Field.NUMBER}
"""One task: its last user turn is what a rewrite may change."""

CELL: Mapping[str, Field] = {
    "cell": Field.TEXT,
    "ability": Field.TEXT,
    "direction": Field.TEXT,
    "level": Field.NUMBER,
    "score": Field.MAYBE,
    "low": Field.NUMBER,
    "high": Field.NUMBER,
    "n": Field.NUMBER,
    "latent": Field.MAYBE,
    "chance": Field.NUMBER,
    "finite": Field.TRUTH,
    "trend": Field.NUMBER,
    "drop": Field.NUMBER,
    "tries": Field.NUMBER,
    "progress": Field.MAYBE,
    "weight": Field.NUMBER,
    "target": Field.NUMBER,
    "provable": Field.NUMBER,
    "open": Field.TRUTH,
}
"""One cell of the history, named as in `metaevo.history.CellState`; ``open`` is "`closed_because` says nothing"."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One kind of kernel. ``takes`` are the names of its arguments, ``many`` says that it gets a list of records.

    ``slot`` is where a module with such a kernel belongs, ``promise`` what is asked of the value, for whoever writes.
    """

    kind: str
    slot: str
    takes: tuple[str, ...]
    fields: Mapping[str, Field]
    returns: Shape
    promise: str
    many: bool = False

    @property
    def signature(self) -> str:
        """Return the line a kernel begins with, without its colon."""
        return f"def {self.kind}({', '.join(self.takes)})"

    def kernel(self, source: str) -> Kernel:
        """Return the kernel a sandbox runs."""
        return Kernel(source, self.kind, self.returns)


CONTRACTS: Mapping[str, Contract] = {
    made.kind: made
    for made in (
        Contract("keep", "refinement", ("row",), ROW, Shape.TRUTH, promise="True keeps the row"),
        Contract(
            "weight",
            "refinement",
            ("row",),
            ROW,
            Shape.NUMBER,
            promise=f"the row's weight, from 0 to {WEIGHT_MOST:g}; 0 drops",
        ),
        Contract(
            "score", "feedback", ("prompt", "completion"), PAIR, Shape.NUMBER, promise="how good it is, from 0 to 1"
        ),
        Contract(
            "order",
            "refinement",
            ("rows",),
            ROW,
            Shape.INDICES,
            promise="every index of rows once, first to last",
            many=True,
        ),
        Contract(
            "rewrite", "tasks", ("task",), TASK, Shape.OBJECT, promise='a dict with the new text: {"prompt": "..."}'
        ),
        Contract(
            "choose",
            "objective",
            ("cells",),
            CELL,
            Shape.INDICES,
            promise=f"at most {CELLS_MOST} different indices of cells, best first; those of another ability, direction "
            "or finiteness than the first are left out",
            many=True,
        ),
    )
}
"""Every kind of kernel by the name of its function."""
