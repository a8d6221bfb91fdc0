"""A candidate whose answers cost more must be worth it: also better than its parent with the same tokens.

The parent gets those tokens as self-consistency (Wang et al. 2022, arXiv:2203.11171): so many samples, majority.
"""

from collections import Counter

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.protocol import Sampling
from metaevo.gate.case import Case
from metaevo.gate.evidence import GuardFinding
from metaevo.gate.exam import GateExam, Pairs, pair
from metaevo.runtime.answering import HeldExam, examine, measure_mark
from metaevo.types import Attempt, Generation, Tasks, Turn, solved
from objectives.betting import Wealth
from objectives.types import Split

NAME = "cost per answer"
MOST_SAMPLES = 16


def cost(exam: GateExam, case: Case) -> GuardFinding:
    """Return the ratio of the tokens both spend on the same items."""
    candidate, parent = case.candidate, case.parent
    tasks = exam.items(case.cells, exam.at.cycle, exam.rules.screen_items, "guards")
    both = exam.pairs("guard_cost", 0, candidate, parent, tasks)
    ratio = both.tokens[0] / max(1, both.tokens[1])
    if ratio <= exam.rules.answer_ratio:
        return GuardFinding(True, {"ratio": ratio})
    samples = min(MOST_SAMPLES, max(2, round(ratio)))
    mark = fingerprint(measure_mark(exam.host, candidate, tasks), measure_mark(exam.host, parent, tasks), samples)

    def run() -> Pairs:
        new, spent = examine(exam.host, exam.engine, candidate, tasks, Split.GATE)
        held = HeldExam(exam.host, exam.engine, tasks, Split.GATE)
        old = held.grade(parent, _majority(exam, parent, tasks, samples))
        return pair(tasks, new, old, (spent, spent))

    found = exam.journal.step(exam.at.key("guard_cost", 1), mark, run, kind=Pairs, shelf=exam.shelf)
    gain = Wealth().bet(found.differences).gain(0.90)
    numbers = {"ratio": ratio, "samples": samples, "gain": gain.mean, "low": gain.low, "n": gain.n}
    return GuardFinding(gain.low > 0, numbers)


def _majority(exam: GateExam, parent: Generation, tasks: Tasks, samples: int) -> tuple[Attempt, ...]:
    """Return the parent's majority answer of several samples to every task."""
    host = exam.host
    how = Sampling(
        n=samples,
        temperature=0.7,
        top_p=1.0,
        max_tokens=max(host.max_tokens(task.environment) for task in tasks),
        stop=(),
        seed=exam.at.cycle,
    )
    made_P_k = exam.engine.sample(parent, [task.prompt for task in tasks], how)
    best = [min(Counter(m.text for m in made).items(), key=lambda item: (-item[1], item[0]))[0] for made in made_P_k]
    return tuple(
        Attempt(task, solved((Turn("assistant", text, parent.id),))) for task, text in zip(tasks, best, strict=True)
    )
