"""Put a home together: from metaevo.toml to a host with engines and graders, and an evolution that can run."""

import fnmatch
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaevo import prompts
from metaevo.artifacts import base
from metaevo.engines.client import EngineClient
from metaevo.engines.grader import GraderPool
from metaevo.engines.protocol import Engine
from metaevo.errors import BadInput
from metaevo.evolve import Evolution
from metaevo.founding import found, secret_of
from metaevo.gate.rules import GateRules
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.ledger.tables import ConfigRow
from metaevo.line.host import Host
from metaevo.modules.registry import Registry
from metaevo.recipes import schema
from metaevo.search.run import SearchRules
from metaevo.terms import Settings
from metaevo.types import Attempt, Experience, Experiences, Turn, solved
from objectives.environment import BadEnvironment, messages
from objectives.finder import Source
from objectives.goals import BadGoals, check
from objectives.splits import canonical, task_id
from objectives.types import Direction, Environment, Split, Task
from services import later
from services.home import Home
from services.settings import Config

BUILT_IN = "builtin:"
TINY_ANSWER = 24
MakeEngines = Callable[[Home, Config, int], Sequence[Engine]]


@dataclass(slots=True)
class App:
    """One home, opened for work."""

    home: Home
    config: Config
    host: Host
    settings: Settings
    ledger: Ledger

    def evolution(self) -> Evolution:
        """Return the evolution of this home."""
        secret = secret_of(self.ledger, self.config.seed)
        made = Evolution(self.host, self.settings, secret)
        made.runtime = self.host.engine.identity
        return made


def sources(home: Path, config: Config) -> list[Source]:
    """Return the environments as what to use and how."""
    found_ = []
    for name, table in config.environments.items():
        options = {
            key: value
            for key, value in table.model_dump(exclude={"use", "timeout", "answer"}).items()
            if value is not None
        }
        if table.timeout is not None:
            options["timeout_s"] = table.timeout
        if isinstance(table.answer, int) and not isinstance(table.answer, bool):
            options["answer_tokens"] = table.answer
        elif table.answer is not None:
            options["answer"] = str(table.answer)
        found_.append(Source(name, table.use or name, str(home), options))
    return found_


@contextmanager
def graders(home: Path, config: Config) -> Iterator[tuple[GraderPool, dict[str, Environment]]]:
    """Yield the grader pool and what it holds.

    Raises:
        BadInput: There is no environment, or one is missing or wrong.
    """
    if not config.environments:
        raise BadInput("metaevo.toml: environments: name at least one, for example [environments] addition = {}")
    pool = GraderPool(sources(home, config))
    try:
        found_ = {environment.name: environment for environment in pool.describe()}
        yield pool, found_
    except BadEnvironment as error:
        raise BadInput(str(error)) from error
    finally:
        pool.close()


@contextmanager
def opened(home: Home, *, make: MakeEngines | None = None, engines: int | None = None) -> Iterator[App]:
    """Hold the home and yield it ready for work; everything it started ends with the block.

    Raises:
        BadInput: The configuration asks for what is not here, contradicts itself or measures nothing.
        Busy: Another process holds the home.
    """
    config = home.config()
    text = home.text
    later.refuse(config, text)
    with home.held(), graders(home.path, config) as (pool, environments):
        wishes_checked(config, environments, Registry(home.path))
        ledger = open_ledger(home.path / "metaevo.db", create=True)
        remember(ledger, text)
        ledger.set_meta("abilities", json.dumps({name: env.ability for name, env in environments.items()}))
        width = engines or config.placement.trials or side_by_side()
        made = (make or processes)(home, config, width)
        host = Host(
            ledger,
            home.store(),
            Registry(home.path),
            pool,
            made,
            environments,
            dialect(config),
            config.seed if config.seed is not None else 1,
            answer_tokens(config),
            system_prompt(home, config),
            seed_data(home, config),
            home.path,
        )
        pool.on_event = lambda code, sentence, data: ledger.event(code, sentence, None, **data)
        try:
            if host.lineage.alias("champion") is None:
                secret_of(ledger, config.seed)
                found(host, base.refer(host.store, base_folder(home, config), "metaevo.toml: model.base"))
            yield App(home, config, host, settings(config, host), ledger)
        finally:
            for engine in made:
                engine.close()
            ledger.close()


