"""Synthesis as a part of the cycle: kernels are proposed, admitted, and files of the home before search begins.

Every proposal is one journalled step with a stream of its own; what it rests on (archive, known ids, samples) is of
earlier cycles and earlier steps only, so a cycle that died goes on with the same kernels. A refusal is a row with its
reason; a sandbox that does not answer ends synthesis for this cycle and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from metaevo.artifacts.bodies import BodyStore
from metaevo.artifacts.fingerprint import fingerprint
from metaevo.effects import Run
from metaevo.engines.protocol import Sampling
from metaevo.errors import BadInput, ModuleFailed, SandboxUnavailable
from metaevo.kernels import CONTRACTS, TASK
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.steps import StepName
from metaevo.registry import generated_files
from metaevo.registry.generated import Code
from metaevo.runtime.answering import grade, measure_mark, sample
from metaevo.runtime.effects import redact
from metaevo.runtime.host import Host
from metaevo.runtime.sandbox import KernelRun
from metaevo.synthesis.admission import Admission, admit, admitted_module
from metaevo.synthesis.archive import Candidate, KernelArchive
from metaevo.synthesis.authors import Authors, no_author
from metaevo.synthesis.inputs import Samples
from metaevo.synthesis.proposals import Cost, Proposer, Request, in_turn
from metaevo.synthesis.proposer import Grammar
from metaevo.synthesis.record import UNAVAILABLE, Proposal, archive_of, failures, known_ids, outcome_events, sum_spent
from metaevo.synthesis.refusals import RejectReason as Why
from metaevo.synthesis.samples import describe, fixed_calls
from metaevo.synthesis.tree import from_json
from metaevo.trial import TrialData
from metaevo.types import Experience, Experiences
from sandbox.errors import Refused, Unavailable
from sandbox.types import Sandbox

KINDS = ("keep", "weight", "score", "order")
"""What a cycle proposes, in turn. A rule that chooses objectives and a rewriting of tasks have no trial beside them."""
EACH = 6
"""Proposals for each kernel that a cycle may admit: most that are refused do nothing on the home's own rows."""
TASKS, DRAWN = 32, Sampling(4, temperature=1.0)
"""How many train tasks the champion answers for admission, and how."""
SHOWN = 2
"""Of how many of those tasks an author may see the rows; what was written so is tried on the others."""
SENTENCE = 300
"""Characters of a sentence that is kept."""


@dataclass(frozen=True, slots=True)
class SynthesisRules:
    """How much a cycle writes. The operator sets it."""

    kernels: int = 0
    """New kernels a cycle may admit; 0: nothing is proposed."""


