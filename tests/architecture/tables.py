"""The tables of the READMEs, made from signatures, recipes, environments and operations."""

import inspect
import re
import typing
from functools import cache
from typing import Any

from metaevo.effects import EFFECTS
from metaevo.engines.grader import GraderPool
from metaevo.recipes import schema
from metaevo.registry.registry import Registry
from metaevo.registry.slots import GIVES, SLOTS, TAKES, Module, limits
from metaevo.traits import Trait
from metaevo.types import Attempts, Experiences, Knob, Tasks
from objectives.environment import own_answer
from objectives.finder import Source, built_in
from objectives.types import Environment, Split, Task
from services.operations import Operation, load
from services.parameters import Argument, Option
from tests.architecture import tree
from tests.architecture.knobs import ours
from tests.architecture.lists import says, table

NAMES = {Tasks: "Tasks", Attempts: "Attempts", Experiences: "Experiences"}
PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def papers(text: str) -> str:
    """Return the papers a text cites, as links."""
    found = dict.fromkeys(PAPER.findall(text))
    return ", ".join(f"[{id_}](https://arxiv.org/abs/{id_})" for id_ in found)


def kind(value: Any) -> str:
    """Return the name of a slot's type."""
    return NAMES.get(value) or str(value.__name__)


def slots() -> str:
    """Return what each slot maps to what."""
    rows = [(f"`{slot}`", " or ".join(kind(t) for t in TAKES[slot]), kind(GIVES[slot])) for slot in SLOTS]
    return table(("slot", "takes", "gives"), rows)


def effects() -> str:
    """Return what a module may ask for."""
    rows = []
    for effect in EFFECTS:
        own = (inspect.getdoc(effect) or "").split("\n\n")[0]
        rows.append((f"`{effect.__name__}`", "The step's own random stream." if effect.__name__ == "Random" else own))
    return table(("effect", "what it is"), [(name, " ".join(text.split())) for name, text in rows])


def traits() -> str:
    """Return what a module may say of itself, and who says it."""
    rows = []
    for trait in Trait:
        who = ", ".join(f"`{module.name}`" for module in ours() if trait in module.traits)
        rows.append((f"`{trait.name}`", ", ".join(trait.slots), f"The module {trait.about}.", who))
    return table(("trait", "slots", "what it says", "said by"), rows)


def knob(module: Module, name: str) -> str:
    """Return one knob: its default, what may be said and what is searched."""
    space, default = module.space[name], module.knobs.model_fields[name].default
    shown = (
        str(default).lower()
        if isinstance(default, bool)
        else f"{default:g}"
        if not isinstance(default, str)
        else default
    )
    text = f"`{name} = {shown}`: {limits(space)}"
    if isinstance(space, Knob):
        text += f"; searched {space.low:g} to {space.high:g}{' (log)' if space.log else ''}"
        text += ", scaled by fidelity" if space.budget else ""
    return text


def modules() -> str:
    """Return a section for every slot with a row for every module of the tree."""
    by_slot: dict[str, list[Module]] = {slot: [] for slot in SLOTS}
    for module in ours():
        by_slot[module.slot].append(module)
    parts = []
    for slot, found in by_slot.items():
        rows = []
        for module in found:
            summary = " ".join(module.doc.split("\n\n")[0].split())
            asks = ", ".join(f"`{effect.__name__}`" for effect in module.effects.values()) or "–"
            knobs = "<br>".join(knob(module, name) for name in module.space) or "–"
            rows.append((f"`{module.name}`", papers(module.doc) or "the survey", summary, asks, knobs))
        parts.append(f"### {slot}\n\n" + table(("module", "paper", "what it does", "asks for", "knobs"), rows))
    return "\n\n".join(parts)


def presets() -> str:
    """Return a section for every preset: its steps by slot, and what a reproduction must show."""
    registry, parts = Registry(), []
    for name in schema.names():
        recipe = schema.load(name, registry)
        head = f"### {recipe.name}: {recipe.system} ({papers('arXiv:' + recipe.arxiv)})\n\n{recipe.doc}\n"
        rows = []
        for number, stage in enumerate(recipe.stage, 1):
            rounds = f"{stage.rounds} rounds, each" if stage.rounds > 1 else "one round"
            rows.append((f"**stage {number}**", f"{rounds} from `{stage.start}`"))
            by_slot: dict[str, list[str]] = {}
            for slot, _, step in stage.steps():
                by_slot.setdefault(slot, []).append(said(registry, slot, step))
            rows += [(slot, ", then ".join(steps)) for slot, steps in by_slot.items()]
        rows += [("consolidation", said(registry, "consolidation", step)) for step in recipe.consolidation]
        parts.append(f"{head}\n{table(('slot', 'steps'), rows)}\n\nMust show: {recipe.observable}.")
    return "\n\n".join(parts)


