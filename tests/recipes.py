"""Rejection-sampling fine-tuning as a recipe file: the one recipe that tests change a line of."""

from collections.abc import Sequence


def rft(
    name: str = "mine",
    *,
    head: str = "",
    tasks: str = "",
    use: str = "direct_sampling",
    solutions: str = "",
    feedback: Sequence[str] = ("answer_check",),
    refinement: Sequence[str] = ("metric_filter",),
    stability: Sequence[str] = (),
    update: str = "",
    consolidation: Sequence[str] = (),
) -> str:
    """Return the recipe's TOML; ``tasks``, ``solutions`` and ``update`` are further lines of those steps."""
    lines = [f'name = "{name}"', head, "[[stage]]", "[[stage.tasks]]", 'use = "pool_sampling"', tasks]
    lines += ["[stage.solutions]", f'use = "{use}"', solutions]
    for slot, modules in (("feedback", feedback), ("refinement", refinement), ("stability", stability)):
        for module in modules:
            lines += [f"[[stage.{slot}]]", f'use = "{module}"']
    lines += ["[stage.update]", 'use = "supervised_finetune"', update]
    for module in consolidation:
        lines += ["[[consolidation]]", f'use = "{module}"']
    return "\n".join(line for line in lines if line) + "\n"
