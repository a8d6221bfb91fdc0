"""No environment is used that its audit refuses: `init` and `run` say which, and why. One version is audited once.

The built-in ones are audited by our own tests, of every version; a reward that is a model's judgement has no answers to
be audited with.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.grader import GraderPool
from metaevo.errors import BadInput, writing
from objectives.audit import Audit, audit
from objectives.finder import BUILT_IN, Source
from objectives.types import Environment, Split, Task
from services.home.home import Home

ITEMS, MOST_LEVELS = 16, 4
"""Tasks of a level, and levels, that the audit before a run looks at; `environments check` looks at more."""
KEPT = "audits.json"
"""The file of a home that keeps what was found of each version of an environment."""
MADE = 1
"""Raised when the audit looks for more: what older ones found no longer counts."""


def refuse_unfit(home: Home, pool: GraderPool, environments: Sequence[Environment], *, keep: bool = True) -> None:
    """Refuse the first environment that its audit refuses; what was found is kept by the environment's version.

    Raises:
        BadInput: An environment is not fit to be used; the sentence names the checks that it fails.
    """
    path = home.path / KEPT
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if keep and path.is_file() else {}
    sources = {source.name: source for source in pool.sources}
    for environment in environments:
        if environment.judged or _ours(sources[environment.name]):
            continue
        key = fingerprint(environment.name, environment.version, environment.levels, environment.pass_mark, MADE)
        if key not in known:
            known[key] = refusal(audited(pool, environment, _drawn(pool, environment)))
            if keep:
                with writing(path):
                    path.write_text(json.dumps(known, indent=1), encoding="utf-8")
        if known[key]:
            place = f"metaevo.toml: environments.{environment.name}" if keep else "--environment"
            said = known[key] if keep else f"{environment.name}: {known[key]}"
            checked = environment.name if keep else shlex.quote(sources[environment.name].named)
            raise BadInput(place, f"refused: {said}", f"see metaevo environments check {checked}")


def audited(pool: GraderPool, environment: Environment, tasks: Sequence[Task]) -> Audit:
    """Return the audit of an environment.

    Raises:
        BadInput: Nothing of it may be trained on, so that nothing can be looked at.
    """
    if not tasks:
        raise BadInput(f"environment {environment.name}", "no task falls into the train split", "it needs more rows")
    told = pool.on_event
    pool.on_event = lambda _code, _sentence, _data: None  # what an audit provokes is in its findings
    try:
        return audit(environment, tasks, pool.grade)
    finally:
        pool.on_event = told


def refusal(found: Audit) -> str:
    """Return the checks that refuse an environment, with their numbers; "" where it is usable."""
    return "; ".join(f"{f.name}: {f.detail}" for f in found.findings if f.severe and not f.ok)[:600]


def _drawn(pool: GraderPool, environment: Environment) -> list[Task]:
    levels = environment.levels[:: -(-len(environment.levels) // MOST_LEVELS)]
    wanted = [(environment.name, level, Split.TRAIN, 3, 0, ITEMS) for level in levels]
    return [task for drawn in pool.draw_many(wanted) for task in drawn.tasks]


def _ours(source: Source) -> bool:
    """Return whether this is an environment that ships with us, and no file of the home stands in its place."""
    mine = (Path(source.folder) / "environments" / f"{source.use}.py").is_file()
    return not mine and (BUILT_IN / f"{source.use}.py").is_file()
