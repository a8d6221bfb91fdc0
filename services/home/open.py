"""Put a home together: from metaevo.toml to a host with engines and graders, and an evolution that can run."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from metaevo.artifacts import base
from metaevo.effects import Policy, Run
from metaevo.engines.client import EngineClient
from metaevo.engines.grader import GraderPool
from metaevo.engines.protocol import Engine
from metaevo.errors import BadInput
from metaevo.evolution.bootstrap import exam_secret, publish_base, scheme_of
from metaevo.evolution.context import CycleSettings
from metaevo.evolution.loop import Evolution
from metaevo.gate.settings import GateRules
from metaevo.ledger.ledger import Ledger
from metaevo.recipes import schema
from metaevo.recipes.schema import Recipe
from metaevo.registry.registry import Registry
from metaevo.runtime.effects import EnginePolicy
from metaevo.runtime.host import Host
from metaevo.runtime.sandbox import KernelRun
from metaevo.search.run import SearchRules
from metaevo.synthesis.step import SynthesisRules
from metaevo.types import Generation
from objectives.environment import BadEnvironment
from objectives.finder import Source
from objectives.splits import NEWEST, Scheme
from objectives.types import Direction, Environment
from sandbox.handle import SandboxHandle
from services.config import unsupported
from services.config.tables import Config
from services.home import proposers
from services.home.audits import refuse_unfit
from services.home.home import Home
from services.home.machine import usable_cores
from services.home.margins import check_margins, gate_items
from services.home.preflight import BASE, Preflight, answer_tokens, chat_settings, check_config, check_same_base
from services.home.samples import keep_samples, kept_samples
from services.home.sandbox import open_sandbox, require_answer

BUILT_IN = "builtin:"
TINY_ANSWER = 24
MakeEngines = Callable[[Home, Config, int], Sequence[Engine]]


@dataclass(slots=True)
class App:
    """One home, opened for work."""

    home: Home
    config: Config
    host: Host
    settings: CycleSettings
    ledger: Ledger

    def evolution(self) -> Evolution:
        """Return the evolution of this home."""
        secret = exam_secret(self.home.path, self.ledger, self.config.gate.secret_seed)
        made = Evolution(self.host, self.settings, secret)
        made.runtime = self.host.engine.identity
        made.authors = proposers.authors(self.config.proposer, self.home.path, self._writes, self.host.dialect.name)
        return made

    def _writes(self, generation: Generation, seed: int) -> Policy:
        """Return a generation as a policy: the champion as it writes kernels."""
        return EnginePolicy(self.host, self.host.engine, generation, seed)


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
def graders(
    home: Path, config: Config, handle: SandboxHandle | None = None, scheme: Scheme = NEWEST
) -> Iterator[tuple[GraderPool, dict[str, Environment]]]:
    """Yield the grader pool and what it holds; programs of rewards run on ``handle``, default: a tier of its own.

    Raises:
        BadInput: There is no environment, one is missing or wrong, or [sandbox] is.
    """
    if not config.environments:
        raise BadInput("metaevo.toml: environments", "", "name at least one, for example [environments] addition = {}")
    with nullcontext(handle) if handle is not None else open_sandbox(home, config, by="look") as opened_:
        pool = GraderPool(sources(home, config), sandbox=opened_, scheme=scheme, samples=kept_samples(home))
        try:
            found_ = {environment.name: environment for environment in pool.describe()}
            yield pool, found_
        except BadEnvironment as error:
            raise BadInput.of(error) from error
        finally:
            pool.close()


@contextmanager
def open_home(
    home: Home,
    *,
    make: MakeEngines | None = None,
    engines: int | None = None,
    on_ready: Callable[[Mapping[str, Environment]], None] = lambda _environments: None,
    measures: bool = True,
    audits: bool = False,
) -> Iterator[App]:
    """Hold the home and yield it ready for work; everything it started ends with the block.

    ``on_ready`` gets the environments once all was looked at. What ``measures`` nothing needs neither margins that its
    items decide nor a sandbox's daemon; what ``audits`` refuses environments whose reward cannot be trusted.

    Raises:
        BadInput: The configuration asks for what is not here, contradicts itself or measures nothing.
        Busy: Another process holds the home.
        SandboxUnavailable: The configured daemon is not there, or does not keep a limit.
    """
    config, text = home.config(), home.text
    unsupported.refuse(config, text)
    with (
        home.held(),
        open_sandbox(home.path, config) as handle,
        graders(home.path, config, handle, _scheme(home)) as (pool, environments),
    ):
        registry = Registry(home.path)
        ready, chosen = (
            check_config(home, config, environments, registry),
            cycle_settings(config, environments, registry),
        )
        if measures:
            check_margins(chosen.goals, gate_items(pool, environments), environments, chosen.gate)
        _looked(home, handle if measures else None)
        if audits:
            refuse_unfit(home, pool, list(environments.values()))
        on_ready(environments)
        ledger = home.ledger(read_only=False, create=True)
        made: Sequence[Engine] = ()
        try:
            remember(ledger, text, environments)
            made = (make or engine_processes)(home, config, engines or config.placement.trials or parallel_trials())
            host = _host(home, config, ready, ledger, registry, pool, made, environments, KernelRun(handle))
            pool.on_event = lambda code, sentence, data: ledger.event(code, sentence, None, **data)
            if host.lineage.alias("champion") is None:
                _founded(home, config, ready, host)
            else:
                check_same_base(host, ready.base)
            keep_samples(home.path, pool.samples)
            yield App(home, config, host, chosen, ledger)
        finally:
            for engine in made:
                engine.close()
            ledger.close()


def _scheme(home: Home) -> Scheme:
    """Return how this home splits its texts; whoever asks holds it already."""
    if not home.founded:
        return NEWEST
    ledger = home.ledger(read_only=False)
    try:
        return scheme_of(ledger)
    finally:
        ledger.close()


def _looked(home: Home, handle: SandboxHandle | None) -> None:
    """Tell a damaged ledger or a sandbox that is away before anything begins, as everything else is."""
    if home.founded:
        home.ledger(read_only=False).close()
    if handle is not None:
        require_answer(handle)


def _founded(home: Home, config: Config, ready: Preflight, host: Host) -> None:
    """Publish generation 0; where the engine cannot load the base, nothing of the attempt is left behind."""
    exam_secret(home.path, host.ledger, config.gate.secret_seed)
    host.ledger.set_meta("splits", str(int(host.scheme)))
    try:
        publish_base(host, base.refer(host.store, ready.base, BASE))
    except BadInput as error:
        home.forget()
        known = error.place in (BASE, "model.base")
        raise (error.at(BASE) if known else error.inside(BASE)) from error


def _host(
    home: Home,
    config: Config,
    ready: Preflight,
    ledger: Ledger,
    registry: Registry,
    pool: GraderPool,
    engines: Sequence[Engine],
    environments: Mapping[str, Environment],
    run: Run,
) -> Host:
    return Host(
        ledger=ledger,
        store=home.store(),
        registry=registry,
        graders=pool,
        engines=engines,
        environments=environments,
        dialect=ready.dialect,
        seed=config.seed if config.seed is not None else 1,
        answer_tokens=answer_tokens(config),
        chat=ready.chat,
        seed_data=ready.seed_data,
        folder=home.path,
        scheme=pool.scheme,
        run=run,
    )


def engine_processes(home: Home, config: Config, width: int) -> Sequence[Engine]:
    """Return the engines: one process of transformers and TRL per parallel trial, one thread each where several."""
    cores = usable_cores()
    threads = max(1, cores // width)
    return [
        EngineClient(
            home.store(),
            home.path,
            threads=threads,
            merge_every=config.training.merge_every,
            gpu=config.training.gpus > 0,
            chat=chat_settings(home, config),
        )
        for _ in range(width)
    ]


def parallel_trials() -> int:
    """Return how many trials run side by side by default: one per core, as memory allows, at most four."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(usable_cores(), int(free // (2 * 2**30)), 4))


