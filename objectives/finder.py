"""Where environments come from: built in, the home's folder, a path, a package's entry point, or an adapter."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from objectives.environment import BadEnvironment, Program, from_file, from_module
from objectives.types import ABILITIES, Direction

BUILT_IN = Path(__file__).parent / "environments"
GROUP = "metaevo.environments"
LATER = ("verifiers", "lm_eval", "openenv")
OPTIONS = ("ability", "direction", "train", "timeout_s", "pass_mark", "levels", "answer_tokens")

SCORED = ("timeout_s", "pass_mark", "answer_tokens")
"""Options that can change a score: where one is not what the file says, the environment is another version."""


@dataclass(frozen=True, slots=True)
class Source:
    """One table ``[environments.NAME]``: what to use and how. ``folder`` is what relative paths start from."""

    name: str
    use: str
    folder: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> str:
        """Return the word that names it where no configuration does: `source_of` turned round."""
        return str(self.options["path"]) if self.use == "dataset" else self.use


def source_of(word: str, folder: Path) -> Source:
    """Return the source that a word names: a .py file, rows in a .jsonl file, a name or an adapter's NAME."""
    path = Path(word)
    if path.suffix == ".py":
        return Source(path.stem, str(path.resolve()), str(folder))
    if path.suffix == ".jsonl":
        return Source(path.stem, "dataset", str(folder), {"path": str(path.resolve())})
    return Source(word.partition(":")[2] or word, word, str(folder))


def built_in() -> list[str]:
    """Return the names of the environments in the package."""
    return sorted(path.stem for path in BUILT_IN.glob("[a-z]*.py"))


def installed(home: Path | None = None) -> dict[str, str]:
    """Return every environment that can be used by its name alone, and where it comes from."""
    found = dict.fromkeys(built_in(), "metaevo")
    if home is not None:
        found |= {path.stem: "home" for path in sorted((home / "environments").glob("[a-z]*.py"))}
    for point in entry_points(group=GROUP):
        found[point.name] = point.dist.name if point.dist is not None else point.value
    return found


def find(source: Source) -> Program:
    """Return the program a source names. It runs the environment's code: call it in a grader process only.

    Raises:
        BadEnvironment: It is missing or wrong; one line says what and where.
    """
    if source.name in ABILITIES:
        raise BadEnvironment(f"environments.{source.name}", "an ability has this name", "choose another one")
    program = _found(source)
    given = {key: source.options[key] for key in OPTIONS if source.options.get(key) is not None}
    if given.pop("train", True) is False and program.rows is None and program.read is None:
        raise BadEnvironment(
            f"environments.{source.name}.train",
            "nobody can tell which texts are its own, so none could be kept out of training",
            "give it rows or read(text), or drop train = false",
            given="False",
        )
    if "levels" in given:
        missing = sorted(set(given["levels"]) - set(program.levels))
        if missing:
            raise BadEnvironment(
                f"environments.{source.name}.levels", f"no level {missing[0]}", f"it has {list(program.levels)}"
            )
        given["levels"] = tuple(given["levels"])
    if "direction" in given:
        given["direction"] = Direction(given["direction"])
    changed = [f"{key}={given[key]!r}" for key in SCORED if key in given and given[key] != getattr(program, key)]
    version = " ".join((program.version, *changed))
    return replace(program, version=version, **given) if given else program


def _found(source: Source) -> Program:
    use, folder = source.use, Path(source.folder)
    kind, colon, rest = use.partition(":")
    if colon and kind in LATER:
        raise BadEnvironment(
            f"environments.{source.name}.use", f"the {kind} adapter comes with a later part", given=repr(use)
        )
    if colon and kind == "reasoning_gym":
        from objectives.adapters import reasoning_gym

        return reasoning_gym.load(source.name, rest)
    if colon and kind == "package":
        return _entry(source.name, rest)
    if use == "dataset":
        from objectives.adapters import dataset

        return dataset.load(source.name, source.options, folder)
    if use.endswith(".py"):
        return from_file(source.name, folder / use)
    for path in (folder / "environments" / f"{use}.py", BUILT_IN / f"{use}.py"):
        if path.is_file():
            return from_file(source.name, path)
    if use in {point.name for point in entry_points(group=GROUP)}:
        return _entry(source.name, use)
    known = installed(folder)
    close = difflib.get_close_matches(use, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    raise BadEnvironment(f"environments.{source.name}", f"no environment {use!r}", hint)


def _entry(name: str, wanted: str) -> Program:
    points = {point.name: point for point in entry_points(group=GROUP)} | {
        point.value: point for point in entry_points(group=GROUP)
    }
    point = points.get(wanted)
    if point is None:
        known = ", ".join(sorted(points)) or "none"
        raise BadEnvironment(
            f"environments.{name}", f"no installed package offers {wanted!r} in {GROUP}", f"offered: {known}"
        )
    module = point.load()
    if not isinstance(module, ModuleType):
        raise BadEnvironment(
            f"environments.{name}", f"entry point {point.value} must be a module, got {type(module).__name__}"
        )
    release = point.dist.version if point.dist is not None else "?"
    return from_module(name, module, f"{point.value} {release}")
