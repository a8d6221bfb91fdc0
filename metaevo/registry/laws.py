"""One law-book for every module, whoever wrote it: us, an operator, a package's author, or the system itself.

LAWS bind everybody; HOUSE_STYLE binds only our tree. Each check returns None or one sentence that says what is
wrong. Modules that ask for `Weights` run in an engine and are held to the laws on their signature only; so are those
that ask for `Run`: admission tries them with a sandbox (`with_sandbox`), and what it admitted is sealed.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from metaevo import testing
from metaevo.effects import (
    Archive,
    Exam,
    Fitness,
    Past,
    Policies,
    Policy,
    Prompts,
    Reference,
    Reward,
    Run,
    Start,
    Weights,
)
from metaevo.errors import ModuleFailed, SandboxUnavailable
from metaevo.history import CellState, History
from metaevo.prompts import load as load_dialect
from metaevo.registry.reach import reached
from metaevo.registry.registry import Registry
from metaevo.registry.slots import SLOTS, Module
from metaevo.traits import Trait
from metaevo.types import Generation, Knob, TrainSpec
from objectives.types import Cell, Direction, Report, Split

MOST_LINES = 150
CITED = re.compile(r"arXiv:\d{4}\.\d{4,5}|survey section|Oudeyer")


@dataclass(frozen=True, slots=True)
class Law:
    """One law: its name and the check."""

    name: str
    check: Callable[[Module], str | None]


def batch_for(slot: str) -> Any:
    """Return a small batch of the kind a slot's modules take."""
    rows = tuple(
        testing.experience(text, score, task, verdict)
        for task in (testing.TASK, testing.OTHER)
        for text, score, verdict in (("42", 1.0, "pass"), ("41", 0.5, "fail"), ("333", 0.9, "fail"), ("4", 0.0, "fail"))
    )
    cells = tuple(
        CellState(
            Cell("addition", level),
            ability="math",
            direction=Direction.PERFORMANCE,
            score=0.4,
            low=0.3,
            high=0.5,
            n=64,
            latent=0.8,
            chance=0.05,
            finite=False,
            provable=0.05,
        )
        for level in (2, 3)
    )
    batches: dict[str, Any] = {
        "tasks": (testing.TASK, testing.OTHER),
        "solutions": (testing.TASK, testing.OTHER),
        "feedback": tuple(row.attempt for row in rows),
        "refinement": rows,
        "stability": TrainSpec(),
        "update": rows,
        "consolidation": Generation("g000001", "g000000", {"policy": "p"}),
        "evaluation": Generation("g000001", "g000000", {"policy": "p"}),
        "objective": History(cells),
    }
    return batches[slot]


def effects_for(module: Module) -> dict[str, Any]:
    """Return small real effects for what a module asks for."""
    rows = batch_for("refinement")
    echo = testing.EchoPolicy()
    offered: dict[Any, Callable[[], Any]] = {
        Policy: lambda: echo,
        Policies: lambda: lambda _which: echo,
        Reward: testing.KnownReward,
        Reference: testing.KnownReference,
        Prompts: lambda: load_dialect("tiny"),
        Past: lambda: testing.FewRows(rows),
        Archive: lambda: testing.FewRows(rows),
        Start: testing.SmallStart,
        Exam: _SmallExam,
        Random: lambda: Random(7),
    }
    return {name: offered[kind]() for name, kind in module.effects.items() if kind in offered}


class _SmallExam:
    """`Exam` over the sample tasks."""

    tasks = (testing.TASK, testing.OTHER)

    def answer(self, generation: Generation, tasks: Any) -> Any:
        return tuple(testing.attempt("42", task) for task in tasks)

    def grade(self, generation: Generation, attempts: object) -> Report:
        return Report(generation.id, Split.PROBE, ())


def _runs(module: Module, batch: object) -> Any:
    return module.call(batch, **effects_for(module), **module.knobs().model_dump())


