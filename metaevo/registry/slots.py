"""The nine slots of the survey's cycle, and how a plain function becomes a module of one.

    f_T  tasks          Tasks       -> Tasks         0..n, chained
    f_Y  solutions      Tasks       -> Attempts      0..1 (absent: the tasks' references)
    f_F  feedback       Attempts    -> Experiences   0..n on the same attempts
    f_R  refinement     Experiences -> Experiences   0..n, chained
    f_U  stability      TrainSpec   -> TrainSpec     0..n, chained
    f_U  update         Experiences -> Generation    1 (offline), or Tasks -> Generation (online)
    f_U  consolidation  Generation  -> Generation    0..n after the last stage
    f_E  evaluation     Generation  -> Report        fixed by the host, never in a recipe
    f_E  objective      History     -> Objective     fixed by the operator's setting, never in a recipe

The batch is the first parameter. Keyword-only parameters are effects (annotated with a type of
`metaevo.effects`, injected) or knobs: numbers ``Annotated[int, Knob(1, 16)] = 4``, ``Literal`` and ``bool``.
The signature is the configuration, the search space, the documentation row and the command line.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from metaevo.effects import EFFECTS, Weights
from metaevo.errors import BadInput, ModuleFailed
from metaevo.history import History
from metaevo.traits import Trait
from metaevo.types import Attempts, Experiences, Generation, Knob, Tasks, TrainSpec
from objectives.types import Objective, Report

TAKES: Mapping[str, tuple[Any, ...]] = {
    "tasks": (Tasks,),
    "solutions": (Tasks,),
    "feedback": (Attempts,),
    "refinement": (Experiences,),
    "stability": (TrainSpec,),
    "update": (Experiences, Tasks),
    "consolidation": (Generation,),
    "evaluation": (Generation,),
    "objective": (History,),
}
GIVES: Mapping[str, Any] = {
    "tasks": Tasks,
    "solutions": Attempts,
    "feedback": Experiences,
    "refinement": Experiences,
    "stability": TrainSpec,
    "update": Generation,
    "consolidation": Generation,
    "evaluation": Report,
    "objective": Objective,
}
SLOTS: tuple[str, ...] = tuple(TAKES)
RECIPE_SLOTS: tuple[str, ...] = SLOTS[:7]
STAGE_SLOTS: tuple[str, ...] = RECIPE_SLOTS[:6]
"""Those of one stage, in the order in which they run; consolidation comes after the last one."""


@dataclass(frozen=True, slots=True)
class Module:
    """One function, read: what it needs, what can be set, where it came from."""

    slot: str
    name: str
    call: Callable[..., Any]
    effects: Mapping[str, type]
    knobs: type[BaseModel]
    space: Mapping[str, Knob | tuple[Any, ...]]
    path: Path
    digest: str
    doc: str
    online: bool = False
    traits: frozenset[Trait] = frozenset()

    @property
    def procedure(self) -> bool:
        """Return whether it is an update that changes how the model answers and trains nothing."""
        return self.slot == "update" and not self.online and Weights not in self.effects.values()

    def fill(self, given: Mapping[str, Any], place: str) -> dict[str, Any]:
        """Return all knobs, given ones checked and the rest at their defaults.

        Raises:
            BadInput: A knob is unknown or out of its limits; the message names it, its value and the limits.
        """
        try:
            return self.knobs(**given).model_dump()
        except ValidationError as error:
            raise _bad_knob(self, given, error, place) from error


def read(slot: str, name: str, call: Callable[..., Any], path: Path, digest: str, said: Iterable[str] = ()) -> Module:
    """Return the module that ``call`` is; ``said`` are the traits its file declares.

    Raises:
        ModuleFailed: The signature breaks the slot's contract, or a trait is unknown; the sentence says how.
    """
    at = f"{slot}.{name}"
    try:
        hints = get_type_hints(call, include_extras=True)
    except Exception as error:
        raise ModuleFailed(f"{at}: an annotation cannot be read: {type(error).__name__}: {error}") from error
    parameters = list(inspect.signature(call).parameters.values())
    if not parameters:
        raise ModuleFailed(f"{at}: the batch must be the first parameter")
    takes, gives = hints.get(parameters[0].name), hints.get("return")
    if takes not in TAKES[slot] or gives != GIVES[slot]:
        want = " or ".join(_short(kind) for kind in TAKES[slot])
        raise ModuleFailed(f"{at}: must map {want} to {_short(GIVES[slot])}, got {_short(takes)} to {_short(gives)}")
    effects: dict[str, type] = {}
    fields: dict[str, Any] = {}
    space: dict[str, Knob | tuple[Any, ...]] = {}
    for parameter in parameters[1:]:
        hint = hints.get(parameter.name)
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise ModuleFailed(f"{at}: parameter {parameter.name!r} must be keyword-only")
        if hint in EFFECTS:
            effects[parameter.name] = hint
        else:
            fields[parameter.name], space[parameter.name] = _knob(at, parameter, hint)
    try:
        knobs = create_model(f"{name}_knobs", __config__=ConfigDict(frozen=True, extra="forbid"), **fields)
    except Exception as error:
        raise ModuleFailed(f"{at}: its knobs cannot be fields: {' '.join(str(error).split())[:200]}") from error
    doc = inspect.getdoc(inspect.getmodule(call)) or inspect.getdoc(call) or ""
    online = slot == "update" and takes == Tasks
    return Module(
        slot=slot,
        name=name,
        call=call,
        effects=effects,
        knobs=knobs,
        space=space,
        path=path,
        digest=digest,
        doc=doc,
        online=online,
        traits=_traits(at, said),
    )


def _traits(at: str, said: object) -> frozenset[Trait]:
    if isinstance(said, str) or not isinstance(said, Iterable):
        raise ModuleFailed(f"{at}: TRAITS = {said!r:.60}: want a tuple of traits, like (Trait.CHOOSES,)")
    known = {str(trait): trait for trait in Trait}
    names = [str(name) for name in said]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean Trait.{known[close[0]].name}?" if close else f"known: {', '.join(known)}"
            raise ModuleFailed(f"{at}: TRAITS: unknown trait {name!r:.60}; {hint}")
    return frozenset(known[name] for name in names)


def _knob(at: str, parameter: inspect.Parameter, hint: object) -> tuple[Any, Knob | tuple[Any, ...]]:
    if parameter.default is inspect.Parameter.empty:
        raise ModuleFailed(f"{at}: knob {parameter.name!r} needs a default (or is not a known effect: {hint!r})")
    if hint is bool:
        return (bool, Field(default=parameter.default, strict=True)), (False, True)
    if get_origin(hint) is Literal:
        return (hint, Field(default=parameter.default)), get_args(hint)
    marks = [extra for extra in get_args(hint)[1:] if isinstance(extra, Knob)] if get_origin(hint) is Annotated else []
    kind = get_args(hint)[0] if marks else None
    if kind not in (int, float):
        raise ModuleFailed(f"{at}: knob {parameter.name!r} must be Annotated[int or float, Knob(...)], Literal or bool")
    knob = marks[0]
    least = knob.low if knob.least is None else knob.least
    most = knob.high if knob.most is None else knob.most
    if not least <= knob.low <= knob.high <= most or not least <= parameter.default <= most:
        raise ModuleFailed(f"{at}: knob {parameter.name!r}: want least <= low <= high <= most and a default inside")
    return (kind, Field(default=parameter.default, ge=least, le=most, allow_inf_nan=False)), knob


def limits(knob: Knob | tuple[Any, ...]) -> str:
    """Return what a knob may be, as a person reads it."""
    if isinstance(knob, tuple):
        return ", ".join(str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in knob)
    least = knob.low if knob.least is None else knob.least
    most = knob.high if knob.most is None else knob.most
    return f"{least:g} to {most:g}"


def _short(kind: Any) -> str:
    names = {Tasks: "Tasks", Attempts: "Attempts", Experiences: "Experiences"}
    try:
        return names.get(kind) or str(getattr(kind, "__name__", kind))
    except TypeError:
        return str(kind)


def _bad_knob(module: Module, given: Mapping[str, Any], error: ValidationError, place: str) -> BadInput:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    at = f"{place}: {module.slot}.{module.name}.{name}"
    if first["type"] == "extra_forbidden":
        known = list(module.knobs.model_fields)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"
        return BadInput(at, "", f"unknown knob, {hint}", given=repr(given[name]))
    return BadInput(at, "", f"want {limits(module.space[name])}", given=repr(given.get(name)))
