"""Recipes as data, and one run of one."""

from dataclasses import replace
from typing import Any

from metaevo.errors import BadInput, MetaevoError
from metaevo.modules.registry import Registry
from metaevo.recipes import schema
from objectives.types import Cell, Direction, Objective
from services.home import Home


def listed(home: Home | None) -> list[dict[str, Any]]:
    """Return a row for every recipe; one that is wrong says why."""
    registry = Registry(home.path if home else None)
    rows: list[dict[str, Any]] = []
    for name in schema.names(registry.home):
        try:
            recipe = schema.load(name, registry)
        except MetaevoError as error:
            rows.append({"name": name, "system": "", "broken": str(error)})
            continue
        rows.append(
            {
                "name": recipe.name,
                "system": recipe.system,
                "arxiv": recipe.arxiv,
                "modules": list(recipe.modules),
                "observable": recipe.observable,
                "measured": None,
            }
        )
    return rows


def detail(home: Home | None, name: str) -> dict[str, Any]:
    """Return one recipe, complete."""
    recipe = schema.load(name, Registry(home.path if home else None))
    return recipe.model_dump(mode="json") | {"hash": recipe.hash}


def ran(home: Home, name: str, cells: str | None, fidelity: float) -> dict[str, Any]:
    """Run a recipe once on the champion and score it on dev items.

    Raises:
        BadInput: The recipe or a cell does not exist.
    """
    from metaevo import diagnose, preparation, trial
    from metaevo.cycle import choose
    from metaevo.ledger.journal import At, Journal
    from metaevo.outlook import history
    from metaevo.search.run import Search
    from metaevo.terms import Tools, module_digests
    from services.app import opened

    if not 0 < fidelity <= 1:
        raise BadInput(f"--fidelity {fidelity}: want more than 0, at most 1")
    with opened(home, engines=1) as app:
        evolution = app.evolution()
        epoch = evolution.ensure_epoch()
        number = _free_number(app)
        recipe = schema.load(name, app.host.registry)
        journal = Journal(app.ledger, app.host.store, app.host.seed + number)
        tools = Tools(app.host, journal, evolution.sampler, app.settings, evolution.secret, module_digests(app.host))
        champion = app.host.lineage.get("champion")
        found = diagnose.diagnose(app.host, journal, At(number), champion, app.settings.probe)
        state = _state(app, champion, epoch, number)
        seen = history(app.host, app.settings.goals, found, app.settings.gate, epoch=epoch, cycle=number)
        objective = _objective(app, cells) if cells else choose(tools, state, seen)
        ground = preparation.prepare(tools, state, objective, found)
        search = Search(
            app.host,
            journal,
            evolution.sampler,
            app.settings.search,
            ground,
            {},
            number,
            objective.ability,
            objective.direction,
        )
        made = trial.run(app.host, journal, app.host.engine, recipe, ground, cycle=number, number=1, fidelity=fidelity)
        if made.generation is not None:
            made = search.scored(made, app.host.engine)
        evolution.sampler.close()
    return {
        "recipe": recipe.name,
        "objective": [str(cell) for cell in objective.cells],
        "generation": made.generation.id if made.generation else None,
        "gain": made.score,
        "constraints": dict(made.constraints),
        "tokens": made.tokens,
        "counts": dict(made.counts),
        "failure": made.failure or None,
    }


def _free_number(app: Any) -> int:
    """Return a number for a run outside of evolution: far from the cycles', so that neither meets the other."""
    from sqlmodel import col, select

    from metaevo.ledger.tables import StepRow

    with app.ledger.read() as session:
        last = session.exec(select(StepRow.cycle).order_by(col(StepRow.cycle).desc())).first()
    return max(1_000_000, (last or 0) + 1)


def _state(app: Any, champion: Any, epoch: int, number: int) -> Any:
    from metaevo.terms import State

    base = app.host.lineage.get(app.host.lineage.ancestors(champion.id)[-1])
    return State(number, champion, base, base, epoch)


def _objective(app: Any, cells: str) -> Objective:
    try:
        wanted = tuple(sorted(Cell.parse(cell.strip()) for cell in cells.split(",")))
    except ValueError as error:
        raise BadInput(f"--cells {cells!r}: {error}") from error
    for cell in wanted:
        environment = app.host.environments.get(cell.environment)
        if environment is None or cell.level not in environment.levels:
            raise BadInput(f"--cells {cell}: no such cell; environments: {', '.join(app.host.environments)}")
    first = app.host.environments[wanted[0].environment]
    made = Objective(first.ability, Direction(first.direction), wanted, "asked for by --cells", "operator")
    return replace(made, cells=wanted)
