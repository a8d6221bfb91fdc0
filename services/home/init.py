"""How a home begins: check the base and the environments first, then write metaevo.toml with comments."""

from collections.abc import Sequence
from pathlib import Path

from metaevo.artifacts import base as bases
from metaevo.engines.base_look import look_at
from metaevo.engines.grader import GraderPool
from metaevo.errors import BadInput
from metaevo.registry.registry import Registry
from objectives.environment import BadEnvironment
from objectives.finder import source_of
from objectives.types import Cell, Environment
from services.config import read as configs
from services.home.audits import refuse_unfit
from services.home.home import Home, default_path
from services.home.margins import gate_items, proposed, toml_key
from services.home.open import gate_rules
from services.home.preflight import BUILT_IN, base_folder, check_wishes
from services.records.configuration import NewHome

FILES = (".py", ".jsonl")
"""What an environment's file ends in: a program, or rows with a prompt and an answer."""
TINY = ("addition", "letter_count", "reversal", "sorting", "extremes", "grid_navigation", "block_unstacking")


def init_home(
    home: Home, base: str, environments: list[str], goal: str | None, answer: int | None, seed: int | None
) -> NewHome:
    """Make a home and return what is in it.

    Raises:
        BadInput: The base, an environment or the goal is wrong, or there is a home already; nothing is left behind.
    """
    if not base.startswith(BUILT_IN):
        base = str(Path(base).resolve())
    chosen = environments or (list(TINY) if base.startswith(BUILT_IN) else [])
    if not chosen:
        raise BadInput("--environment", "", "name at least one, for example --environment my_environment.py")
    files = {Path(use).stem: Path(use).resolve() for use in chosen if use.endswith(FILES)}
    for path in files.values():
        if not path.is_file():
            raise BadInput("--environment", "no such file", "", given=path)
    names = [source_of(use, home.path).name for use in chosen]
    settings = configs.parse(_text(base, names, list(chosen), goal, answer, seed))
    bases.inspect(base_folder(home, settings), "--base")
    unused = () if base.startswith(BUILT_IN) else _unused_settings(Path(base))
    described, items = _described(home, chosen)
    margins = proposed(settings.wishes(), items, described, gate_rules(settings))
    text = _text(base, names, list(chosen), goal, answer, seed, margins)
    settings = configs.parse(text)
    try:
        check_wishes(settings, described, Registry(None))
    except BadInput as error:
        if error.place == "metaevo.toml: goals.mine.raise":
            raise error.at("--goal") from error
        raise
    beside = [other for path in files.values() for other in sorted(path.parent.glob(f"{path.stem}.json*"))]
    home.create(text, list(dict.fromkeys([*files.values(), *beside])))
    there = "" if home.path == default_path().expanduser().resolve() else f" --home {home.path}"
    return NewHome(
        home=str(home.path),
        base=base,
        environments=tuple(described),
        next=f"metaevo plan{there}",
        margins=tuple(f"{what} within {100 * margin:.3g} points, {why}" for what, margin, why in margins),
        unused=unused,
    )


def _unused_settings(folder: Path) -> tuple[str, ...]:
    """Return the settings of the base's own file that are not used; a base that cannot be asked is refused here."""
    try:
        return look_at(folder).unused
    except BadInput as error:
        raise error.at("--base") from error


def _described(home: Home, chosen: list[str]) -> tuple[dict[str, Environment], dict[Cell, int | None]]:
    """Return the environments as they describe themselves, from where they are now, and the gate's items of each."""
    wanted = [source_of(use, home.path) for use in chosen]
    pool = GraderPool(wanted, workers=1)
    try:
        found = {environment.name: environment for environment in pool.describe()}
        refuse_unfit(home, pool, list(found.values()), keep=False)
        return found, gate_items(pool, found)
    except BadEnvironment as error:
        raise BadInput.of(error).inside("--environment") from error
    finally:
        pool.close()


def _text(
    base: str,
    names: list[str],
    uses: list[str],
    goal: str | None,
    answer: int | None,
    seed: int | None,
    margins: Sequence[tuple[str, float, str]] = (),
) -> str:
    lines = ["# Everything about this home. `metaevo config show` prints the defaults of what is not said."]
    if seed is not None:
        lines.append(f"seed = {seed}")
    lines += ['mode = "full"                             # observe | propose | gated | full', "", "[model]"]
    lines.append(f'base = "{base}"')
    if answer is not None:
        lines.append(f"answer = {answer}                               # tokens an answer may have")
    for name, use in zip(names, uses, strict=True):
        where = f"environments/{Path(use).name}" if use.endswith(FILES) else use
        lines += ["", f"[environments.{toml_key(name)}]"]
        lines += ['use = "dataset"', f'path = "{where}"'] if use.endswith(".jsonl") else [f'use = "{where}"']
    lines += [
        "",
        "[goals.mine]",
        f'raise = "{goal or "*"}"                               # ability, environment, environment/level or *',
    ]
    lines += ["", "[protect]", '"*" = { margin = 0.03 }                   # no ability more than 3 points lower']
    lines += [f"{toml_key(what)} = {{ margin = {margin} }}                # {why}" for what, margin, why in margins]
    return "\n".join([*lines, ""])
