"""One cycle: diagnose, objective, synthesis, search, examine, decide. A straight line with one verdict at its end.

Each later step holds all it may look at; what the next cycle may know of this one is what `Evolution.advance` writes.
"""

from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.diagnose import Diagnosis, diagnose, probe_items, record_scores
from metaevo.effects import Run
from metaevo.errors import EngineError, ModuleFailed
from metaevo.evolution.context import CycleContext, CycleStart
from metaevo.evolution.objective_history import history, tell_used_up
from metaevo.evolution.outcome import Cycle
from metaevo.evolution.provable import with_company
from metaevo.evolution.trial_data import prepare
from metaevo.gate.case import Case
from metaevo.gate.decision import decide, resume
from metaevo.gate.evidence import Hold
from metaevo.gate.exam import Void
from metaevo.history import History
from metaevo.ledger.confirmations import SampleUsedUp
from metaevo.ledger.journal import At, StepKey
from metaevo.ledger.scores import scores_of
from metaevo.ledger.steps import StepName
from metaevo.registry.laws import unlawful_modules
from metaevo.registry.slots import Module
from metaevo.runtime.answering import measure, measure_mark
from metaevo.runtime.step_runner import call
from metaevo.search.kernel_pairs import NewKernels, with_kernels
from metaevo.search.run import Search, SearchResult
from metaevo.search.skeletons import skeletons, unwanted_modules
from metaevo.synthesis.record import resting_modules
from metaevo.synthesis.step import Synthesis
from metaevo.trial import TrialData
from metaevo.types import CycleEnd, Generation, TrialEnd
from objectives.types import Cell, JsonValue, Objective, Report, Split


def run(tools: CycleContext, state: CycleStart) -> Cycle:
    """Run one cycle and return it, decided or ended for a reason.

    Raises:
        CodeChanged: A module was edited while it ran; the caller closes the cycle as void.
    """
    try:
        if state.hold is not None:
            return _examine_again(tools, state, state.hold)
        return _evolve(tools, state)
    except Void as error:
        return Cycle.void(state.number, CycleEnd.NOT_GRADED, str(error))
    except SampleUsedUp as error:
        return Cycle.nothing(state.number, CycleEnd.LIMIT_OF_DATA, str(error))
    except ModuleFailed as error:
        return Cycle.void(state.number, CycleEnd.MODULE_FAILED, str(error)[:300])
    except EngineError as error:
        return Cycle.nothing(state.number, CycleEnd.INFRASTRUCTURE, str(error))


def _evolve(tools: CycleContext, state: CycleStart) -> Cycle:
    """Run a cycle from its diagnosis to the verdict on what its search found."""
    host, settings, number = tools.host, tools.settings, state.number
    tools.on_phase("diagnose", f"measuring {state.champion.id}")
    found = diagnose(host, tools.journal, At(number), state.champion, settings.probe)
    record_scores(host, found, state.epoch, number)
    seen = history(host, settings.goals, found, settings.gate, epoch=state.epoch, cycle=number)
    tell_used_up(host.ledger, seen, number)
    if settings.observe:
        return Cycle.nothing(number, CycleEnd.CONVERGED, "mode is observe, nothing is trained")

    tools.on_phase("objective", f"{len(found.weaknesses)} weaknesses named")
    try:
        objective = choose(tools, state, seen)
    except LookupError as error:
        return Cycle.nothing(number, CycleEnd.CONVERGED, str(error.args[0]))

    tools.on_phase("search", f"{objective.ability}: {', '.join(map(str, objective.cells))}")
    ground = prepare(tools, state, objective, found)
    result = _search(tools, state, objective, ground, _write_kernels(tools, state, ground))
    best = result.best
    if best is None or best.generation is None:
        ending, why = _fruitless(result, found, objective)
        return Cycle.nothing(number, ending, why, objective=objective, trials=result.trials)

    candidate = best.generation
    tools.on_phase("examine", f"{candidate.id} by {result.recipe.name if result.recipe else '?'}")
    case = _case(tools, state, candidate, objective.cells, best.score or 0.0)
    verdict = decide(tools.exam(number), replace(case, partial=_partial(found, objective.cells)))
    known = scores_of(host.ledger, state.champion.id, Split.ANCHOR, state.epoch)
    unmeasured = (candidate,) if known else (state.champion, candidate)
    reports = tuple(measure_anchor(tools, state, generation) for generation in unmeasured)
    return Cycle.decided(number, candidate, verdict, objective=objective, trials=result.trials, reports=reports)


