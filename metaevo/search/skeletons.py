"""The combinations of modules a search may try: presets, their one-step mutations and recombinations.

A skeleton is a combination of modules without its numbers: a recipe with every knob at its default. Search chooses a
skeleton, then its knobs. New modules (an operator's, a package's) take part without a word anywhere else: whatever a
slot lists may be added to it; where a stage has one module for a slot (how it answers, how it learns), or its feedback,
what no preset uses is tried in its place, and what presets use is recombined. What goes where, and which data an update
can take, the modules say themselves, by their traits.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from metaevo.errors import MetaevoError
from metaevo.recipes.schema import Recipe, Stage, Step, load, names
from metaevo.registry import generated_files
from metaevo.registry.laws import unlawful_modules
from metaevo.registry.registry import Registry
from metaevo.registry.slots import STAGE_SLOTS
from metaevo.search.composition import broken_rule
from metaevo.search.installed import Installed, Modules, has, procedure
from metaevo.traits import Trait

MOST = 64
"""Proposals in one study: more would only thin the evidence."""
PRESETS = 256
"""People's recipes in one study: a bound of their own, so that many recipes in a home leave room for proposals."""
REPLACEABLE = ("tasks", "refinement", "stability")


@dataclass(frozen=True, slots=True)
class Skeleton:
    """One combination: its id, the recipe it stands for, and the preset it is, if it is one."""

    id: str
    recipe: Recipe
    preset: str | None = None


def skeletons(
    registry: Registry,
    *,
    forbidden: Sequence[str] = (),
    references: bool = True,
    most: int = MOST,
    resting: Sequence[str] = (),
) -> dict[str, Skeleton]:
    """Return the legal skeletons by id: the presets, then at most so many proposals, in an order that depends on
    nothing else.

    ``resting`` are modules that no proposal uses; presets that name them stay.
    """
    found: dict[str, Skeleton] = {}
    installed = Installed.of(registry)
    forbidden = unwanted_modules(registry, forbidden)
    presets = _first([recipe for recipe in _presets(registry) if not _forbidden(recipe, forbidden)])
    for recipe in presets:
        found[identify(recipe)] = Skeleton(identify(recipe), recipe, recipe.name)
    near = {identify(r): r for r in (*_mutations(presets, installed), *_recombinations(presets, installed))}
    proposed = {
        id_: Skeleton(id_, recipe)
        for id_, recipe in near.items()
        if id_ not in found
        and not _forbidden(recipe, (*forbidden, *resting))
        and broken_rule(recipe, installed, references=references) is None
    }
    ordered = sorted(proposed, key=lambda id_: (len(proposed[id_].recipe.modules), _order(id_)))
    chosen = _covering(_spread(ordered, most), [proposed[id_] for id_ in ordered], list(found.values()))
    return found | {id_: proposed[id_] for id_ in chosen}


def identify(recipe: Recipe) -> str:
    """Return a skeleton's id: the modules by stage, with rounds and start where they are not the default."""
    stages = []
    for stage in recipe.stage:
        parts = [step.use for _, _, step in stage.steps()]
        head = "" if (stage.rounds, stage.start) == (1, "previous") else f"{stage.rounds}x{stage.start}:"
        stages.append(head + "+".join(parts))
    merges = "".join(f" ~ {step.use}" for step in recipe.consolidation)
    return " | ".join(stages) + merges


def _presets(registry: Registry) -> list[Recipe]:
    found = []
    for name in names(registry.home):
        try:
            found.append(load(name, registry))
        except MetaevoError:
            continue  # an operator's broken recipe is reported by `recipes list`, it does not stop a search
    return found


def _first(presets: Sequence[Recipe]) -> list[Recipe]:
    """Return at most `PRESETS` of the recipes, those with the lowest ``prior``, in their order."""
    kept = {recipe.name for recipe in sorted(presets, key=lambda recipe: recipe.prior)[:PRESETS]}
    return [recipe for recipe in presets if recipe.name in kept]


def _forbidden(recipe: Recipe, forbidden: Sequence[str]) -> bool:
    uses = {module.partition(".")[2] for module in recipe.modules} | {recipe.name}
    return bool(uses & set(forbidden))


