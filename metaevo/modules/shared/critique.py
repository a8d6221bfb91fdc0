"""A model's critique as feedback: its words, and the score and verdict that its dialect reads in them."""

from metaevo import Completion, Feedback, Prompts, passing


def criticised(prompts: Prompts, said: Completion) -> Feedback:
    """Return a critique as feedback; one that cannot be read has a score of None: "cannot say", never "wrong"."""
    score, passes = prompts.judge(said.text)
    return Feedback(score, passing(passes), "model", {"tokens": said.tokens}, said.text)