def _elsewhere(module: Module) -> bool:
    return bool({Weights, Fitness, Run} & set(module.effects.values()))


def with_sandbox(module: Module, run: Run) -> Module:
    """Return the module with its sandbox already given, so that every law can try it here."""
    asked = {name: run for name, kind in module.effects.items() if kind is Run}
    rest = {name: kind for name, kind in module.effects.items() if kind is not Run}
    return replace(module, call=partial(module.call, **asked), effects=rest)


def is_pure(module: Module) -> str | None:
    """A module leaves its batch as it was."""
    batch = batch_for(module.slot)
    before = deepcopy(batch)
    _runs(module, batch)
    return None if batch == before else "it changed its batch"


def repeats_itself(module: Module) -> str | None:
    """A module gives the same for the same batch, knobs and random stream."""
    batch = batch_for(module.slot)
    return None if _runs(module, batch) == _runs(module, batch) else "it gave two answers for one batch and one stream"


def takes_an_empty_batch(module: Module) -> str | None:
    """A module whose batch is a list accepts an empty one."""
    if isinstance(batch_for(module.slot), tuple) and module.slot != "update":
        made = _runs(module, ())
        return None if isinstance(made, tuple) else f"it gave {type(made).__name__} for an empty batch"
    return None


def knobs_round_trip(module: Module) -> str | None:
    """A module's knobs survive JSON."""
    knobs = module.knobs()
    same = module.knobs.model_validate_json(knobs.model_dump_json()) == knobs
    return None if same else "its knobs change on the way through JSON"


def search_space_is_legal(module: Module) -> str | None:
    """Both ends of every searched knob are values a recipe may have."""
    for name, knob in module.space.items():
        if isinstance(knob, Knob):
            whole = module.knobs.model_fields[name].annotation is int
            for edge in (knob.low, knob.high):
                module.knobs.model_validate({name: int(edge) if whole else edge})
    return None


def groups_may_be_permuted(module: Module) -> str | None:
    """Which group of rows comes first does not change what becomes of a group (grouping is by task id)."""
    random = set(module.effects.values()) & {Random, Archive, Past, Policy}
    batch = batch_for(module.slot)
    if module.slot not in ("feedback", "refinement") or random or not isinstance(batch, tuple):
        return None
    half = len(batch) // 2
    one, two = _runs(module, batch), _runs(module, (*batch[half:], *batch[:half]))
    same = sorted(map(repr, one)) == sorted(map(repr, two))
    return None if same else "its result depends on the order of the groups"


def reaches_for_nothing(module: Module) -> str | None:
    """A module gets what it needs through its signature: of our packages it may import only the vocabulary, and what
    modules share.
    """
    if module.path.suffix != ".py":  # a kernel's source runs in the sandbox, and nowhere else
        return None
    return reached(module.path, trains=module.slot in ("update", "consolidation"))


ASKS: Mapping[Trait, frozenset[type]] = {
    Trait.GIVES_VERDICT: frozenset({Reward}),
    Trait.NEEDS_ROUNDS: frozenset({Past}),
    Trait.REPLAYS: frozenset({Archive, Past}),
}
"""What a module must ask for, one of them, to do what the trait says."""


def traits_fit_its_slot(module: Module) -> str | None:
    """A module declares only what a module of its slot and signature can do."""
    for trait in sorted(module.traits):
        if module.slot not in trait.slots:
            return f"it declares {trait}, which is said in {' or '.join(trait.slots)}"
        if trait in ASKS and not ASKS[trait] & set(module.effects.values()):
            asked = " or ".join(sorted(kind.__name__ for kind in ASKS[trait]))
            return f"it declares {trait} without asking for {asked}"
    if Trait.TAKES_PAIRS in module.traits and module.online:
        return f"it declares {Trait.TAKES_PAIRS} and takes tasks"
    return None


