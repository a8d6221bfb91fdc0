"""One environment is one Python file (or one adapter). This file reads it; only the grader pool calls it.

A file exports `rows` (finite: a list of dicts with `prompt`, optional `answer`, `level`, `id`, `reference`, `group`) or
`make(seed, index, level) -> dict` (endless, a pure function), and `reward(completion, **row) -> float | None`.

Optional: ABILITY, DIRECTION, LEVELS, PASS_MARK (1.0), TIMEOUT_S (2), ALPHABET (the characters an answer may
hold: anything else scores 0 before the reward is called), ANSWER_TOKENS, `read(text) -> dict | None` (the row
of a task text that somebody else posed), MISTAKES (a dict of a name and `wrong(**row) -> str`: the answer a
well-known wrong procedure gives; diagnosis names weaknesses with it).

`prompt` is a string or a list of {"role", "content"}. A row's own right answer is `reference`, else `answer`
(as JSON where it is not a string). A reward that executes text takes a parameter `run` (`objectives.running.Run`):
the host's sandbox, the only place where unread programs run.
"""

import ast
import hashlib
import importlib.util
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from objectives.errors import WrongInput
from objectives.running import NoSandbox, Run
from objectives.splits import canonical
from objectives.types import Direction, Message, Messages

Row = dict[str, Any]
MADE = re.compile(r"made:(?P<seed>-?[0-9]{1,20}):(?P<index>[0-9]{1,20})")
NAMED = re.compile(r"\w[\w.-]{0,99}(/\w[\w.-]{0,99}){0,3}")
"""A file's name in an environment's source, with folders or not."""
KEPT = re.compile(r"row:(?P<index>[0-9]{1,20})")

NUMPY_BOOLS = (("numpy", "bool"), ("numpy", "bool_"))
"""numpy's truth values, which its numbers' abstract classes leave out. Named, so that numpy need not be there."""


class BadEnvironment(WrongInput):
    """An environment's file or options are wrong; the message names the place and the way out."""


@dataclass(frozen=True, slots=True)
class Program:
    """An environment's code, loaded. It lives in a grader process and nowhere else."""

    name: str
    ability: str
    direction: Direction
    levels: tuple[int, ...]
    reward: Callable[..., float | None]
    version: str
    rows: tuple[Row, ...] | None = None
    make: Callable[[int, int, int], Row] | None = None
    read: Callable[[str], Row | None] | None = None
    mistakes: Mapping[str, Callable[..., str]] = field(default_factory=dict)
    pass_mark: float = 1.0
    timeout_s: float = 2.0
    alphabet: str | None = None
    answer_tokens: int | None = None
    judged: bool = False
    runs: bool = False
    """Whether the reward executes text, that is, takes a parameter `run`."""
    first: tuple[int, ...] = ()
    """The places of the rows whose text no row before them has: a text is one item, whatever its level."""

    def __post_init__(self) -> None:
        """Find the first row of each text."""
        seen: dict[str, int] = {}
        for index, row in enumerate(self.rows or ()):
            seen.setdefault(identity(row), index)
        object.__setattr__(self, "first", tuple(seen.values()))

    def row(self, origin: str, level: int, text: str) -> Row:
        """Return the row a task came from (``made:SEED:INDEX``, ``row:INDEX`` or ``posed``).

        Raises:
            BadEnvironment: The origin cannot be read back.
        """
        found = None
        if self.make is not None and (made := MADE.fullmatch(origin)):
            found = self.make(int(made["seed"]), int(made["index"]), level)
        elif self.rows is not None and (kept := KEPT.fullmatch(origin)) and int(kept["index"]) < len(self.rows):
            found = self.rows[int(kept["index"])]
        elif origin == "posed" and self.read is not None:
            found = self.read(text)
        if found is None:
            raise BadEnvironment(f"environment {self.name}", f"no row for origin {origin!r} and text {text[:80]!r}")
        return found

    def score(self, row: Row, completion: str, run: Run | None = None) -> float | None:
        """Return the reward of ``completion``, in [0, 1], or None for "cannot say".

        Raises:
            BadEnvironment: The reward is not a number in [0, 1].
            NoSandbox: The reward executes text and there is no sandbox.
        """
        if self.alphabet is not None and not set(completion.strip()) <= set(self.alphabet):
            return 0.0
        given = deepcopy({key: value for key, value in row.items() if key not in ("completion", "run")})
        if self.runs:
            if run is None:
                raise NoSandbox(f"environment {self.name}: its reward executes text and nobody gave it a sandbox")
            given["run"] = run
        value = self.reward(completion, **given)
        if value is None:
            return None
        number = as_number(value)
        if number is None or not 0.0 <= number <= 1.0:
            raise BadEnvironment(
                f"environment {self.name}", f"reward() gave {value!r:.80}, want a number in [0, 1] or None"
            )
        return number


