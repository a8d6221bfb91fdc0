"""Train on earlier rounds' rows too: all of them, or only those with a tag.

Lu et al. 2023, SELF, arXiv:2310.00533: restart from the base on the cumulative data of all rounds, with the
meta-skill rows mixed in so that the critic survives. ``share`` bounds what the past may be of the whole.
"""

from typing import Annotated, Literal

from metaevo import Experience, Experiences, Knob, Past, Random, Trait

TRAITS = (Trait.REPLAYS, Trait.NEEDS_ROUNDS)


def past_replay(
    experiences_R: Experiences,
    *,
    past: Past,
    rng: Random,
    rows: Literal["all", "meta_skill"] = "all",
    share: Annotated[float, Knob(0.2, 0.7, least=0.0, most=0.95)] = 0.5,
) -> Experiences:
    """Return the R rows followed by earlier ones, which are at most ``share`` of the whole."""
    earlier: dict[tuple[str, str], Experience] = {}
    for batch in past.experiences():
        for row in batch:
            if rows == "all" or rows in row.tags:
                earlier.setdefault((row.attempt.task.id, row.attempt.solution.id), row)
    fresh = {(row.attempt.task.id, row.attempt.solution.id) for row in experiences_R}
    pool = [row for key, row in sorted(earlier.items()) if key not in fresh]
    rng.shuffle(pool)
    return (*experiences_R, *pool[: round(len(experiences_R) * share / (1.0 - share))])