def does_what_it_declares(module: Module) -> str | None:
    """A module that gives pairs says so, for they fit few updates; one that chooses makes no rows of its own."""
    if module.slot != "refinement":
        return None
    batch = batch_for("refinement")
    made = _runs(module, batch)
    if Trait.GIVES_PAIRS not in module.traits and any(row.rejected is not None for row in made):
        return f"it gives rows with a rejected attempt: add TRAITS = (Trait.{Trait.GIVES_PAIRS.name},)"
    known = [row.attempt for row in batch]
    if Trait.CHOOSES in module.traits and any(row.attempt not in known for row in made):
        return f"it declares {Trait.CHOOSES} and makes rows"
    return None


LAWS: tuple[Law, ...] = (
    Law("reaches for nothing", reaches_for_nothing),
    Law("traits fit its slot", traits_fit_its_slot),
    Law("leaves its batch alone", is_pure),
    Law("repeats itself", repeats_itself),
    Law("takes an empty batch", takes_an_empty_batch),
    Law("knobs survive JSON", knobs_round_trip),
    Law("search space is legal", search_space_is_legal),
    Law("groups may be permuted", groups_may_be_permuted),
    Law("does what it declares", does_what_it_declares),
)
ON_SIGNATURE = frozenset({"reaches for nothing", "traits fit its slot", "knobs survive JSON", "search space is legal"})


def cites_its_source(module: Module) -> str | None:
    """Our modules name the paper they follow."""
    text = f"{module.doc}\n{inspect.getdoc(module.call) or ''}"
    return None if CITED.search(text) else "its docstring cites no paper"


def says_what_it_returns(module: Module) -> str | None:
    """Our modules' functions say what they return."""
    return None if "Return" in (inspect.getdoc(module.call) or "") else "its docstring does not say what it returns"


def fits_on_two_screens(module: Module) -> str | None:
    """Our modules are short and hold functions only."""
    source = module.path.read_text(encoding="utf-8")
    lines = source.count("\n")
    if lines > MOST_LINES:
        return f"{lines} lines, at most {MOST_LINES}"
    return "it defines a class" if any(isinstance(node, ast.ClassDef) for node in ast.parse(source).body) else None


HOUSE_STYLE: tuple[Law, ...] = (
    Law("cites its source", cites_its_source),
    Law("says what it returns", says_what_it_returns),
    Law("fits on two screens", fits_on_two_screens),
)


def problems(module: Module, laws: tuple[Law, ...] = LAWS) -> Iterator[str]:
    """Yield one sentence per broken law; none means that the module may be used.

    Raises:
        SandboxUnavailable: A sandbox was `with_sandbox`, and it failed: nothing was learnt.
    """
    for law in laws:
        if _elsewhere(module) and law.name not in ON_SIGNATURE and law in LAWS:
            continue
        try:
            said = law.check(module)
        except SandboxUnavailable:  # infrastructure: nothing was learnt about the module
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a candidate may fail in any way at all
            said = " ".join(f"it raised {type(error).__name__}: {error}".split())
        if said is not None:
            yield f"{module.slot}.{module.name} breaks the law {law.name!r}: {said}"


_SEEN: dict[tuple[str, str, str], str] = {}
"""What was found of strangers' modules, by slot, name and digest: each version is tried once a process."""


def unlawful_modules(registry: Registry) -> dict[tuple[str, str], str]:
    """Return the modules not written by us that break a law or do not load, and the first sentence about each."""
    found = {}
    for slot in SLOTS:
        for name in registry.names(slot):
            if registry.where(slot, name) == "metaevo":
                continue
            try:
                module = registry.get(slot, name)
            except ModuleFailed as error:
                found[slot, name] = str(error)
                continue
            key = (slot, name, module.digest)
            if key not in _SEEN:
                try:
                    _SEEN[key] = next(problems(module), "")
                except SandboxUnavailable as error:  # no sandbox was asked here: it raised that itself
                    _SEEN[key] = f"{slot}.{name} raised {type(error).__name__}: {error}"
            if _SEEN[key]:
                found[slot, name] = _SEEN[key]
    return found