def _examine_again(tools: CycleContext, state: CycleStart, hold: Hold) -> Cycle:
    """Examine a held candidate again, with new items only; nothing is searched."""
    tools.on_phase("examine", f"{hold.candidate} again, held since cycle {hold.cycle}")
    candidate = tools.host.lineage.get(hold.candidate)
    cells = tuple(Cell.parse(cell) for cell in hold.evidence.cells)
    case = _case(tools, state, candidate, cells, 0.0, hold)
    return Cycle.decided(state.number, candidate, decide(tools.exam(state.number), case))


def choose(tools: CycleContext, state: CycleStart, seen: History) -> Objective:
    """Return the next objective, as a journalled step. A rule can only choose among the open cells it was shown.

    Raises:
        LookupError: No cell is open.
    """
    settings = tools.settings
    if settings.fixed_objective is not None:
        ability, direction = settings.fixed_objective
        seen = History(
            tuple(c for c in seen.cells if (c.ability, c.direction.value) == (ability, direction)), seen.past
        )
    module = tools.host.registry.get("objective", settings.rule, "objective.rule")
    said = unlawful_modules(tools.host.registry).get(("objective", settings.rule))
    if said is not None:
        raise ModuleFailed(said)
    key = At(state.number).key(StepName.OBJECTIVE)
    effects = _effects(tools, key, module)
    tier = [tools.host.run.identity] if Run in module.effects.values() else []
    mark = fingerprint(module.digest, seen, *tier)

    def decide_on() -> Objective:
        knobs = module.fill({}, "objective.rule")
        own = replace(seen, cells=deepcopy(seen.cells))  # its own copy: it cannot open a cell
        return with_company(check_objective(call(module, own, effects, knobs), seen), seen)

    made = tools.journal.step(
        key,
        mark,
        decide_on,
        kind=Objective,
        module=f"objective.{settings.rule}",
        counts=lambda o: {"cells": len(o.cells)},
    )
    if not made.cells:
        raise LookupError(made.reason)
    return made


def _effects(tools: CycleContext, key: StepKey, module: Module) -> dict[str, JsonValue]:
    """Return what a rule asks for.

    Raises:
        ModuleFailed: It asks for what a rule cannot have.
    """
    offered: dict[type, Any] = {Random: Random(tools.journal.stream_seed(key)), Run: tools.host.run}
    missing = [kind.__name__ for kind in module.effects.values() if kind not in offered]
    if missing:
        raise ModuleFailed(f"objective.{module.name} asks for {', '.join(missing)}, which a rule cannot have")
    return {name: offered[kind] for name, kind in module.effects.items()}


def check_objective(objective: Objective, seen: History) -> Objective:
    """Return the objective if it lies inside the goals and is of one kind, or has no cells at all.

    Raises:
        ModuleFailed: It has too many cells, mixes abilities, or names one that is not open.
    """
    if not objective.cells:
        return objective
    known = {cell.cell: cell for cell in seen.cells}
    chosen = [
        known[cell] for cell in objective.cells if cell in known and (known[cell].weight > 0 or known[cell].drop > 0)
    ]
    if not 1 <= len(chosen) <= 4 or len(chosen) != len(objective.cells):
        raise ModuleFailed(f"rule {objective.rule} chose {len(objective.cells)} cells, want 1 to 4 of the open ones")
    if len({(c.ability, c.direction) for c in chosen}) != 1:
        raise ModuleFailed(f"rule {objective.rule} mixed abilities or directions")
    return objective


def _write_kernels(tools: CycleContext, state: CycleStart, ground: TrialData) -> tuple[str, ...]:
    """Return the modules that this cycle wrote, as ``slot.name``; none where a search would not use them."""
    settings, forbidden = tools.settings, tools.settings.goals.forbidden.methods
    if settings.synthesis.kernels == 0 or settings.fixed_recipe is not None:
        return ()
    tools.on_phase("synthesis", f"at most {settings.synthesis.kernels} kernels")
    step = Synthesis(
        host=tools.host,
        journal=tools.journal,
        cycle=state.number,
        ground=ground,
        rules=settings.synthesis,
        forbidden=forbidden,
        authors=tools.authors,
    )
    made = step.run()
    tools.on_phase("search", f"{len(made)} new kernels")
    return made