def cycle_settings(config: Config, environments: Mapping[str, Environment], registry: Registry) -> CycleSettings:
    """Return what the operator set for all cycles.

    Raises:
        BadInput: A pinned objective or recipe does not exist.
    """
    from metaevo.diagnose import ProbeRules

    wishes = config.wishes()
    margins = [rule.margin for rule in wishes.rules(environments) if rule.margin is not None]
    return CycleSettings(
        goals=wishes,
        gate=gate_rules(config),
        search=SearchRules(
            config.search.trials, config.search.fidelity, config.search.finals, margin=min(margins, default=1.0)
        ),
        synthesis=SynthesisRules(config.search.kernels),
        probe=ProbeRules(config.diagnosis.items, config.diagnosis.samples),
        rule=registry.get("objective", config.objective.rule, "metaevo.toml: objective.rule").name,
        fixed_recipe=_fixed_recipe(config, registry),
        fixed_objective=_fixed_objective(config, environments),
        observe=config.mode == "observe",
    )


def gate_rules(config: Config) -> GateRules:
    """Return what the gate decides by."""
    gate = config.gate
    return GateRules(
        gate.alpha,
        gate.screen_items,
        max_items=gate.max_items,
        told_items=min(GateRules().told_items, gate.max_items),  # a small exam tells its gains on few items, too
        odds=config.odds,
        secret_seed=gate.secret_seed,
    )


def _fixed_recipe(config: Config, registry: Registry) -> Recipe | None:
    if config.fixed.recipe is None:
        return None
    try:
        return schema.load(config.fixed.recipe, registry)
    except BadInput as error:
        raise error.inside("metaevo.toml: fixed.recipe") from error


def _fixed_objective(config: Config, environments: Mapping[str, Environment]) -> tuple[str, str] | None:
    text = config.fixed.objective
    if text is None:
        return None
    ability, _, direction = text.partition("/")
    known = sorted({f"{e.ability}/{e.direction.value}" for e in environments.values()})
    if f"{ability}/{direction or Direction.PERFORMANCE.value}" not in known:
        raise BadInput(
            "metaevo.toml: fixed.objective", "nothing measures it", f"measured: {', '.join(known)}", given=repr(text)
        )
    return ability, direction or Direction.PERFORMANCE.value


def remember(ledger: Ledger, text: str, environments: Mapping[str, Environment]) -> None:
    """Keep this version of the configuration as a ledger row, and which ability each environment measures."""
    from metaevo.artifacts.fingerprint import fingerprint

    ledger.set_meta("abilities", json.dumps({name: env.ability for name, env in environments.items()}))
    ledger.keep_config(fingerprint(text), text)
