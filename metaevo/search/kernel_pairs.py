"""Kernels that this cycle wrote, in its search: each is tried once beside a human-written recipe.

A pair is two trials with the same knobs, the same fidelity, the same items and the same random streams; the second has
one step more, the kernel. What it is worth is the paired difference of their answers, with its standard error. With
streams of their own two trainings differ by points even where the kernel does nothing; the error knows of items alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.ledger.journal import At, Journal, StepKey
from metaevo.ledger.steps import StepName
from metaevo.recipes.schema import Recipe, Step
from metaevo.registry import generated_files
from metaevo.registry.registry import Registry
from metaevo.registry.slots import Module
from metaevo.runtime.host import Host
from metaevo.search.composition import broken_rule
from metaevo.search.installed import Installed, Modules, has
from metaevo.search.skeletons import Skeleton, identify, place_step
from metaevo.search.space import Params, chosen_in
from metaevo.traits import Trait
from metaevo.types import Knob, Trial, TrialEnd
from objectives.statistics import difference, z
from objectives.types import Cell, Report

PLACES = ("tasks", "feedback", "refinement")
HALF = 0.5
"""A filter's mark beside a kernel that scores: a right answer passes from this score on, a wrong one never."""
CONFIDENCE = 0.95
"""Of the bounds from which the standard error is taken."""


@dataclass(frozen=True, slots=True)
class PairedTrials:
    """What the trial of a kernel showed. ``gain`` is None where one of the two trials came to no score."""

    module: str
    trial: int
    against: int
    gain: float | None
    error: float
    n: int
    tokens: int
    tokens_against: int
    failure: str = ""