def _search(
    tools: CycleContext, state: CycleStart, objective: Objective, ground: TrialData, fresh: tuple[str, ...]
) -> SearchResult:
    settings, host = tools.settings, tools.host
    references = any(task.reference is not None for task in ground.seeds)
    forbidden, rest = settings.goals.forbidden.methods, resting_modules(host.ledger, host.registry, state.number)
    choices, kernels = skeletons(host.registry, forbidden=forbidden, references=references, resting=rest), NewKernels()
    if settings.synthesis.kernels:
        never = (*unwanted_modules(host.registry, forbidden), *rest)
        choices, kernels = with_kernels(choices, host.registry, fresh, never, references)
    search = Search(
        host=host,
        journal=tools.journal,
        sampler=tools.sampler,
        rules=settings.search,
        ground=ground,
        choices=choices,
        cycle=state.number,
        ability=objective.ability,
        direction=objective.direction,
        pinned=settings.fixed_recipe,
        on_trial=tools.on_count,
        kernels=kernels,
    )
    return search.run()


def _partial(found: Diagnosis, cells: tuple[Cell, ...]) -> bool:
    """Return whether the diagnosis saw scores between 0 and 1 on these cells: said before the exam begins."""
    passes = [looked.mean * looked.n for looked in found.cells if looked.cell in cells]
    return any(abs(sum_ - round(sum_)) > 1e-6 for sum_ in passes)


def _fruitless(result: SearchResult, found: Diagnosis, objective: Objective) -> tuple[CycleEnd, str]:
    """Return why a search found nothing to examine, as a code and as a sentence."""
    if result.failed is TrialEnd.INFRASTRUCTURE:
        return CycleEnd.INFRASTRUCTURE, result.why
    if result.failed is TrialEnd.NOTHING_TO_LEARN:
        return CycleEnd.LIMIT_OF_DATA, result.why
    hopes = [looked.latent or 0.0 for looked in found.cells if looked.cell in objective.cells]
    if hopes and max(hopes) == 0.0:
        return CycleEnd.LIMIT_OF_MODEL, f"no sample solves any task there; {result.why}"
    return CycleEnd.LIMIT_OF_RECIPE, result.why


def _case(
    tools: CycleContext,
    state: CycleStart,
    candidate: Generation,
    cells: tuple[Cell, ...],
    dev_gain: float,
    hold: Hold | None = None,
) -> Case:
    """Return what the gate is asked; a held candidate goes on where its examination stopped."""
    settings, host = tools.settings, tools.host
    return Case(
        candidate=candidate,
        parent=state.champion,
        reference=state.reference,
        cells=cells,
        rules=settings.goals.rules(host.environments),
        dev_gain=dev_gain,
        epoch=state.epoch,
        manifest=host.lineage.row(candidate.id).manifest or "",
        answer_tokens=settings.goals.answer_tokens,
        held=resume(hold.evidence.gain, hold.evidence.bets) if hold and hold.evidence.gain is not None else None,
        held_k=hold.evidence.gain.k if hold is not None and hold.evidence.gain is not None else None,
        stream=hold.evidence.stream if hold is not None else None,
        outcomes=(hold.evidence.outcomes or ()) if hold is not None else (),
        best=state.best,
        pinned=state.pinned,
        approval=settings.approval,
    )


def measure_anchor(tools: CycleContext, state: CycleStart, generation: Generation) -> Report:
    """Return the generation's report on the anchor items, the same for every examined generation."""
    host = tools.host
    cells = [cell for environment in host.environments.values() for cell in environment.cells]
    items = probe_items(host, 1, tools.settings.anchor, cells, Split.ANCHOR)
    tasks = tuple(task for group in items.values() for task in group)
    key = At(state.number).key(StepName.ANCHOR, int(generation.id[1:]))
    return tools.journal.step(
        key,
        measure_mark(host, generation, tasks),
        lambda: measure(host, host.together, generation, tasks, Split.ANCHOR),
        kind=Report,
        counts=lambda r: {"items": len(r.outcomes)},
    )