def unwanted_modules(registry: Registry, forbidden: Sequence[str]) -> tuple[str, ...]:
    """Return what search never uses, by name: what the operator forbade, modules that break a law."""
    broken_ones = {name for _, name in unlawful_modules(registry)}
    return (*forbidden, *broken_ones, *_generated(registry, forbidden))


def _generated(registry: Registry, forbidden: Sequence[str]) -> list[str]:
    """Return the generated modules that ``generated:SLOT`` forbids: all of the slot but those a person adopted."""
    if registry.home is None or not any(name.startswith("generated:") for name in forbidden):
        return []  # no file is read for nothing in every cycle
    every = generated_files.every_module(registry.home)
    return [made.name for made in every if f"generated:{made.slot}" in forbidden and made.state != "adopted"]


def _mutations(presets: Sequence[Recipe], installed: Installed) -> Iterator[Recipe]:
    """Yield every recipe one step away from a single-stage preset."""
    known = {module for preset in presets for module in preset.modules}
    for preset in presets:
        if len(preset.stage) != 1 or procedure(installed, preset.stage[0].update):
            continue
        stage = preset.stage[0]
        online = installed.get("update", stage.update.use).online
        swapped = _swapped(stage, installed, online, known)
        for changed in [*_added(stage, installed, online), *_removed(stage), *_other(stage), *swapped]:
            yield _named(preset, changed)
        for merge in installed.names("consolidation"):
            yield _named(preset, stage, (Step(use=merge),))


def _added(stage: Stage, installed: Installed, online: bool) -> Iterator[Stage]:
    """Yield the stage with one module more."""
    for slot in REPLACEABLE:
        if online and slot == "refinement":
            continue
        present = [step.use for step in getattr(stage, slot)]
        for name in installed.names(slot):
            if name not in present:
                yield stage.model_copy(update={slot: place_step(slot, getattr(stage, slot), Step(use=name), installed)})


def _swapped(stage: Stage, installed: Installed, online: bool, known: Set[str]) -> Iterator[Stage]:
    """Yield the stage with a module that no preset uses as its solutions or update, or beside its feedback."""
    new = {slot: [name for name in installed.names(slot) if f"{slot}.{name}" not in known] for slot in STAGE_SLOTS}
    for name in new["solutions"]:
        if stage.solutions is not None:
            yield stage.model_copy(update={"solutions": Step(use=name)})
    for name in new["feedback"]:
        yield stage.model_copy(update={"feedback": (*stage.feedback, Step(use=name))})
    for name in new["update"]:
        if installed.get("update", name).online == online:
            update = Step(use=name)
            kept = tuple(step for step in stage.refinement if has(installed, "refinement", step, Trait.REPLAYS))
            for body in _data_for(update, stage, installed):
                yield stage.model_copy(update={"refinement": (*body, *kept), "update": update})


def place_step(slot: str, steps: tuple[Step, ...], new: Step, modules: Modules) -> tuple[Step, ...]:
    """Return the steps with a new one where it makes sense: replay last, corrections first, filters in between."""
    if slot != "refinement" or has(modules, slot, new, Trait.REPLAYS, Trait.SHORTENS):
        return (*steps, new)
    if has(modules, slot, new, Trait.MAKES_ROWS):
        return (new, *steps)
    last = [i for i, step in enumerate(steps) if has(modules, slot, step, Trait.REPLAYS)]
    at = last[0] if last else len(steps)
    return (*steps[:at], new, *steps[at:])


def _removed(stage: Stage) -> Iterator[Stage]:
    """Yield the stage with one module less."""
    for slot in REPLACEABLE:
        steps = getattr(stage, slot)
        for i in range(len(steps)):
            yield stage.model_copy(update={slot: (*steps[:i], *steps[i + 1 :])})


def _other(stage: Stage) -> Iterator[Stage]:
    """Yield the stage with one round more or less, or another start."""
    for rounds in (stage.rounds - 1, stage.rounds + 1):
        if 1 <= rounds <= 3:
            yield stage.model_copy(update={"rounds": rounds})
    for start in ("previous", "parent", "base"):
        if start != stage.start and stage.rounds > 1:
            yield stage.model_copy(update={"start": start})


