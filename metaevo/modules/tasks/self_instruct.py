"""Self-Instruct: the model poses new tasks of the kind it is shown.

Wang et al. 2022, arXiv:2212.10560. Differs from the paper: near-duplicates are found by character trigrams instead
of ROUGE-L, and the host drops what is not a task of the environment or lies outside the train split. A posed task
has an answer only where its environment can read it; otherwise only models can judge it.
"""

from typing import Annotated

from metaevo import Knob, Policy, Prompts, Random, Tasks
from metaevo.modules.shared.posing import posed
from metaevo.modules.shared.trigrams import nearer, trigrams


def self_instruct(
    tasks_P: Tasks,
    *,
    policy: Policy,
    prompts: Prompts,
    rng: Random,
    n: Annotated[int, Knob(16, 256, log=True, least=1, most=100_000, budget=True)] = 64,
    shots: Annotated[int, Knob(1, 8, least=1, most=32)] = 4,
    temperature: Annotated[float, Knob(0.5, 1.2, least=0.0, most=2.0)] = 0.8,
    tau: Annotated[float, Knob(0.4, 0.95, least=0.0, most=1.0)] = 0.9,
    keep_parents: bool = True,
) -> Tasks:
    """Return the posed tasks, preceded by the P parents when ``keep_parents``; near-duplicates are dropped."""
    pool = sorted(tasks_P, key=lambda task: task.id)
    if not pool:
        return ()
    parents = [rng.choice(pool) for _ in range(n)]
    asked = []
    for parent in parents:
        siblings = [task.text for task in pool if task.cell == parent.cell]
        examples = "\n\n".join(rng.sample(siblings, min(shots, len(siblings))))
        tag = parent.text.split()[0] if parent.text.split() else ""
        asked.append(prompts.ask("pose", examples=examples, tag=tag, level=parent.level))
    texts = [row[0].text.strip() for row in policy.sample(asked, n=1, temperature=temperature)]
    known = [trigrams(task.text) for task in pool]
    made = []
    for parent, text in zip(parents, texts, strict=True):
        grams = trigrams(text)
        if not text or any(nearer(grams, other, tau) for other in known):
            continue
        known.append(grams)
        made.append(posed(parent, text))
    return (*(tasks_P if keep_parents else ()), *made)
