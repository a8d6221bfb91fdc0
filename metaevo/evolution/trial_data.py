"""What the trials of a cycle stand on: train tasks, dev items, and the rows that may be replayed."""

from collections.abc import Sequence
from dataclasses import replace

from metaevo.artifacts.bodies import BodyStore
from metaevo.artifacts.fingerprint import fingerprint
from metaevo.diagnose import Diagnosis, probe_items
from metaevo.engines.protocol import Sampling
from metaevo.evolution.context import CycleContext, CycleStart
from metaevo.ledger.journal import At
from metaevo.ledger.steps import StepName
from metaevo.runtime.answering import answer, grade, measure_mark, sample
from metaevo.runtime.effects import CycleArchive, redact
from metaevo.runtime.host import Host
from metaevo.trial import TrialData
from metaevo.types import Attempt, Experience, Experiences, Generation, Tasks, Turn, solved
from objectives.types import Objective, Split, Task

KNOWN = 0.05
"""Share of right answers from which a cell is rehearsed: half-learned cells are forgotten first."""
KEPT = 12
"""Dev items of protected cells for each of the objective: a loss of a few points must show before the gate sees it."""
DRAWN = Sampling(2, temperature=1.0)
"""How the champion answers what is rehearsed: its greedy answers alone are right on the easy tasks of a cell only.

Two answers to each of many tasks lose half of what four to each of half as many do, and gain 1.6 points less
(tests/evidence/README.md, "What is rehearsed")."""


def prepare(tools: CycleContext, state: CycleStart, objective: Objective, found: Diagnosis) -> TrialData:
    """Return what the cycle's trials stand on."""
    host, settings, journal = tools.host, tools.settings, tools.journal
    seed = journal.stream_seed(At(state.number).key(StepName.POOL)) % 2**31
    cells = list(objective.cells)
    seeds = probe_items(host, seed, -(-settings.pool // len(cells)), cells, Split.TRAIN)
    aimed = probe_items(host, seed, -(-settings.dev // len(cells)), cells, Split.DEV)
    protected = sorted({c for rule in settings.goals.rules(host.environments) for c in rule.cells} - set(cells))
    kept = probe_items(host, seed, -(-KEPT * settings.dev // max(1, len(protected))), protected, Split.DEV)
    dev = tuple(task for group in (*aimed.values(), *kept.values()) for task in group)
    ids = frozenset(task.id for group in aimed.values() for task in group)
    archive = _archive(tools, state, objective, found, seed)
    pool = tuple(task for group in seeds.values() for task in group)
    return TrialData(
        parent=state.champion,
        base=state.base,
        seeds=pool,
        archive=archive,
        dev=dev,
        aimed=ids,
        digests=tools.digests,
        reference=state.reference,
    )


def _archive(tools: CycleContext, state: CycleStart, objective: Objective, found: Diagnosis, seed: int) -> CycleArchive:
    """Return the rows that may be replayed: seed data, promoted generations' rows, rehearsed tasks of other cells."""
    host, key = tools.host, At(state.number).key(StepName.ARCHIVE)
    trained = {name for name, environment in host.environments.items() if environment.train}
    able = [looked.cell for looked in found.cells if looked.mean >= KNOWN and looked.cell.environment in trained]
    known = [cell for cell in able if cell not in objective.cells]
    each = -(-tools.settings.rehearsal // max(1, len(known)))
    items = probe_items(host, seed, each, known, Split.TRAIN)
    tasks = tuple(task for group in items.values() for task in group)
    who = list({generation.id: generation for generation in (state.champion, state.reference)}.values())
    drawn = replace(DRAWN, seed=seed)
    marks = [measure_mark(host, generation, tasks) for generation in who]
    mark = fingerprint(marks, drawn, [row.attempt.solution.id for row in host.seed_data])

    def gather() -> Experiences:
        kept = (*host.seed_data, *_promoted_rows(host, state, objective), *_rehearsed(host, who, tasks, drawn))
        return _one_task_each(kept)

    rows = tools.journal.step(key, mark, gather, shelf=BodyStore(host.store))
    return CycleArchive(host, rows, tools.journal.digest(key) or "")


def _one_task_each(rows: Experiences) -> Experiences:
    """Return the rows with one task record per id: one text drawn in two cycles differs in where it was drawn."""
    first: dict[str, Task] = {}
    made: dict[tuple[str, str], Experience] = {}
    for row in rows:
        task = first.setdefault(row.attempt.task.id, row.attempt.task)
        key = (task.id, row.attempt.solution.id)
        made.setdefault(key, replace(row, attempt=replace(row.attempt, task=task)))
    return tuple(made.values())


def _rehearsed(host: Host, who: Sequence[Generation], tasks: Tasks, drawn: Sampling) -> Experiences:
    """Return right answers to train tasks outside of the objective: the champion's own, then the reference's.

    What the champion does right keeps it there; what only the reference still does right was forgotten since.
    """
    rows: list[Attempt] = []
    for generation in who:
        missing = {row.task.id for row in rows}
        asked = tuple(task for task in tasks if task.id not in missing)
        if asked:
            rows += _right(host, generation, asked, drawn)
    return tuple(Experience(attempt, (), 1.0, tags=("rehearsed",)) for attempt in rows)


def _right(host: Host, generation: Generation, tasks: Tasks, drawn: Sampling) -> list[Attempt]:
    """Return the generation's distinct right answers: drawn ones, or what its answering procedure gives."""
    if generation.answer:
        attempts, _ = answer(host, host.together, generation, tasks)
    else:
        attempts = sample(host, host.together, generation, tasks, drawn)
    clean = {task.id: task for task in redact(tasks)}
    judged = zip(attempts, grade(host, tasks, attempts), strict=True)
    right = [a for a, f in judged if f.verdict == "pass" and not a.solution.cut]
    texts = dict.fromkeys((a.task.id, a.solution.text) for a in right)
    return [Attempt(clean[id_], solved((Turn("assistant", text, generation.id),))) for id_, text in texts]


def _promoted_rows(host: Host, state: CycleStart, objective: Objective, most: int = 5) -> Experiences:
    """Return what the last promoted generations were trained on, their own replayed rows left out."""
    rows: dict[tuple[str, str], Experience] = {}
    for id_ in host.lineage.ancestors(state.champion.id, most):
        digest = host.lineage.row(id_).data
        kept: Experiences = BodyStore(host.store).read(digest, None) if digest else ()
        for row in kept:
            plain_row = row.rejected is None and not {"replayed", "meta_skill"} & set(row.tags)
            if plain_row and row.attempt.task.cell not in objective.cells:
                rows[row.attempt.task.id, row.attempt.solution.id] = row
    return tuple(rows.values())
