"""`use = "dataset"`: a JSONL file with a column for the prompt and one for the answer, and a reward by name.

    [environments.support]
    use = "dataset"
    path = "data/support.jsonl"
    prompt = "question"                 # column names; these are the defaults: prompt, answer, level, group
    answer = "answer"                   # and group: the document or world that rows share, where they share one
    reward = "exact"                    # exact | numeric | regex
    pattern = 'answer:\\s*(.+)'          # regex: its first group is compared with the answer

exact compares after folding white space; numeric compares the last number of the completion within 1e-6.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from objectives.environment import BadEnvironment, Program, Row, identity, own_answer
from objectives.types import Direction, JsonValue

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
MOST_BYTES = 1 << 20
"""Bytes of one line: a longer one is a broken file."""


def load(name: str, options: Mapping[str, JsonValue], folder: Path) -> Program:
    """Return the environment a JSONL file and a reward's name describe.

    Raises:
        BadEnvironment: The file is missing or a line is broken; the message names the file, the line and the fault.
    """
    if "path" not in options:
        raise BadEnvironment(f"environments.{name}", 'use = "dataset" needs path = "FILE.jsonl"')
    path = folder / str(options["path"])
    if not path.is_file():
        raise BadEnvironment(f"environments.{name}.path", f"no file {path}", given=repr(str(options["path"])))
    columns = {key: str(options.get(key, key)) for key in ("prompt", "answer", "level", "group")}
    kind = str(options.get("reward", "exact"))
    reward = _reward(name, kind, options)
    rows = tuple(_rows(name, path, columns, kind))
    said = repr(sorted(options.items())) + ("group" if any("group" in row for row in rows) else "")
    return Program(
        name=name,
        ability="other",
        direction=Direction.PERFORMANCE,
        levels=tuple(sorted({row["level"] for row in rows})),
        reward=reward,
        version=hashlib.blake2b(path.read_bytes() + said.encode(), digest_size=8).hexdigest(),
        rows=rows,
        judged=kind == "judge",
    )


def _rows(name: str, path: Path, columns: Mapping[str, str], kind: str) -> list[Row]:
    rows: list[Row] = []
    seen: dict[str, tuple[int, Any]] = {}
    for number, line in enumerate(path.open("rb"), 1):
        at = f"environments.{name}: {path.name}:{number}"
        if not line.strip():
            continue
        if len(line) > MOST_BYTES:
            raise BadEnvironment(at, f"{len(line)} bytes on one line, at most {MOST_BYTES}")
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadEnvironment(at, f"no JSON ({error})") from error
        rows.append(_row(at, data, columns, kind))
        text = identity(rows[-1])
        first = seen.setdefault(text, (number, rows[-1]["answer"]))
        if first[1] != rows[-1]["answer"]:
            raise BadEnvironment(at, f"the same prompt as line {first[0]} with another answer")
    if not rows:
        raise BadEnvironment(f"environments.{name}", f"{path} holds no rows")
    if len(seen) == 1 and len(rows) > 1:
        raise BadEnvironment(f"environments.{name}", f"{path} asks the same question in all {len(rows)} lines")
    return rows


def _row(at: str, data: object, columns: Mapping[str, str], kind: str) -> Row:
    if not isinstance(data, dict):
        raise BadEnvironment(at, f"want an object with {columns['prompt']} and {columns['answer']}, got {data!r:.80}")
    if columns["prompt"] not in data:
        raise BadEnvironment(at, f"no {columns['prompt']!r}", f"columns are {', '.join(data) or 'none'}")
    if data[columns["prompt"]] in (None, "", [], {}):
        raise BadEnvironment(at, f"{columns['prompt']!r} is empty")
    if columns["answer"] not in data:
        raise BadEnvironment(at, f"no {columns['answer']!r}", f"columns are {', '.join(data)}")
    row = {"prompt": data[columns["prompt"]], "answer": data[columns["answer"]]}
    _refuse_nan(at, columns["answer"], row["answer"])
    try:
        empty = not identity(row)
        (own_answer(row) or "").encode()
    except BadEnvironment as error:
        raise error.inside(at) from error
    except UnicodeEncodeError as error:
        raise BadEnvironment(at, f"{columns['answer']} holds half of a surrogate pair ({error.reason})") from error
    if empty:
        raise BadEnvironment(at, f"{columns['prompt']!r} is empty, only white space")
    if kind == "numeric" and _as_number(row["answer"]) is None:
        raise BadEnvironment(at, f'reward = "numeric" needs a number as {columns["answer"]}, got {row["answer"]!r:.80}')
    level = data.get(columns["level"], 1)
    if isinstance(level, bool) or not isinstance(level, int) or level < 0:
        raise BadEnvironment(at, f"{columns['level']} must be a whole number, got {level!r}")
    return row | {"level": level} | _group(at, columns["group"], data.get(columns["group"]))


def _group(at: str, column: str, group: object) -> Row:
    if isinstance(group, bool) or not isinstance(group, str | int | None):
        raise BadEnvironment(at, f"{column} must be a text or a whole number, got {group!r:.80}")
    return {} if group in (None, "") else {"group": str(group)}


def _refuse_nan(at: str, column: str, answer: JsonValue) -> None:
    try:
        json.dumps(answer, allow_nan=False)
    except ValueError as error:  # Python reads it as a number; it equals nothing, itself not either
        raise BadEnvironment(at, f"{column} holds NaN or an infinity, which is no answer") from error


def _reward(name: str, kind: str, options: Mapping[str, JsonValue]) -> Callable[..., float | None]:
    if kind == "exact":
        return _exact
    if kind == "numeric":
        return _numeric
    if kind == "judge":
        return lambda _completion, **_row: None
    if kind != "regex":
        raise BadEnvironment(f"environments.{name}.reward", "", "want exact, numeric, regex or judge", given=repr(kind))
    try:
        pattern = re.compile(str(options["pattern"]))
    except (KeyError, re.error) as error:
        raise BadEnvironment(f"environments.{name}.pattern", f'reward = "regex" needs a valid one ({error})') from error

    def _matched(completion: str, answer: object, **_row: object) -> float:
        found = pattern.search(completion)
        return float(found is not None and _fold(found.group(found.lastindex or 0)) == _fold(str(answer)))

    return _matched


def _exact(completion: str, answer: object, **_row: object) -> float:
    return float(_fold(completion) == _fold(answer if isinstance(answer, str) else json.dumps(answer, sort_keys=True)))


def _numeric(completion: str, answer: object, **_row: object) -> float:
    found, right = NUMBER.findall(completion.replace(",", "")), _as_number(answer)
    near = bool(found) and right is not None and math.isclose(float(found[-1]), right, rel_tol=1e-9, abs_tol=1e-6)
    return float(near)


def _as_number(answer: object) -> float | None:
    """Return an answer's number, None where it is none (or too large to be compared)."""
    text = str(answer).replace(",", "").strip()
    value = float(text) if NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _fold(text: str) -> str:
    return " ".join(text.split())
