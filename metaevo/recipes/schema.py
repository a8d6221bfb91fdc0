"""A recipe is data: which modules fill which slots, with which knobs, in which stages. Its hash is its identity.

    name = "rft"
    [[stage]]
    rounds = 1                    # the stage's slots run that often, each round from the one before
    start = "previous"            # previous | parent | base: the weights a round starts from
    combine = "all"               # all | first | mean | product: how several feedback steps give one score
    [[stage.tasks]]
    use = "pool_sampling"
    n = 160
    [stage.solutions]
    use = "direct_sampling"
    [[stage.feedback]]
    use = "answer_check"
    [stage.update]
    use = "supervised_finetune"
    [[consolidation]]
    use = "adaptive_model_averaging"

``prior`` (0 to 9) says which untried recipe a search starts with, lower ones first; like the prose it is no part of the
hash. Nothing here can say a threshold, a seed, an item count of an examination or what is protected.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from metaevo.errors import BadInput, MetaevoError
from metaevo.registry.registry import Registry
from metaevo.registry.slots import STAGE_SLOTS

PROSE = frozenset({"name", "doc", "system", "arxiv", "observable", "faithful"})
FOLDER = Path(__file__).parent


class Step(BaseModel):
    """One module and its knobs; knobs stand beside ``use`` in TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    use: str
    knobs: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _beside(cls, data: object) -> object:
        if isinstance(data, dict) and not set(data) <= {"use", "knobs"}:
            return {"use": data.get("use"), "knobs": {k: v for k, v in data.items() if k != "use"}}
        return data


class Stage(BaseModel):
    """One pass through the slots, ``rounds`` times."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rounds: int = Field(default=1, ge=1, le=16)
    start: Literal["previous", "parent", "base"] = "previous"
    combine: Literal["all", "first", "mean", "product"] = "all"
    tasks: tuple[Step, ...] = ()
    solutions: Step | None = None
    feedback: tuple[Step, ...] = ()
    refinement: tuple[Step, ...] = ()
    stability: tuple[Step, ...] = ()
    update: Step

    def steps(self) -> Iterator[tuple[str, int, Step]]:
        """Yield (slot, position, step) in the order in which they run."""
        for slot in STAGE_SLOTS:
            value = getattr(self, slot)
            for position, step in enumerate(value if isinstance(value, tuple) else (value,) if value else ()):
                yield slot, position, step

    def map(self, change: Callable[[str, Step], Step]) -> "Stage":
        """Return the stage with every step changed; ``change`` is given its slot."""
        made: dict[str, Step | tuple[Step, ...]] = {}
        for slot in STAGE_SLOTS:
            value: Step | tuple[Step, ...] | None = getattr(self, slot)
            if isinstance(value, tuple):
                made[slot] = tuple(change(slot, step) for step in value)
            elif value is not None:
                made[slot] = change(slot, value)
        return self.model_copy(update=made)


class Recipe(BaseModel):
    """A whole recipe, complete: every knob of every step is filled in."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    doc: str = ""
    system: str = ""
    arxiv: str = ""
    observable: str = ""
    faithful: bool = False
    prior: int = Field(default=9, ge=0, le=9)
    """Which untried preset search starts with, lower ones first."""
    stage: tuple[Stage, ...] = Field(min_length=1)
    consolidation: tuple[Step, ...] = ()

    @property
    def hash(self) -> str:
        """Return the recipe's identity: what it does, not what it is called. Twelve hex digits."""
        body = self.model_dump(mode="json", exclude={*PROSE, "prior"})
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def modules(self) -> tuple[str, ...]:
        """Return ``slot.module`` for every step, in order: the combination that makes a recipe another one."""
        inside = [f"{slot}.{step.use}" for stage in self.stage for slot, _, step in stage.steps()]
        return (*inside, *(f"consolidation.{step.use}" for step in self.consolidation))

    @property
    def publishes(self) -> int:
        """Return how many generations one run of the recipe publishes."""
        return sum(stage.rounds for stage in self.stage) + len(self.consolidation)

    def filled(self, registry: Registry, place: str | None = None) -> Self:
        """Return the recipe with every knob checked and filled in, and the slots' own rules checked.

        Raises:
            BadInput: A module is unknown, a knob unknown or out of its limits, or a stage cannot run.
        """
        at = place or f"recipe {self.name}"
        stages = tuple(_filled_stage(stage, registry, f"{at}: stage {i + 1}") for i, stage in enumerate(self.stage))
        merges = tuple(_filled("consolidation", step, registry, at) for step in self.consolidation)
        return self.model_copy(update={"stage": stages, "consolidation": merges})


def _filled(slot: str, step: Step, registry: Registry, place: str) -> Step:
    module = registry.get(slot, step.use, place)
    return Step(use=step.use, knobs=module.fill(step.knobs, place))


def _filled_stage(stage: Stage, registry: Registry, place: str) -> Stage:
    full = stage.map(lambda slot, step: _filled(slot, step, registry, place))
    if registry.get("update", full.update.use, place).online:
        if full.solutions or full.refinement:
            raise BadInput(place, f"update {full.update.use!r} is online", "drop solutions and refinement")
        if not full.feedback:
            raise BadInput(place, f"update {full.update.use!r} is online", "add the feedback that rewards it")
    return full


def parse(text: str, registry: Registry, place: str) -> Recipe:
    """Return the recipe that TOML text describes, filled.

    Raises:
        BadInput: It is not TOML, has unknown keys or breaks a rule; the message names the place.
    """
    try:
        return from_data(tomllib.loads(text), registry, place)
    except MetaevoError:
        raise
    except (ValueError, RecursionError) as error:  # no TOML, a number of 5,000 digits, 20,000 brackets
        raise BadInput(place, error, "write it as TOML") from error


def from_data(data: Mapping[str, Any], registry: Registry, place: str) -> Recipe:
    """Return the recipe a plain dict describes, filled. Raises BadInput like `parse`."""
    try:
        return Recipe.model_validate(data).filled(registry, place)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Stage.model_fields) if where.startswith("stage") else ", ".join(Recipe.model_fields)
        hint = f"known: {known}" if first["type"] == "extra_forbidden" else first["msg"].lower()
        raise BadInput(f"{place}: {where}", hint, "") from error


def names(home: Path | None = None) -> dict[str, Path]:
    """Return every recipe's name and file: the presets and those in ``home/recipes``."""
    found = {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}
    if home is not None:
        found |= {path.stem: path for path in sorted((home / "recipes").glob("*.toml"))}
    return found


def load(name: str, registry: Registry) -> Recipe:
    """Return the recipe of that name or file.

    Raises:
        BadInput: There is none, or it is wrong.
    """
    known = names(registry.home)
    path = known.get(name) or (Path(name) if name.endswith(".toml") else None)
    if path is None or not path.is_file():
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}, or give a .toml file"
        raise BadInput("", f"no recipe {name!r}", hint)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(
            path.name, f"no UTF-8 text ({error.reason} at byte {error.start})", "save it as UTF-8"
        ) from error
    return parse(text, registry, str(path.name))
