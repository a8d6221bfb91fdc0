"""A proposal on one tier of the sandbox: what its functions give, and whose fault it is where they give nothing.

The look at the source is by tokens: nothing of a proposal is parsed or imported here. It is a rule of style; what a
kernel may reach is the sandbox's matter.
"""

import io
import token
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, replace

from metaevo.errors import SandboxUnavailable
from metaevo.kernels import SOURCE_CHARS
from metaevo.registry.generated import FORMS, Code
from metaevo.registry.generated_rows import SHAPES, fault_of
from metaevo.synthesis.refusals import Rejected, RejectReason
from objectives.types import Json
from sandbox import look
from sandbox.errors import BadKernel, Unavailable
from sandbox.errors import Refused as TierRefused
from sandbox.handle import run_patiently
from sandbox.types import ALLOWED_IMPORTS, Kernel, Result, Row, Sandbox, Shape, Verdict

FORBIDDEN = frozenset(
    {"eval", "exec", "compile", "open", "input", "breakpoint", "globals", "locals", "vars", "memoryview"}
    | {"getattr", "setattr", "delattr"}
)
"""Built-in names that no function of plain rows needs; as attributes (`re.compile`) they are others."""
ENDS = {
    Verdict.TIMEOUT: RejectReason.TIME,
    Verdict.OOM: RejectReason.MEMORY,
    Verdict.OVERFLOW: RejectReason.OUTPUT,
    Verdict.CRASH: RejectReason.CRASHES,
    Verdict.POLICY_VIOLATION: RejectReason.REACHES,
}
PROBE = """

def metaevo_probe(*row):
    value = {function}(*row)
    return isinstance(value, float) and (value != value or value in (float("inf"), -float("inf")))
"""
DECOYS = ("answer", "answers", "reference", "expected", "target", "label", "solution_reference", "gold")


@dataclass(frozen=True, slots=True)
class Bench:
    """One proposal and where it is tried."""

    code: Code
    sandbox: Sandbox

    def look(self) -> None:
        """Look at the source.

        Raises:
            Rejected: It is not text or too long, imports or names what it may not, or lacks a function.
        """
        source = self.code.source
        odd = next((c for c in source if c == "\0" or "\ud800" <= c <= "\udfff"), None)
        if odd is not None:
            raise Rejected(RejectReason.NO_TEXT, f"it holds {odd!a}")
        if len(source) > SOURCE_CHARS:
            raise Rejected(
                RejectReason.TOO_LONG, f"{len(source)} characters, at most {SOURCE_CHARS}", {"chars": len(source)}
            )
        imported = look.refused(source, ALLOWED_IMPORTS)
        if imported:
            raise Rejected(RejectReason.IMPORTS, f"{imported}; allowed: {', '.join(sorted(ALLOWED_IMPORTS))}")
        defined = set()
        for line, before, name in _names(source):
            if (name in FORBIDDEN and before != ".") or (name.startswith("__") and name.endswith("__")):
                raise Rejected(RejectReason.NAMES, f"line {line}: {name}")
            if before == "def":
                defined.add(name)
        for function in FORMS[self.code.slot, self.code.kind].functions:
            if function not in defined:
                raise Rejected(RejectReason.NO_FUNCTION, f"no function {function!r}")

    def run(
        self, function: str, rows: Sequence[Row], *, source: str | None = None, shape: Shape | None = None
    ) -> Result:
        """Return what the sandbox says of one function, or of another source's.

        Raises:
            SandboxUnavailable: Infrastructure failed; nothing was learnt.
        """
        kernel = Kernel(self.code.source, function, SHAPES.get(function, Shape.TRUTH))
        try:
            return run_patiently(self.sandbox, kernel, rows)
        except (Unavailable, TierRefused, BadKernel) as error:  # rows of ours that cannot be sent are no fault of its
            raise SandboxUnavailable(str(error)) from error

    def values(self, function: str, rows: Sequence[Row]) -> tuple[Json, ...]:
        """Return one value per row, each of its shape and within its slot's bounds.

        Raises:
            Rejected: It ended in another way, or a value is none.
        """
        result = self.run(function, rows)
        if result.verdict is not Verdict.OK or result.values is None:
            raise self.ended(function, rows, result)
        for i, (row, value) in enumerate(zip(rows, result.values, strict=True)):
            said = fault_of(self.code.slot, function, row, value)
            if said is not None:
                long = "characters" in said
                raise Rejected(
                    RejectReason.OUTPUT if long else RejectReason.OUT_OF_BOUNDS, f"{function} of row {i}: {said}"
                )
        return result.values

    def ended(self, function: str, rows: Sequence[Row], result: Result) -> Rejected:
        """Return the refusal that a verdict is."""
        note = f"{function}: {' '.join(result.note.split())[:200]}"
        if result.verdict is Verdict.PROTOCOL_VIOLATION:
            found = variant(self, tail=PROBE.format(function=function)).run("metaevo_probe", rows)
            odd = sum(found.values) if found.verdict is Verdict.OK and found.values else 0
            if odd:
                return Rejected(RejectReason.NOT_FINITE, f"{function}: for {odd} of {len(rows)} rows", {"rows": odd})
            return Rejected(RejectReason.WRONG_TYPE, f"{function} promises {SHAPES[function]}; {note}")
        if result.verdict is Verdict.CRASH and self.run(function, add_decoys(rows, True)).verdict is Verdict.OK:
            return Rejected(
                RejectReason.LOOKS_FOR_ANSWERS, f"it runs only where a row has a field such as {DECOYS[0]!r}; {note}"
            )
        return Rejected(ENDS[result.verdict], note, {"seconds": round(result.seconds, 3)})


def _names(source: str) -> list[tuple[int, str, str]]:
    """Return (line, the word before, name) of every name in a source, up to where it stops being Python."""
    found, before = [], ""
    try:
        for word in tokenize.generate_tokens(io.StringIO(source).readline):
            if word.type == token.NAME:
                found.append((word.start[0], before, word.string))
            before = word.string
    except (tokenize.TokenError, SyntaxError):
        pass
    return found


def add_decoys(rows: Sequence[Row], right: bool) -> list[list[Json]]:
    """Return the rows with fields that an answer could have; they hold the solution itself, or another text."""

    def field(value: Json) -> Json:
        if isinstance(value, list):
            return [field(item) for item in value]
        if not isinstance(value, dict):
            return value
        said = value.get("text", value.get("prompt", "")) if right else "?"
        return dict.fromkeys(DECOYS, said) | value

    return [[field(value) for value in row] for row in rows]


def variant(bench: Bench, head: str = "", tail: str = "") -> Bench:
    """Return the bench with lines before and after the source: the same kernel in another interpreter."""
    return replace(bench, code=replace(bench.code, source=f"{head}{bench.code.source}{tail}"))