def as_number(value: object) -> float | None:
    """Return the number a reward gave: Python's own, a bool, or one of numpy's; None where it is none of them."""
    if isinstance(value, Real):
        return float(value)
    kind = type(value)
    return float(bool(value)) if (kind.__module__, kind.__name__) in NUMPY_BOOLS else None


def messages(prompt: str | Sequence[Mapping[str, str]]) -> Messages:
    """Return a row's `prompt` as messages; a plain string is one user turn.

    Raises:
        BadEnvironment: It is neither a string nor a list of {role, content}, or no text that UTF-8 can hold.
    """
    turns = (Message("user", prompt),) if isinstance(prompt, str) else _turns(prompt)
    try:
        "".join(turn.content for turn in turns).encode()
    except UnicodeEncodeError as error:
        raise BadEnvironment(
            "", f"prompt holds half of a surrogate pair ({error.reason}), got {prompt!r:.120}"
        ) from error
    return turns


def _turns(prompt: Sequence[Mapping[str, str]]) -> Messages:
    try:
        turns = tuple(Message(str(turn["role"]), str(turn["content"])) for turn in prompt)
    except (TypeError, KeyError) as error:
        raise BadEnvironment(
            "", f"prompt must be a string or a list of role and content, got {prompt!r:.120}"
        ) from error
    if not turns or any(turn.role not in ("system", "user", "assistant") for turn in turns):
        raise BadEnvironment("", f"prompt needs turns with role system, user or assistant, got {prompt!r:.120}")
    return turns


def own_answer(row: Row) -> str | None:
    """Return the completion that the row itself calls right, or None where it names none."""
    if row.get("reference") is not None:
        return str(row["reference"])
    answer = row.get("answer")
    if answer is None:
        return None
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, sort_keys=True)


def identity(row: Row) -> str:
    """Return the canonical text of a row."""
    return canonical(messages(row["prompt"]))