@dataclass(slots=True)
class Synthesis:
    """One cycle's synthesis. ``forbidden`` are methods the operator forbade, ``generated:SLOT`` among them."""

    host: Host
    journal: Journal
    cycle: int
    ground: TrialData
    rules: SynthesisRules
    forbidden: Sequence[str] = ()
    authors: Authors = no_author
    done: list[Proposal] = field(default_factory=list)

    def run(self) -> tuple[str, ...]:
        """Return the modules admitted in this cycle as ``slot.name``; their files are in the home.

        Raises:
            BadInput: There is no home to write them into.
        """
        kinds = [kind for kind in KINDS if not {f"generated:{slot}" for slot in _slots(kind)} & set(self.forbidden)]
        if not kinds or self.rules.kernels == 0:
            return ()
        home = self.host.registry.home
        if home is None:
            raise BadInput("search.kernels", "there is no home to write modules into", "set it to 0")
        archive = archive_of(self.host.ledger, self.host.store, self.host.registry, self.cycle)
        known, samples = known_ids(self.host.ledger, self.cycle), self._samples()
        for position in range(EACH * self.rules.kernels):
            kind = kinds[(self.cycle + position) % len(kinds)]
            made = self._step(position, kind, archive, known, samples)
            self.done.append(made)
            if made.reason == UNAVAILABLE or sum(one.accepted for one in self.done) == self.rules.kernels:
                break
        return self._written(home)

    def _step(
        self, position: int, kind: str, archive: KernelArchive, known: frozenset[str], samples: Samples | None
    ) -> Proposal:
        """Return one proposal with what became of it."""
        key = At(self.cycle).key(StepName.KERNEL, position)
        rng = self.journal.stream(key)
        parents = archive.ask(rng, kind)
        before = frozenset(one.candidate.id for one in self.done if one.candidate is not None)
        rows = _apart(samples)[0].shown(kind) if samples else ()
        request = Request(kind, parents, known | before, rows)
        proposers = (*self.authors(self.ground.parent, sum_spent(self.done)), Grammar())
        mark = fingerprint(
            self.journal.stream_seed(key),
            kind,
            [(parent.candidate.id, parent.quality, parent.noise) for parent in parents],
            sorted(request.known),
            [proposer.name for proposer in proposers],
            [row.attempt.solution.id for row in samples.experiences] if samples else None,
            self.host.run.identity,
        )
        return self.journal.step(
            key,
            mark,
            lambda: self._proposal(request, proposers, rng, samples),
            kind=Proposal,
            counts=Proposal.counts,
        )

    def _proposal(
        self, request: Request, proposers: Sequence[Proposer], rng: Random, samples: Samples | None
    ) -> Proposal:
        """Ask for a candidate and judge it."""
        turns = in_turn(proposers, request, rng)
        cost = Cost(sum(r.cost.calls for r in turns.refusals), sum(r.cost.tokens for r in turns.refusals))
        failed = failures(turns.refusals, sum_spent(self.done).failures)
        slot = CONTRACTS[request.kind].slot
        found = Proposal(request.kind, slot, refusals=turns.refusals, failures=failed, cost=cost)
        if turns.proposed is None:
            last = turns.refusals[-1]
            return replace(found, reason=str(last.reason), sentence=last.detail)
        candidate = turns.proposed.candidate
        if turns.proposed.cost.calls:
            more = turns.proposed.cost
            found = replace(found, failures=0, cost=Cost(cost.calls + more.calls, cost.tokens + more.tokens))
        return self._judged(replace(found, candidate=candidate, slot=slot_of(candidate)), candidate, samples)

    def _judged(self, found: Proposal, candidate: Candidate, samples: Samples | None) -> Proposal:
        """Return the proposal with what admission said of it."""
        # Admission tries rows the author was not shown: what does something on the shown ones alone is memorised.
        shown, rest = _apart(samples) if samples and candidate.saw_rows else (None, samples)
        try:
            tier = _tier(self.host.run)
            decided = admit(candidate.source, candidate.kind, found.slot, tier, samples=rest, shown=shown)
            found = replace(found, numbers=dict(decided.numbers), tier=decided.tier)
            if not decided.accepted:
                return replace(found, reason=str(decided.reason), sentence=decided.sentence)
            behaviour = _behaviour(self.host.run, candidate)
        except ModuleFailed as error:  # on records that were made up, beyond what admission tried
            return replace(found, reason=str(Why.CRASHES), sentence=str(error)[:SENTENCE])
        except SandboxUnavailable as error:
            said = f"no kernel is written in this cycle: {error}"[:SENTENCE]
            self.host.ledger.event("synthesis_unavailable", said, self.cycle)
            return replace(found, reason=UNAVAILABLE, sentence=str(error)[:SENTENCE])
        return replace(found, name=f"syn_{candidate.kind}_{candidate.id[:8]}", behaviour=behaviour)

    def _written(self, home: Path) -> tuple[str, ...]:
        """Write the admitted kernels' files, as a journalled step; what a person did to one since then stays."""

        def write() -> tuple[str, ...]:
            for made in self.done:
                if made.accepted and not generated_files.path_of(home, made.slot, made.name).exists():
                    generated_files.save(home, self._file(made))
            for event, said, facts in outcome_events(self.done):
                self.host.ledger.event(event, said[:SENTENCE], self.cycle, **facts)
            return tuple(made.label for made in self.done if made.accepted)

        return self.journal.step(
            At(self.cycle).key(StepName.KERNELS),
            fingerprint([made.label for made in self.done]),
            write,
            kind=tuple[str, ...],
            counts=lambda made: {"proposed": len(self.done), "admitted": len(made)},
        )

    def _file(self, made: Proposal) -> generated_files.Generated:
        """Return what the file of an admitted kernel says."""
        if made.candidate is None:
            raise ValueError("an admitted kernel has a candidate")
        code = Code(made.slot, made.kind, made.name, made.candidate.source)
        parents = tuple(f"syn_{made.kind}_{id_[:8]}" for id_ in made.candidate.parents)
        passed = Admission(True, None, "", made.numbers, made.tier)
        who = {"model": made.candidate.model, "prompt": made.candidate.prompt}
        return admitted_module(code, passed, made.candidate.by, parents=parents, cycle=self.cycle, **who)

    def _samples(self) -> Samples | None:
        """Return graded answers of the champion to some of the objective's train tasks, as a journalled step.

        None where the environment could judge none of them: admission draws its own then.
        """
        seeds, champion = self.ground.seeds, self.ground.parent
        tasks = seeds[:: max(1, len(seeds) // TASKS)][:TASKS]
        key = At(self.cycle).key(StepName.KERNEL_ROWS)
        how = replace(DRAWN, seed=self.journal.stream_seed(key) % 2**31)

        def judged() -> Experiences:
            attempts = sample(self.host, self.host.together, champion, tasks, how)
            verdicts = grade(self.host, tasks, attempts)
            clean = {task.id: task for task in redact(tasks)}
            return tuple(
                Experience(replace(attempt, task=clean[attempt.task.id]), (verdict,), verdict.score)
                for attempt, verdict in zip(attempts, verdicts, strict=True)
                if verdict.score is not None
            )

        mark = fingerprint(measure_mark(self.host, champion, tasks), how)
        rows = self.journal.step(key, mark, judged, shelf=BodyStore(self.host.store))
        return Samples(rows) if rows else None


def _apart(samples: Samples) -> tuple[Samples, Samples]:
    """Return what an author may see of the samples, nothing where there are few tasks; and the others."""
    return samples.apart(SHOWN if len(samples.tasks) > 2 * SHOWN else 0)


def slot_of(candidate: Candidate) -> str:
    """Return where a kernel belongs: one that orders by what tasks have orders tasks, others the rows."""
    if candidate.kind == "order" and candidate.tree is not None:
        named = {node.value for node in from_json(candidate.tree) if node.op in ("field", "given", "known")}
        return "tasks" if named <= set(TASK) else "refinement"
    return CONTRACTS[candidate.kind].slot


def _slots(kind: str) -> set[str]:
    return {"tasks", "refinement"} if kind == "order" else {CONTRACTS[kind].slot}


def _tier(run: Run) -> Sandbox:
    """Return the tier behind `Run`.

    Raises:
        SandboxUnavailable: It does not answer, is refused, or kernels run on none.
    """
    if not isinstance(run, KernelRun):
        raise SandboxUnavailable(f"{run.identity} is not a tier of the sandbox")
    try:
        return run.handle.tier()
    except (Unavailable, Refused) as error:
        raise SandboxUnavailable(str(error)) from error


def _behaviour(run: Run, candidate: Candidate) -> tuple[float, float]:
    """Return the numbers that say how a kernel behaves on the fixed records.

    Raises:
        ModuleFailed: It fails on them.
        SandboxUnavailable: Infrastructure failed.
    """
    calls = fixed_calls(candidate.kind)
    return describe(candidate.kind, calls, run(candidate.kernel, calls))
