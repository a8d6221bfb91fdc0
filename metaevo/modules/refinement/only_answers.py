"""Drop how an answer was reached and keep the answer: the last turn becomes the whole solution.

Bai et al. 2022, Constitutional AI, arXiv:2212.08073, and SELF, arXiv:2310.00533: the model is trained to give the
revised answer at once, without the critique it took to find it.
"""

from dataclasses import replace

from metaevo import Experiences, Trait, Turn, solved

TRAITS = (Trait.SHORTENS,)


def only_answers(experiences_R: Experiences, *, rejected_too: bool = True) -> Experiences:
    """Return the R rows with one assistant turn each."""
    rows = []
    for row in experiences_R:
        text = row.attempt.solution.text
        last = next((turn for turn in reversed(row.attempt.solution.turns) if turn.role == "assistant"), None)
        by, finish = (last.by, last.finish) if last is not None else (None, "stop")
        whole = solved((Turn("assistant", text, by, finish=finish),), answer=row.attempt.solution.answer)
        attempt = replace(row.attempt, solution=whole)
        rejected = row.rejected
        if rejected is not None and rejected_too:
            end = "length" if rejected.solution.cut else "stop"
            short = solved((Turn("assistant", rejected.solution.text, "sample", finish=end),))
            rejected = replace(rejected, solution=short)
        rows.append(replace(row, attempt=attempt, rejected=rejected))
    return tuple(rows)