def from_file(name: str, path: Path) -> Program:
    """Return the environment a Python file holds. It executes the file: call it in a grader process only.

    Raises:
        BadEnvironment: The file is missing, does not import or breaks the contract.
    """
    if not path.is_file():
        raise BadEnvironment(f"environment {name}", f"no file {path}")
    spec = importlib.util.spec_from_file_location(f"metaevo_environment_{name}", path)
    if spec is None or spec.loader is None:
        raise BadEnvironment(f"environment {name}", f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadEnvironment(f"environment {name}", f"{path} fails to import: {why}") from error
    return from_module(name, module, _version(path, module))


def from_module(name: str, module: ModuleType, version: str) -> Program:
    """Return the environment a loaded module exports.

    Raises:
        BadEnvironment: An export is missing or has the wrong form.
    """
    has = module.__dict__.get
    if has("reset") is not None or has("step") is not None:
        raise BadEnvironment(f"environment {name}", "reset()/step() (interactive environments) come with a later part")
    reward, rows, make = has("reward"), has("rows"), has("make")
    if not callable(reward):
        raise BadEnvironment(f"environment {name}", "export reward(completion, **row) -> float | None")
    if (rows is None) == (make is None):
        raise BadEnvironment(
            f"environment {name}", "export either rows or make(seed, index, level), not both or neither"
        )
    said = _constants(name, module)
    checked = None if rows is None else _checked_rows(name, rows)
    found = sorted({int(row.get("level", 1)) for row in checked}) if checked is not None else [1]
    return Program(
        name=name,
        ability=said.get("ABILITY", "other"),
        direction=Direction(said.get("DIRECTION", "performance")),
        levels=tuple(said.get("LEVELS", found)),
        reward=reward,
        version=version,
        rows=checked,
        make=make,
        read=said.get("read"),
        mistakes=dict(said.get("MISTAKES", {})),
        pass_mark=float(said.get("PASS_MARK", 1.0)),
        timeout_s=float(said.get("TIMEOUT_S", 2.0)),
        alphabet=said.get("ALPHABET"),
        answer_tokens=said.get("ANSWER_TOKENS"),
        runs="run" in inspect.signature(reward).parameters,
    )


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _levels(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(_whole(level) for level in value)


def _mistakes(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and callable(v) for k, v in value.items())


CONSTANTS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "ABILITY": (lambda value: isinstance(value, str) and bool(value), "a name"),
    "DIRECTION": (lambda value: value in [d.value for d in Direction], " or ".join(d.value for d in Direction)),
    "LEVELS": (_levels, "a list of whole numbers from 0 on"),
    "PASS_MARK": (lambda value: _number(value) and 0 < value <= 1, "a number above 0, at most 1"),
    "TIMEOUT_S": (lambda value: _number(value) and value > 0, "seconds above 0"),
    "ALPHABET": (lambda value: isinstance(value, str), "a string of the characters an answer may hold"),
    "ANSWER_TOKENS": (lambda value: _whole(value) and value > 0, "a whole number above 0"),
    "MISTAKES": (_mistakes, "a dict of a name and wrong(**row) -> str"),
    "read": (callable, "read(text) -> dict | None"),
    "make": (callable, "make(seed, index, level) -> dict"),
}
"""What a file may say besides its rows and its reward, when it is right, and how it is said."""


def _constants(name: str, module: ModuleType) -> dict[str, Any]:
    said = {key: module.__dict__[key] for key in CONSTANTS if module.__dict__.get(key) is not None}
    for key, value in said.items():
        fits, want = CONSTANTS[key]
        if not fits(value):
            raise BadEnvironment(f"environment {name}: {key}", "", f"want {want}", given=f"{value!r:.80}")
    return said


def _checked_rows(name: str, rows: object) -> tuple[Row, ...]:
    if not isinstance(rows, list | tuple) or not rows:
        raise BadEnvironment(f"environment {name}", "rows must be a list with at least one dict")
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or "prompt" not in row:
            raise BadEnvironment(f"environment {name}", f"rows[{index}] needs a prompt, got {row!r:.120}")
        try:
            messages(row["prompt"])
        except BadEnvironment as error:
            raise error.inside(f"environment {name}: rows[{index}]") from error
        if not _whole(row.get("level", 1)):
            raise BadEnvironment(f"environment {name}", f"rows[{index}].level must be a whole number from 0 on")
    return tuple(rows)


def _named_files(path: Path) -> list[Path]:
    """Return the files in an environment's own folder that a text in its source names, as ``words.txt`` does."""
    nodes = ast.walk(ast.parse(path.read_bytes()))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = (path.parent / text for text in sorted(texts) if NAMED.fullmatch(text))
    return [file for file in named if file.is_file() and file != path]


def _version(path: Path, module: ModuleType) -> str:
    """Return a digest of the file, of built-in helpers, of files beside it that it names, and of its rows."""
    digest = hashlib.blake2b(path.read_bytes(), digest_size=8)
    for beside in _named_files(path):
        digest.update(beside.read_bytes())
    uses = (str(getattr(value, "__module__", "")) for value in vars(module).values())
    if any(name.startswith("objectives.environments.") for name in uses):
        for helper in sorted((Path(__file__).parent / "environments").glob("_*.py")):
            digest.update(helper.read_bytes())
    rows = module.__dict__.get("rows")
    if rows is not None:
        digest.update(json.dumps(rows, sort_keys=True, default=repr).encode())
    return digest.hexdigest()
