"""What the gate decides by. The operator sets it; nothing a recipe, an objective or a module says reaches it."""

from dataclasses import dataclass

from metaevo.artifacts.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class GateRules:
    """The gate's settings; their hash stands in every verdict."""

    alpha: float = 0.05
    """The expected share of false promotions over the home's life, at most."""
    screen_items: int = 400
    screen_bar: float = 0.0125
    """Mean paired gain on the screen below which no confirmation is spent."""
    max_items: int = 12_000
    """Items of one confirmation."""
    block: int = 64
    told_items: int = 1600
    """Fresh items on which a promoted gain is measured again, for telling it."""
    none_share: float = 0.01
    """Share of items that could not be graded above which a decision is void, or a third of the smallest margin."""
    hold_tries: int = 3
    reuse: int = 10
    """Confirmations a finite cell's fixed sample may serve."""
    odds: float = 20.0
    """Evidence that decides a line of protection: 20 means that at most one in twenty at the limit passes."""
    protect_items: int = 4096
    """Items that one protected rule may take in a cycle."""
    answer_ratio: float = 1.25
    """Tokens per answer against the parent's above which a candidate must also beat the parent at equal tokens."""

    secret_seed: int | None = None
    """What the exam's secret is made from where the operator named it; None: it is random."""

    @property
    def hash(self) -> str:
        """Return the rules' identity."""
        return fingerprint(self)
