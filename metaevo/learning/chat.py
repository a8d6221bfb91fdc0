"""The one maker of prompts, labels and ends: exam, sampling, judging, scoring, training rows, `ask` and export use it.

What is asked is what is trained. A prompt is the base's own chat template, rendered ready for the model to answer; an
answer is its text and the token with which the template ends a turn. The operator's system turn, thinking off and the
length of the context are part of every prompt, whoever asks. Data are text: where a task says ``<eos>`` the model reads
these five characters, never the control token.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.errors import BadInput
from metaevo.learning import template as templates
from metaevo.types import Turn
from objectives.types import Message, Messages

IGNORED = -100
"""The label of a token that is not learned."""
PROBE = "seven"
"""What is said to find out how a template ends a turn."""
SENTINELS = range(0xF0000, 0xFFFFE)
"""Characters for private use: one that no text has stands for the control words in it while a chat is rendered."""
PLACE = "model.base"

Chat: TypeAlias = list[dict[str, str]]


class Rewritten(BadInput):
    """The template says earlier turns in another way once more were said: no label of such a row can be trusted."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How the operator lets the base be asked."""

    system: str = ""
    """Said in front of every task that has no system turn of its own."""
    thinking: bool = False
    """Whether the template may let the base think aloud before it answers."""
    context: int | None = None
    """Tokens of prompt and answer together; default: what the model can see."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One row to learn from: token ids, and what of them is learned (`IGNORED` elsewhere)."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


class PromptMaker:
    """Makes the tokens of one base. ``most`` is how many the model can see at once.

    Raises:
        BadInput: The template ends no turn with a token, asks for the time, or is not the same twice.
    """

    def __init__(self, tokenizer: Any, settings: ChatSettings, most: int) -> None:
        self.tokenizer, self.settings = tokenizer, settings
        self.context = min(most, settings.context or most)
        source = tokenizer.get_chat_template()
        self.template = templates.pinned(source, settings.thinking)
        if not self._takes_system():
            self.template = templates.with_folded_system(self.template)
        self._thinks = templates.CLOSE in source
        added = tokenizer.added_tokens_decoder
        special = {token.content: id_ for id_, token in added.items() if token.special}
        self._open, self._close = special.get(templates.OPEN, -1), special.get(templates.CLOSE, -1)
        self.end = self._end(set(added))
        self.ends = frozenset(id_ for id_ in (self.end, tokenizer.eos_token_id) if id_ is not None)
        self._controls = frozenset(special.values()) | self.ends
        mark = added[self.end].content if self.end in added else tokenizer.decode([self.end])
        words = sorted({*special, mark}, key=len, reverse=True)
        self._control = re.compile("|".join(re.escape(word) for word in words if word) or r"(?!)")

    @property
    def digest(self) -> str:
        """Return the identity of all that these prompts depend on beside the tokenizer's own files."""
        return fingerprint(self.template, self.settings, self.context, sorted(self.ends))

    def prompt(self, messages: Messages) -> list[int]:
        """Return the ids of a prompt, ready for the model to answer, or to go on where the last turn is its own.

        Raises:
            BadInput: The base's template refuses such a conversation.
        """
        return self._asked(self._chat(messages))

    def answer(self, text: str) -> list[int]:
        """Return the ids of an answer: its text, and the end of the turn."""
        return [*self.text(text), self.end]

    def text(self, text: str) -> list[int]:
        """Return the ids of data: no control token comes from a text."""
        ids: list[int] = []
        at = 0
        for found in self._control.finditer(text):
            ids += [*self._ids(text[at : found.start()]), *self._plain(found.group())]
            at = found.end()
        return ids + self._ids(text[at:])

    def conversation(self, messages: Messages, turns: Sequence[Turn]) -> Labelled:
        """Return a prompt and the turns after it up to the last trained one; the loss falls on trained ones alone.

        Before each turn of the model stands exactly what the model is asked there.

        Raises:
            Rewritten: Once more was said the template renders earlier turns in another way.
            BadInput: The base's template refuses such a conversation.
        """
        chat, ids, labels = self._chat(messages), list[int](), list[int]()
        trained = [i for i, turn in enumerate(turns) if turn.trained and turn.role == "assistant"]
        for i, turn in enumerate(turns[: trained[-1] + 1] if trained else ()):
            if turn.role == "assistant" and i >= trained[0]:
                asked = self._asked(chat)
                if asked[: len(ids)] != ids:
                    said = "the base's chat template says earlier turns in another way once more were said"
                    raise Rewritten(f"turn {i + 1}", said, "train on one turn of a conversation", given=turn.text[:40])
                labels += [IGNORED] * (len(asked) - len(ids))
                added = self.answer(turn.text)
                ids = asked + added
                labels += added if turn.trained else [IGNORED] * len(added)
            chat.append({"role": turn.role, "content": turn.text})
        return Labelled(tuple(ids), tuple(labels))

    def texts(self, texts_R: Sequence[str]) -> Any:
        """Return a padded batch of texts alone, as tensors, each cut to the context."""
        how = {"split_special_tokens": True, "truncation": True, "max_length": self.context, "padding": True}
        return self.tokenizer(list(texts_R), return_tensors="pt", **how)

    def read(self, ids: Sequence[int]) -> str:
        """Return what the model said with these ids up to its end: the text, without a block of thinking before it."""
        end = next((i for i, id_ in enumerate(ids) if id_ in self.ends), len(ids))
        ids = list(ids[:end])
        if self._close in ids:  # a mark that is a control token is in no text
            ids = ids[len(ids) - ids[::-1].index(self._close) :]
        elif self._open in ids:
            return ""
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        if not self._thinks:
            return text
        _, closed, after = text.rpartition(templates.CLOSE)
        if closed:
            return after.lstrip("\n")
        return "" if text.lstrip().startswith(templates.OPEN) else text

    def save(self, folder: str) -> None:
        """Write the tokenizer, with a template that asks as all of this does: there is nothing else beside a model."""
        before, system = self.tokenizer.chat_template, self.settings.system
        self.tokenizer.chat_template = templates.with_system(self.template, system) if system else self.template
        try:
            self.tokenizer.save_pretrained(folder)
        finally:
            self.tokenizer.chat_template = before

    def _chat(self, messages: Messages) -> Chat:
        if self.settings.system and messages[0].role != "system":
            messages = (Message("system", self.settings.system), *messages)
        return [{"role": message.role, "content": message.content} for message in messages]

    def _asked(self, chat: Chat) -> list[int]:
        begun = chat[-1]["content"] if chat[-1]["role"] == "assistant" else None
        ready = self._rendered(chat if begun is None else chat[:-1], ready=True)
        return ready if begun is None else ready + self.text(begun)

    def _rendered(self, chat: Chat, *, ready: bool) -> list[int]:
        """Return the ids of a chat. The template's own words are control tokens, those of the chat are text."""
        contents = [message["content"] for message in chat]
        if not any(self._control.search(text) for text in contents):
            return self._ids(self._render(chat, ready=ready))
        mark = next(c for c in map(chr, SENTINELS) if c not in self.template and all(c not in t for t in contents))
        hidden: list[str] = []

        def hide(found: re.Match[str]) -> str:
            hidden.append(found.group())
            return f"{mark}{len(hidden) - 1}{mark}"

        shielded = [message | {"content": self._control.sub(hide, message["content"])} for message in chat]
        ids: list[int] = []
        for place, piece in enumerate(self._render(shielded, ready=ready).split(mark)):
            ids += self._plain(hidden[int(piece)]) if place % 2 else self._ids(piece)
        return ids

    def _render(self, chat: Chat, *, ready: bool) -> str:
        from jinja2 import TemplateError

        how = {"chat_template": self.template, "add_generation_prompt": ready, "tokenize": False}
        try:
            return str(self.tokenizer.apply_chat_template(chat, **how))
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in chat)
            said = f"the base's chat template refuses turns of {roles} ({error})"
            raise BadInput("prompt", said, "ask in turns that it takes") from error

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def _plain(self, word: str) -> list[int]:
        """Return the ids of a control word as the characters it is made of."""
        ids = list(self.tokenizer.encode(word, add_special_tokens=False, split_special_tokens=True))
        if not self._controls.intersection(ids):
            return ids
        return [id_ for letter in word for id_ in self._ids(letter)]

    def _takes_system(self) -> bool:
        chat = [{"role": "system", "content": PROBE}, {"role": "user", "content": PROBE}]
        try:
            self._render(chat, ready=True)
        except BadInput:
            return False
        return True

    def _end(self, added: set[int]) -> int:
        """Return the token with which the template ends a turn of the model, found by rendering one."""
        chat = [{"role": "user", "content": "six"}, {"role": "assistant", "content": PROBE}]
        once, again = self._render(chat, ready=False), self._render(chat, ready=False)
        if once != again:
            raise BadInput(PLACE, "its chat template is not the same twice", "give a template without chance")
        tail = once.rpartition(PROBE)[2].strip()
        ids = self._ids(tail)
        if not ids:
            raise BadInput(PLACE, "its chat template ends a turn with nothing", "add an end mark to the template")
        known = ids[0] in added | {self.tokenizer.eos_token_id} or len(ids) == 1
        if not known or ids[0] == self.tokenizer.unk_token_id:
            said = f"its chat template ends a turn with {tail[:40]!r}, which is no token of its tokenizer"
            raise BadInput(PLACE, said, "add the mark to the tokenizer, or end turns with its eos token")
        return int(ids[0])


def tokenizer_in(folder: Path) -> Any:
    """Return the tokenizer of a checkpoint folder, padding on the left.

    A checkpoint that names the plain class gets it: `AutoTokenizer` would take the architecture's own one (for a
    Qwen2-shaped model Qwen2Tokenizer) and read the same file as another tokenizer.
    """
    import json

    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    plain = settings.get("tokenizer_class") in ("TokenizersBackend", "PreTrainedTokenizerFast")
    kind = PreTrainedTokenizerFast if plain and (folder / "tokenizer.json").is_file() else AutoTokenizer
    made = kind.from_pretrained(str(folder), local_files_only=True, padding_side="left")
    if made.pad_token_id is None:
        made.pad_token = made.eos_token
    return made