@dataclass(frozen=True, slots=True)
class LearningPart:
    """How a preset learns, whatever its data."""

    samples_itself: bool
    replay: tuple[Step, ...]
    stability: tuple[Step, ...]
    update: Step


def _learner(stage: Stage, installed: Installed) -> LearningPart:
    replay = tuple(step for step in stage.refinement if has(installed, "refinement", step, Trait.REPLAYS))
    return LearningPart(stage.solutions is None, replay, stage.stability, stage.update)


def _recombinations(presets: Sequence[Recipe], installed: Installed) -> Iterator[Recipe]:
    """Yield how one single-stage preset gets its data, with how another one learns."""
    single = [recipe for recipe in presets if len(recipe.stage) == 1]
    replays = [
        (step,)
        for step in installed.having("refinement", Trait.REPLAYS)
        if not has(installed, "refinement", step, Trait.NEEDS_ROUNDS)
    ]
    learners = [(recipe.name, _learner(recipe.stage[0], installed)) for recipe in single]
    for a in single:
        first = a.stage[0]
        others = {repr(learner): learner for name, learner in learners if name != a.name}  # many recipes learn alike
        for learner in others.values():
            if (first.solutions is None) != learner.samples_itself:
                continue
            learned = first.model_copy(update={"stability": learner.stability, "update": learner.update})
            for body in _data_for(learner.update, first, installed):
                for end in [learner.replay] if learner.replay else [(), *replays]:
                    yield _named(a, learned.model_copy(update={"refinement": (*body, *end)}))


def _data_for(update: Step, source: Stage, installed: Installed) -> list[tuple[Step, ...]]:
    """Return the source's refinement, without replay, in every form that an update takes: pairs, or rows otherwise."""
    body = tuple(step for step in source.refinement if not has(installed, "refinement", step, Trait.REPLAYS))
    pairs = any(has(installed, "refinement", step, Trait.GIVES_PAIRS) for step in body)
    wanted = has(installed, "update", update, Trait.TAKES_PAIRS)
    if wanted == pairs:
        return [body]
    if wanted:
        return [(step,) for step in installed.having("refinement", Trait.GIVES_PAIRS)]
    return [(step,) for step in installed.having("refinement", Trait.CHOOSES, Trait.NEEDS_SCORE)]


def _named(preset: Recipe, stage: Stage, merges: tuple[Step, ...] | None = None) -> Recipe:
    made = Recipe(name="proposed", stage=(stage,), consolidation=preset.consolidation if merges is None else merges)
    return made.model_copy(update={"name": f"near_{preset.name}"})


def _order(id_: str) -> str:
    return hashlib.blake2b(id_.encode(), digest_size=4).hexdigest()


def _spread(ordered: Sequence[str], most: int) -> list[str]:
    """Return at most ``most`` ids, evenly over the order, so that short and long ones are both there."""
    if len(ordered) <= most:
        return list(ordered)
    return [ordered[i * len(ordered) // most] for i in range(most)]


def _covering(chosen: Sequence[str], ordered: Sequence[Skeleton], presets: Sequence[Skeleton]) -> list[str]:
    """Return the choice with its last ones replaced until every module that some skeleton uses is in one."""
    kept = list(chosen)
    by_id = {skeleton.id: skeleton for skeleton in ordered}
    seen = {module for s in (*presets, *(by_id[id_] for id_ in kept)) for module in s.recipe.modules}
    late = []
    for skeleton in ordered:
        if set(skeleton.recipe.modules) - seen:
            late.append(skeleton.id)
            seen |= set(skeleton.recipe.modules)
    return [*kept[: max(0, len(kept) - len(late))], *late[: len(kept)]]


def skeleton_rows(found: Mapping[str, Skeleton]) -> list[dict[str, object]]:
    """Return the skeletons as rows for a listing."""
    return [{"id": s.id, "preset": s.preset, "modules": list(s.recipe.modules)} for s in found.values()]