@dataclass(slots=True)
class NewKernels:
    """The modules that this cycle admitted, as ``slot.name``, and every recipe they may stand in."""

    fits: Mapping[str, Mapping[str, Skeleton]] = field(default_factory=dict)
    """By module: a skeleton's id to the same with the kernel."""
    pairs: dict[int, tuple[str, int]] = field(default_factory=dict)
    """By trial number: its module and the trial it is compared with."""
    marks: frozenset[str] = frozenset()
    """The parameters that are a filter's mark, lowered beside a kernel that scores."""

    @property
    def skeletons(self) -> dict[str, Skeleton]:
        """Return every combination with one of the kernels, by id."""
        return {skeleton.id: skeleton for fits in self.fits.values() for skeleton in fits.values()}

    def proposal(
        self, number: int, total: int, asked: Mapping[int, Params], choices: Mapping[str, Skeleton]
    ) -> Params | None:
        """Return the parameters of trial ``number`` (from 0) of ``total`` where it is a kernel's, else None.

        The last trials are theirs, at most a third and never the first: by then there is one to compare with, and a
        recipe that a person wrote is preferred.
        """
        place = total - 1 - number
        if place >= min(len(self.fits), max(1, total // 3)) or number == 0:
            return None
        module = list(self.fits)[place]
        fits = self.fits[module]
        possible = [trial for trial, params in sorted(asked.items()) if chosen_in(params) in fits]
        if not possible:
            return None
        twin = min(possible, key=lambda trial: (choices[chosen_in(asked[trial])].preset is None, trial))
        self.pairs[number + 1] = (module, twin)
        params = {**asked[twin], "skeleton": fits[chosen_in(asked[twin])].id}
        return params | dict.fromkeys(self.marks & params.keys() if module.startswith("feedback.") else (), HALF)

    def alike(self, number: int, recipe: Recipe) -> Callable[[StepKey], StepKey]:
        """Return which key's random stream a step of trial ``number`` has: in a pair, that of its twin's same step."""
        if number not in self.pairs:
            return lambda key: key
        module, twin = self.pairs[number]
        slot, _, name = module.partition(".")
        place = [step.use for step in getattr(recipe.stage[0], slot)].index(name)

        def same(key: StepKey) -> StepKey:
            cycle, _, stage, round_, step, position = key
            if step == slot and position == place:
                return key
            return (cycle, twin, stage, round_, step, position - (step == slot and position > place))

        return same

    def tell(
        self,
        host: Host,
        journal: Journal,
        cycle: int,
        trials: Sequence[Trial],
        report: Callable[[Trial], Report],
        aimed: frozenset[str],
    ) -> None:
        """Write what each kernel's trial showed into the ledger, one journalled step each, and into its file.

        ``report`` gives a trial's dev report, of which the items ``aimed`` at count. Where infrastructure failed, or
        what it is compared with has no score, nothing is said of a kernel.
        """
        made = {trial.number: trial for trial in trials}
        for number, (module, against) in sorted(self.pairs.items()):
            new, old = made[number], made[against]
            if old.score is None or new.ending is TrialEnd.INFRASTRUCTURE:
                continue
            reports = [report(trial) for trial in (new, old) if trial.generation is not None]
            pair = _pair(module, new, old, reports, aimed)
            journal.step(
                At(cycle).key(StepName.KERNEL_TRIAL, number),
                fingerprint(asdict(pair)),
                partial(_kept, host, pair),
                kind=PairedTrials,
                module=module,
                counts=asdict,
            )


def _pair(module: str, new: Trial, old: Trial, reports: Sequence[Report], aimed: frozenset[str]) -> PairedTrials:
    """Return the paired difference of two trials on the objective's dev items, cells weighing alike."""
    facts = (module, new.number, old.number)
    costs = (new.tokens, old.tokens)
    if new.score is None:
        return PairedTrials(*facts, None, 0.0, 0, *costs, failure=new.failure)
    cells: dict[Cell, list[float]] = {}
    for mine, theirs in zip(reports[0].outcomes, reports[1].outcomes, strict=True):
        if mine.task in aimed and mine.score is not None and theirs.score is not None:
            cells.setdefault(mine.cell, []).append(mine.score - theirs.score)
    found = difference(cells, CONFIDENCE)
    error = (found.high - found.low) / 2 / z(CONFIDENCE)
    return PairedTrials(*facts, round(found.mean, 6), round(error, 6), found.n, *costs)


def _kept(host: Host, pair: PairedTrials) -> PairedTrials:
    """Write a kernel's numbers into its file too, where it still is: that is what people are shown."""
    home = host.registry.home
    slot, _, name = pair.module.partition(".")
    if home is not None and pair.gain is not None and (path := generated_files.path_of(home, slot, name)).exists():
        made = generated_files.peek(path)
        numbers = made.numbers | {"gain": pair.gain, "gain_error": pair.error}
        generated_files.save(home, made.model_copy(update={"numbers": numbers}))
    return pair


def add_step(skeleton: Skeleton, module: str, registry: Registry) -> Skeleton | None:
    """Return the combination with a module as one step more, None where it has no place in it."""
    if len(skeleton.recipe.stage) != 1:
        return None
    (stage,), (slot, _, name) = skeleton.recipe.stage, module.partition(".")
    if slot == "refinement" and registry.get("update", stage.update.use).online:
        return None
    steps = getattr(stage, slot)
    if any(step.use == name for step in steps):
        return None
    of_rows = slot == "refinement" and registry.where(slot, name) == "generated"
    new = Step(use=name)
    made: dict[str, tuple[Step, ...] | str] = {}
    made[slot] = _before_filters(steps, new, registry) if of_rows else place_step(slot, steps, new, registry)
    if slot == "feedback":
        made["combine"] = "product"
        made["refinement"] = tuple(_lowered(step, registry) for step in stage.refinement)
    recipe = skeleton.recipe.model_copy(update={"stage": (stage.model_copy(update=made),)})
    recipe = recipe.model_copy(update={"name": f"near_{skeleton.recipe.name}"})
    return Skeleton(identify(recipe), recipe)


def _before_filters(steps: tuple[Step, ...], kernel: Step, modules: Modules) -> tuple[Step, ...]:
    """Return the steps with a kernel of rows: after the filters every row is right and no two say the same, and what
    it could go by, scores and agreement among samples, is gone.
    """
    made = [has(modules, "refinement", step, Trait.MAKES_ROWS, Trait.GIVES_PAIRS) for step in steps]
    at = 1 + max((i for i, makes in enumerate(made) if makes), default=-1)
    return (*steps[:at], kernel, *steps[at:])


def _lowered(step: Step, modules: Modules) -> Step:
    marks = _marks(modules.get("refinement", step.use))
    return step.model_copy(update={"knobs": {**step.knobs, **dict.fromkeys(marks, HALF)}}) if marks else step


def _marks(module: Module) -> list[str]:
    """Return the knobs that are a score from which on rows are kept."""
    return [name for name, knob in module.space.items() if isinstance(knob, Knob) and knob.mark]


def with_kernels(
    choices: Mapping[str, Skeleton],
    registry: Registry,
    fresh: Sequence[str],
    forbidden: Sequence[str],
    references: bool,
) -> tuple[dict[str, Skeleton], NewKernels]:
    """Return the choices with every usable kernel beside every preset, and the ``fresh`` ones beside all choices.

    ``forbidden`` are names of modules that search leaves alone.
    """
    names = [(slot, name) for slot in PLACES for name in registry.names(slot) if name not in forbidden]
    usable = [f"{slot}.{name}" for slot, name in names if registry.where(slot, name) == "generated"]
    fits: dict[str, dict[str, Skeleton]] = {}
    installed = Installed.of(registry)
    for module in usable:
        made = {id_: add_step(skeleton, module, registry) for id_, skeleton in choices.items()}
        legal = {id_: s for id_, s in made.items() if s and not broken_rule(s.recipe, installed, references=references)}
        fits[module] = legal
    presets = {
        skeleton.id: skeleton
        for legal in fits.values()
        for id_, skeleton in legal.items()
        if choices[id_].preset is not None
    }
    filters = [installed.get("refinement", name) for name in installed.names("refinement")]
    marks = frozenset(f"refinement.{one.name}.{knob}" for one in filters for knob in _marks(one))
    return {**choices, **presets}, NewKernels({name: fits[name] for name in fresh if fits.get(name)}, marks=marks)