def processes(home: Home, config: Config, width: int) -> Sequence[Engine]:
    """Return the engines: one process of transformers and TRL per parallel trial, one thread each where several."""
    cores = len(os.sched_getaffinity(0))
    threads = max(1, cores // width)
    return [
        EngineClient(home.store(), home.path, threads=threads, merge_every=config.training.merge_every)
        for _ in range(width)
    ]


def side_by_side() -> int:
    """Return how many trials run side by side by default: one per core, as memory allows, at most four."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(len(os.sched_getaffinity(0)), int(free // (2 * 2**30)), 4))


def base_folder(home: Home, config: Config) -> Path:
    """Return the base checkpoint's folder."""
    name = config.model.base
    if name.startswith(BUILT_IN):
        import metaevo.tiny

        if name != f"{BUILT_IN}tiny":
            raise BadInput(f"metaevo.toml: model.base = {name!r}: the built-in base is {BUILT_IN}tiny")
        return metaevo.tiny.CHECKPOINT
    return (home.path / name).resolve()


def dialect(config: Config) -> prompts.Dialect:
    """Return the base's dialect."""
    return prompts.load(config.model.dialect or ("tiny" if config.model.base == f"{BUILT_IN}tiny" else "english"))


def answer_tokens(config: Config) -> int:
    """Return how long an answer may be: as set, and short for the built-in base, whose answers are."""
    given = "answer" in config.model.model_fields_set
    return TINY_ANSWER if not given and config.model.base.startswith(BUILT_IN) else config.model.answer


def system_prompt(home: Home, config: Config) -> str:
    """Return the operator's system prompt.

    Raises:
        BadInput: The file is missing.
    """
    if config.model.system_prompt is None:
        return ""
    path = home.path / config.model.system_prompt.file
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"metaevo.toml: model.system_prompt.file = {path.name!r}: {error.strerror}") from error


def seed_data(home: Home, config: Config) -> Experiences:
    """Return the rows of [data] replay: JSONL with prompt and completion (or answer).

    Raises:
        BadInput: A pattern matches nothing, is forbidden, or a line is broken.
    """
    rows: list[Experience] = []
    for pattern in config.data.replay:
        if any(fnmatch.fnmatch(pattern, forbidden) for forbidden in config.forbid.data):
            raise BadInput(f"metaevo.toml: data.replay = {pattern!r} contradicts forbid.data; drop one")
        files = sorted(home.path.glob(pattern))
        if not files:
            raise BadInput(f"metaevo.toml: data.replay = {pattern!r}: no such file in {home.path}")
        for path in files:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if line.strip():
                    rows.append(_seed_row(line, f"{path.name}:{number}"))
    return tuple(rows)


def _seed_row(line: str, place: str) -> Experience:
    try:
        data: Mapping[str, Any] = json.loads(line)
        prompt = messages(data["prompt"])
        text = data.get("completion", data.get("answer"))
        if not isinstance(text, str):
            raise BadEnvironment("completion must be text")
    except (ValueError, KeyError, TypeError, BadEnvironment) as error:
        raise BadInput(f"data.replay: {place}: want prompt and completion ({error})") from error
    task = Task(task_id("seed", canonical(prompt)), "seed", 0, Split.TRAIN, prompt)
    return Experience(Attempt(task, solved((Turn("assistant", text, "seed"),))), (), 1.0, tags=("seed",))


def wishes_checked(config: Config, environments: Mapping[str, Environment], registry: Registry) -> None:
    """Refuse goals that contradict themselves or that nothing measures.

    Raises:
        BadInput: The first one, by name.
    """
    methods = [
        *schema.names(registry.home),
        *(
            n
            for slot in ("tasks", "solutions", "feedback", "refinement", "stability", "update", "consolidation")
            for n in registry.names(slot)
        ),
    ]
    try:
        check(config.wishes(), environments, methods)
    except BadGoals as error:
        raise BadInput(f"metaevo.toml: {error}") from error


def settings(config: Config, host: Host) -> Settings:
    """Return what the operator set for all cycles.

    Raises:
        BadInput: A pinned objective or recipe does not exist.
    """
    from metaevo.diagnose import ProbeRules

    wishes = config.wishes()
    margins = [rule.margin for rule in wishes.rules(host.environments) if rule.margin is not None]
    return Settings(
        goals=wishes,
        gate=GateRules(config.gate.alpha, config.gate.screen_items, max_items=config.gate.max_items),
        search=SearchRules(
            config.search.trials, config.search.fidelity, config.search.finals, margin=min(margins, default=1.0)
        ),
        probe=ProbeRules(config.diagnosis.items, config.diagnosis.samples),
        rule=host.registry.get("objective", config.objective.rule, "metaevo.toml: objective.rule").name,
        fixed_recipe=schema.load(config.fixed.recipe, host.registry) if config.fixed.recipe else None,
        fixed_objective=_fixed_objective(config, host),
        observe=config.mode == "observe",
    )


def _fixed_objective(config: Config, host: Host) -> tuple[str, str] | None:
    text = config.fixed.objective
    if text is None:
        return None
    ability, _, direction = text.partition("/")
    known = sorted({f"{e.ability}/{e.direction.value}" for e in host.environments.values()})
    if f"{ability}/{direction or Direction.PERFORMANCE.value}" not in known:
        raise BadInput(f"metaevo.toml: fixed.objective = {text!r}: nothing measures it; measured: {', '.join(known)}")
    return ability, direction or Direction.PERFORMANCE.value


def remember(ledger: Ledger, text: str) -> None:
    """Keep this version of the configuration as a ledger row."""
    from metaevo.artifacts.fingerprint import fingerprint

    with ledger.write() as session:
        digest = fingerprint(text)
        if session.get(ConfigRow, digest) is None:
            session.add(ConfigRow(digest=digest, text=text, at=ledger.now()))
