"""What an update's models may learn from: tokens made of rows that passed the door, and what they wrote themselves.

The host keeps the record, and looks at the models where every text enters them, so that it matters not which object
brought the rows: a stamp that a module makes by itself opens nothing. Modules cannot import this.
"""

import hashlib
from array import array
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch

from metaevo.errors import ModuleFailed
from metaevo.learning import rows
from metaevo.learning.chat import PromptMaker
from metaevo.learning.model import Learner
from metaevo.types import Admitted, Experience
from objectives.types import Task

WAY_OUT = "make its tokens with metaevo.learning.rows of weights.admit(rows), one row a sequence, padded"


class Watch:
    """One job's record, and the eye on the models it loaded.

    Only passes with gradients are looked at: what is asked or scored under ``torch.no_grad()`` teaches nothing.
    """

    def __init__(self, who: str) -> None:
        self.who = who
        self.refused = ""
        self._waiting: list[Experience | Task] = []
        self._known: set[bytes] = set()
        self._prompts: set[bytes] = set()
        self._chat: PromptMaker | None = None

    def __deepcopy__(self, memo: object) -> "Watch":
        """A copy of a model stays under the same eye."""
        return self

    def passed(self, found: Sequence[Experience] | Sequence[Task]) -> None:
        """Note rows or tasks that the door let pass."""
        self._waiting += found

    def over(self, learner: Learner) -> None:
        """Look at all that this learner's model is trained on, and note what it writes."""
        # a maker of its own: what a module does to the learner's changes no record
        self._chat = self._chat or deepcopy(learner.chat)
        learner.model.get_input_embeddings().register_forward_pre_hook(self._look, with_kwargs=True)
        learner.model.generate = Writing(learner.model, self)

    def vouch(self, model: Any) -> None:
        """Accept a model for publication.

        Raises:
            ModuleFailed: It learned from something else, or is none of those that were looked at.
        """
        if self.refused:
            raise ModuleFailed(self.refused)
        inner = getattr(model, "module", model)
        hooks = inner.get_input_embeddings()._forward_pre_hooks.values()
        if self._look not in hooks:
            raise ModuleFailed(f"{self.who} publishes a model that weights.load() did not give it; train that one")

    def wrote(self, prompts: torch.Tensor, whole: torch.Tensor) -> None:
        """Note what a model wrote after prompts that passed the door: it may learn from that."""
        self._read()
        width = prompts.shape[1]
        for ids in whole.tolist():
            if self._digest(ids[:width]) in self._prompts:
                self._known.add(self._digest(ids))

    def _look(self, _module: object, args: tuple[torch.Tensor, ...], given: dict[str, torch.Tensor]) -> None:
        if not torch.is_grad_enabled():
            return
        seen = args[0] if args else given["input"]
        self._read()
        for ids in seen.reshape(-1, seen.shape[-1]).tolist():
            if self._digest(ids) not in self._known:
                text = self._chat.tokenizer.decode(ids, skip_special_tokens=True) if self._chat else ""
                self.refused = f"{self.who} trains on what the door did not let pass, first {text[:80]!r}; {WAY_OUT}"
                raise ModuleFailed(self.refused)

    def _read(self) -> None:
        """Make the tokens of what passed since the last look."""
        if not self._waiting or self._chat is None:
            return
        chat, found, self._waiting = self._chat, self._waiting, []
        rows_ = [row for row in found if isinstance(row, Experience)]
        tasks = [row.attempt.task if isinstance(row, Experience) else row for row in found]
        self._prompts |= {self._digest(chat.prompt(task.prompt)) for task in tasks}
        self._known |= {self._digest(row.input_ids) for row in rows.supervised_rows(chat, Admitted(tuple(rows_)))}
        for pair in rows.preference_rows(chat, Admitted(tuple(rows_))):
            for answer in (pair.chosen_ids, pair.rejected_ids):
                self._known.add(self._digest((*pair.prompt_ids, *answer)))

    def _digest(self, ids: Sequence[int]) -> bytes:
        """Return what a sequence is known by: its ids, without padding at either end."""
        pad = self._chat.tokenizer.pad_token_id if self._chat else None
        places = [place for place, id_ in enumerate(ids) if id_ != pad]
        kept = ids[places[0] : places[-1] + 1] if places else ()
        return hashlib.sha256(array("q", kept).tobytes()).digest()


@dataclass(frozen=True, slots=True)
class Writing:
    """A model's ``generate`` that tells the watch what was written. In a copy of the model it is the copy's."""

    model: Any
    watch: Watch

    def __call__(self, *args: Any, **given: Any) -> Any:
        """Return what the model generates."""
        made = type(self.model).generate(self.model, *args, **given)
        prompts = given.get("input_ids", given.get("inputs", args[0] if args else None))
        if prompts is not None:
            self.watch.wrote(prompts, getattr(made, "sequences", made))
        return made


__all__ = ["Watch"]
