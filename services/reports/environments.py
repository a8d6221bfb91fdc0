"""Environments as data: a list, and the audit of one with what it could prove."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from metaevo.engines.grader import GraderPool
from metaevo.errors import BadInput
from metaevo.evolution.provable import smallest_provable
from metaevo.gate.settings import GateRules
from objectives.audit import Audit
from objectives.environment import BadEnvironment
from objectives.finder import Source, installed, source_of
from objectives.statistics import level
from objectives.types import Environment, Split, Task
from sandbox.handle import SandboxHandle, embedded
from services.home.audits import audited
from services.home.home import Home
from services.home.level import next_error
from services.home.sandbox import open_sandbox, require_answer
from services.records.environments import (
    AuditedCell,
    AuditFinding,
    EnvironmentAudit,
    EnvironmentName,
    ModelScore,
    UsedEnvironment,
)


def list_environments(home: Home | None) -> list[EnvironmentName | UsedEnvironment]:
    """Return what can be used by name; with a home also what its configuration uses, described."""
    names = installed(home.path if home else None)
    rows = [EnvironmentName(name=name, from_=origin, used=False) for name, origin in names.items()]
    if home is None or not home.config_path.is_file():
        return list(rows)
    from services.home.open import graders

    config = home.config()
    with graders(home.path, config) as (_, environments):
        used = [_described(env, config.environments[name].use or name) for name, env in environments.items()]
    return [*(row for row in rows if row.name not in environments), *used]


def _described(environment: Environment, use: str) -> UsedEnvironment:
    return UsedEnvironment(
        name=environment.name,
        from_=use,
        used=True,
        ability=environment.ability,
        direction=environment.direction.value,
        levels=environment.levels,
        texts={str(level): size for level, size in environment.texts.items()},
        train=environment.train,
    )


def check_environment(name: str, home: Home | None, items: int) -> EnvironmentAudit:
    """Return the audit of one environment, the model's score where there is a home, and what could be proven."""
    if not 1 <= items <= 4096:
        raise BadInput("--items", "", "want 1 to 4096", given=items)
    source = _source(name, home)
    with _tier(home) as handle:
        environment, found, doors = _audited(source, handle, items)
    rules, error = _gate(home)
    return EnvironmentAudit(
        environment=environment.name,
        ability=environment.ability,
        usable=found.usable,
        findings=tuple(AuditFinding(**asdict(finding)) for finding in found.findings),
        cells=tuple(
            AuditedCell(**asdict(cell), provable=smallest_provable(environment, cell.level, rules, error))
            for cell in found.cells
        ),
        isolation=doors,
        model=_model_score(source, home, items),
    )


def _gate(home: Home | None) -> tuple[GateRules, float]:
    """Return the gate's rules and the level of its next confirmation: the home's, else a new one's."""
    if home is None or not home.config_path.is_file():
        return GateRules(), level(GateRules().alpha, 1)
    from services.home.open import gate_rules

    rules = gate_rules(home.config())
    return rules, next_error(home, rules)


def _tier(home: Home | None) -> AbstractContextManager[SandboxHandle]:
    """Return where programs run: as the home says, else the embedded tier."""
    if home is None or not home.config_path.is_file():
        return nullcontext(embedded())
    return open_sandbox(home.path, home.config(), by="audit")


def _audited(source: Source, handle: SandboxHandle, items: int) -> tuple[Environment, Audit, dict[str, bool]]:
    """Return an environment, its audit, and which doors were closed to its code."""
    pool = GraderPool([source], sandbox=handle)
    try:
        environment = pool.describe()[0]
        if environment.runs:
            require_answer(handle)
        return environment, audited(pool, environment, _tasks(pool, environment, items)), pool.closed_doors
    except BadEnvironment as error:
        raise BadInput.of(error) from error
    finally:
        pool.close()


def _source(name: str, home: Home | None) -> Source:
    if home is not None and home.config_path.is_file():
        from services.home.open import sources

        known = {source.name: source for source in sources(home.path, home.config())}
        if name in known:
            return known[name]
    folder = home.path if home is not None else Path.cwd()
    return source_of(name, folder)


def _tasks(pool: GraderPool, environment: Environment, items: int) -> list[Task]:
    wanted = [(environment.name, level, Split.TRAIN, 3, 0, items) for level in environment.levels]
    return [task for drawn in pool.draw_many(wanted) for task in drawn.tasks]


def _model_score(source: Source, home: Home | None, items: int) -> ModelScore | None:
    """Return the champion's (or base's) score on probe items; None without a home that uses the environment."""
    if home is None or not home.config_path.is_file() or source.name not in home.config().environments:
        return None
    from metaevo.diagnose import probe_items
    from metaevo.runtime.answering import measure
    from objectives.statistics import interval
    from services.home.open import open_home

    with open_home(home, engines=1) as app:
        cells = list(app.host.environments[source.name].cells)
        groups = probe_items(app.host, 5, items, cells)
        tasks = tuple(task for group in groups.values() for task in group)
        champion = app.host.lineage.get("champion")
        report = measure(app.host, app.host.engine, champion, tasks, Split.PROBE)
        scores = [outcome.score for outcome in report.outcomes if outcome.score is not None]
        return ModelScore(generation=champion.id, **interval(scores)._asdict())
