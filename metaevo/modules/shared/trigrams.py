"""How near two texts are: the share of character trigrams that they have in common."""


def trigrams(text: str) -> frozenset[str]:
    """Return the text's character trigrams; its first characters count as much as those inside."""
    padded = f"  {text} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def nearer(one: frozenset[str], other: frozenset[str], tau: float) -> bool:
    """Return whether two texts have more than ``tau`` of their trigrams in common."""
    return len(one & other) > tau * len(one | other)
