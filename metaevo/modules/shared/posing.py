"""A new task from an old one: the host looks up its answer and drops what is no task of the train split."""

from dataclasses import replace

from metaevo import Message, Task


def posed(parent: Task, text: str) -> Task:
    """Return the task that the text poses, under the parent's system prompt."""
    system = tuple(turn for turn in parent.prompt if turn.role == "system")
    prompt = (*system, Message("user", text))
    return replace(parent, id=f"posed:{text}", prompt=prompt, origin="posed", parents=(parent.id,))