def said(registry: Registry, slot: str, step: schema.Step) -> str:
    """Return a step with the knobs that are not at their defaults."""
    plain = registry.get(slot, step.use).knobs().model_dump()
    own = ", ".join(f"{name} = {value}" for name, value in step.knobs.items() if value != plain[name])
    return f"`{step.use}`" + (f" ({own})" if own else "")


@cache
def described() -> list[tuple[Environment, Task]]:
    """Return every built-in environment and one of its training tasks, as the grader pool sees them."""
    pool = GraderPool([Source(name, name, str(tree.ROOT)) for name in built_in()])
    try:
        known = pool.describe()
        wanted = [(env.name, env.levels[len(env.levels) // 2], Split.TRAIN, 1, 0, 1) for env in known]
        return [(env, drawn.tasks[0]) for env, drawn in zip(known, pool.draw_many(wanted), strict=True)]
    finally:
        pool.close()


def environments() -> str:
    """Return a row for every built-in environment: ability, levels, and how many texts its finite cells have."""
    rows = []
    for env, _ in described():
        finite = ", ".join(f"{level}: {n:,}" for level, n in env.texts.items() if n is not None)
        span = f"{env.levels[0]}–{env.levels[-1]}"
        what = says(tree.ROOT / "objectives" / "environments" / f"{env.name}.py")
        rows.append((f"`{env.name}`", env.ability, span, finite or "none", what))
    return table(("environment", "ability", "levels", "texts of finite cells", "what it asks"), rows)


def examples() -> str:
    """Return one training task of every built-in environment with its right answer."""
    rows = []
    for env, task in described():
        right = task.reference if task.reference is not None else own_answer({"prompt": "", "answer": task.answer})
        rows.append((f"`{env.name}/{task.level}`", f"`{task.text}`", f"`{right}`"))
    return table(("cell", "prompt", "answer"), rows)


def commands() -> str:
    """Return a row for every command: how it is called, what it does, who may."""
    rows = []
    for op in load():
        text = " ".join((inspect.getdoc(op.call) or "").split("\n\n")[0].split())
        rows.append((f"`{called(op)}`", text, "<br>".join(options(op)) or "–", op.scope))
    return table(("command", "what it does", "arguments and options", "scope"), rows)


def called(op: Operation) -> str:
    """Return a command as it is typed."""
    words = ["metaevo", *([op.group] if op.group else []), op.name]
    for parameter in op.parameters:
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            name = parameter.name.upper()
            words.append(name if parameter.default is inspect.Parameter.empty else f"[{name}]")
        elif parameter.default is inspect.Parameter.empty:
            words.append(f"--{parameter.name.replace('_', '-')} …")
    return " ".join(words)


def options(op: Operation) -> list[str]:
    """Return an operation's arguments and options with what they say of themselves."""
    found = []
    for parameter in op.parameters:
        marks = [m for m in typing.get_args(parameter.annotation)[1:] if isinstance(m, Argument | Option)]
        positional = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        name = parameter.name.upper() if positional else f"--{parameter.name.replace('_', '-')}"
        shown = parameter.default not in (inspect.Parameter.empty, None, False, "")
        default = f" (default {parameter.default})" if shown else ""
        found.append(f"`{name}`: {marks[0].help if marks else ''}{default}")
    return found


def exit_codes() -> str:
    """Return the exit codes as the command line's docstring lists them."""
    from services import cli

    listed = re.search(r"Exit codes: (.*?)\.\n", inspect.getdoc(cli) or "", re.DOTALL)
    if listed is None:
        raise ValueError("services/cli.py: its docstring lists no exit codes")
    return table(("exit code", "means"), [item.split(" ", 1) for item in " ".join(listed[1].split()).split(", ")])
