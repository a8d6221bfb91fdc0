"""Generation and log-probabilities with transformers, in the engine's process.

Sampling draws by the Gumbel-max trick with noise that is a pure function of (row seed, step, token), so a row's
sample does not depend on which other rows share its batch. Rows are sorted by length and cut into batches.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from metaevo.artifacts.store import Store
from metaevo.engines.protocol import Sampling
from metaevo.errors import OutOfMemory
from metaevo.learning import model as weights
from metaevo.learning.chat import ChatSettings, PromptMaker
from metaevo.types import Completion, Generation, Tokens
from objectives.types import Messages

ROWS = 256
"""Rows of a batch: on CPU 256 is faster than 64 and 1024."""
KEPT = 3
"""Models kept in memory: champion, candidate and one more."""


class Transformers:
    """Loaded policies, by digest."""

    def __init__(self, store: Store, settings: ChatSettings = weights.DEFAULT) -> None:
        self.store, self.settings = store, settings
        self._models: OrderedDict[str, weights.Learner] = OrderedDict()
        self.meter = Tokens()
        self.rows = ROWS
        self.on_batch: Callable[[int, int], None] = lambda _done, _total: None

    def learner(self, generation: Generation) -> weights.Learner:
        """Return the generation's model, loaded from disk and verified the first time."""
        digest = generation.parts["policy"]
        if digest not in self._models:
            while len(self._models) >= KEPT:
                self._models.popitem(last=False)
            self._models[digest] = weights.load(self.store, digest, self.settings)
        self._models.move_to_end(digest)
        return self._models[digest]

    def forget(self) -> None:
        """Drop every loaded model, so that the next call reads from disk."""
        self._models.clear()

    @torch.inference_mode()
    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        """Return P x n completions, in order. A prompt that leaves no room gets empty ones with finish "length"."""
        learner = self.learner(generation)
        limit = learner.chat.context
        ids_P = [learner.chat.prompt(prompt) for prompt in prompts_P]
        rows = [(p * how.n + g, ids) for p, ids in enumerate(ids_P) for g in range(how.n) if len(ids) < limit]
        rows.sort(key=lambda row: (len(row[1]), row[0]))
        out = [Completion("", 0, None, "length")] * (len(prompts_P) * how.n)
        done = 0
        while done < len(rows):
            batch = _alike(rows[done : done + self.rows], how.max_tokens, limit)
            try:
                for (place, _), completion in zip(batch, self._batch(learner, batch, how, limit), strict=True):
                    out[place] = completion
            except (torch.OutOfMemoryError, RuntimeError) as error:
                self._shrink(error)
                continue
            done += len(batch)
            self.on_batch(done, len(rows))
        return [out[p * how.n : (p + 1) * how.n] for p in range(len(prompts_P))]

    def _shrink(self, error: Exception) -> None:
        """Halve the batch after an out-of-memory error; anything else is raised on."""
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise error
        if self.rows == 1:
            raise OutOfMemory("one row does not fit in memory; lower model.context or model.answer") from error
        self.rows = max(1, self.rows // 2)
        torch.cuda.empty_cache()

    def _batch(
        self, learner: weights.Learner, batch: list[tuple[int, list[int]]], how: Sampling, limit: int
    ) -> list[Completion]:
        longest = max(len(ids) for _, ids in batch)
        pad = learner.tokenizer.pad_token_id
        tokens = torch.tensor([[pad] * (longest - len(ids)) + ids for _, ids in batch], device=weights.device())
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for _, ids in batch], device=weights.device())
        choose = Choose(how, [how.row(*divmod(place, how.n)) for place, _ in batch])
        made = learner.model.generate(
            input_ids=tokens,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=max(1, min(how.max_tokens, limit - longest)),
            logits_processor=LogitsProcessorList([choose]),
        )[:, longest:]
        found = _read(learner.chat, made, choose.logprobs(), how.stop)
        self.meter += Tokens(sum(len(ids) for _, ids in batch), sum(completion.tokens for completion in found))
        return found

    def with_model(
        self, model: Any, like: Generation, prompts_P: Sequence[Messages], how: Sampling
    ) -> list[list[Completion]]:
        """Return completions of a model in memory only (fitness of merges) with the tokenizer of ``like``."""
        kept, name = self.learner(like), "in memory"
        self._models[name] = weights.Learner(model.eval(), kept.chat, kept.base)
        try:
            return self.sample(Generation(name, None, {"policy": name}), prompts_P, how)
        finally:
            del self._models[name]

    @torch.inference_mode()
    def score(self, generation: Generation, prompts_P: Sequence[Messages], texts_P: Sequence[str]) -> list[Completion]:
        """Return each text with its log-probability (nats, summed, end-of-turn token included)."""
        learner = self.learner(generation)
        chat, limit = learner.chat, learner.chat.context
        made = [
            (i, chat.prompt(prompt), chat.answer(text))
            for i, (prompt, text) in enumerate(zip(prompts_P, texts_P, strict=True))
        ]
        out = [Completion(text, 0, None, "length") for text in texts_P]
        rows = sorted(
            (row for row in made if len(row[1]) + len(row[2]) <= limit), key=lambda row: len(row[1]) + len(row[2])
        )
        for at in range(0, len(rows), ROWS):
            batch = rows[at : at + ROWS]
            for (i, _, added), value in zip(batch, _logprobs(learner, [(p, c) for _, p, c in batch]), strict=True):
                out[i] = Completion(texts_P[i], len(added), value, "stop")
            self.meter += Tokens(sum(len(p) + len(c) for _, p, c in batch))
        return out

    @torch.inference_mode()
    def embed(self, generation: Generation, texts_R: Sequence[str]) -> list[list[float]]:
        """Return the mean last hidden state of each text, R x hidden."""
        learner = self.learner(generation)
        out: list[list[float]] = []
        for at in range(0, len(texts_R), ROWS):
            made = learner.chat.texts(texts_R[at : at + ROWS])
            mask = made["attention_mask"].to(weights.device())
            self.meter += Tokens(int(mask.sum()))
            states = learner.model(
                input_ids=made["input_ids"].to(weights.device()), attention_mask=mask, output_hidden_states=True
            ).hidden_states[-1]
            mean = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
            out += mean.float().tolist()
        return out


class Choose(LogitsProcessor):
    """Picks the next token (greedy, or Gumbel-max with seeded noise) and remembers its log-probability."""

    def __init__(self, how: Sampling, rows: Sequence[int]) -> None:
        self.how = how
        mixed = [_mix(how.seed ^ _mix(row + 1)) for row in rows]
        self.seeds = torch.tensor(mixed, dtype=torch.int64, device=weights.device()).unsqueeze(1)
        self.chosen: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores in which the chosen token of each row is the largest."""
        scores = scores.float()
        pick = scores.argmax(-1) if self.how.temperature == 0 else self._draw(scores)
        self.chosen.append(scores.gather(1, pick.unsqueeze(1)).squeeze(1) - scores.logsumexp(-1))
        return torch.full_like(scores, -1e9).scatter_(1, pick.unsqueeze(1), 0.0)

    def logprobs(self) -> torch.Tensor:
        """Return rows x steps log-probabilities at temperature 1."""
        return torch.stack(self.chosen, dim=1)

    def _draw(self, scores: torch.Tensor) -> torch.Tensor:
        scaled = scores / self.how.temperature
        if self.how.top_p < 1:
            ordered, order = scaled.sort(-1, descending=True)
            before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
            scaled = scaled.scatter(1, order, ordered.masked_fill(before >= self.how.top_p, float("-inf")))
        return (scaled + self._noise(scaled.shape[1])).argmax(-1)

    def _noise(self, vocabulary: int) -> torch.Tensor:
        """Return Gumbel noise, rows x vocabulary, a pure function of (row seed, step, token)."""
        token = torch.arange(vocabulary, dtype=torch.int64, device=self.seeds.device)
        bits = _mix_tensor(self.seeds + (len(self.chosen) * vocabulary + token) * -7046029254386353131)
        uniform = ((bits >> 11) & ((1 << 52) - 1)).double() / float(1 << 52)
        return -torch.log(-torch.log(uniform.clamp(1e-12, 1 - 1e-12))).float()


def _mix(value: int) -> int:
    """Return a well-mixed signed 64-bit number (the finaliser of splitmix64)."""
    z = (value + 0x9E3779B97F4A7C15) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    z ^= z >> 31
    return z - 2**64 if z >= 2**63 else z


def _mix_tensor(z: torch.Tensor) -> torch.Tensor:
    """Do the same as `_mix`'s rounds on a tensor of int64; multiplication wraps, shifts are made logical."""
    z = (z ^ ((z >> 30) & ((1 << 34) - 1))) * -4658895280553007687
    z = (z ^ ((z >> 27) & ((1 << 37) - 1))) * -7723592293110705685
    return z ^ ((z >> 31) & ((1 << 33) - 1))


def _alike(rows: list[tuple[int, list[int]]], most: int, limit: int) -> list[tuple[int, list[int]]]:
    """Return the first rows that leave the same room for an answer: a long prompt would cut the others' short."""
    room = min(most, limit - len(rows[0][1]))
    return [row for row in rows if min(most, limit - len(row[1])) == room]


def _read(chat: PromptMaker, made: torch.Tensor, logprobs: torch.Tensor, stop: Sequence[str]) -> list[Completion]:
    out = []
    for ids, values in zip(made.tolist(), logprobs.tolist(), strict=True):
        end = next((i for i, id_ in enumerate(ids) if id_ in chat.ends), None)
        length = len(ids) if end is None else end + 1
        text = chat.read(ids)
        cut = min((text.find(mark) for mark in stop if mark in text), default=-1)
        whole = end is not None or cut >= 0
        logprob = float(sum(values[:length]))
        out.append(Completion(text if cut < 0 else text[:cut], length, logprob, "stop" if whole else "length"))
    return out


def _logprobs(learner: weights.Learner, rows: list[tuple[list[int], list[int]]]) -> list[float]:
    longest = max(len(p) + len(c) for p, c in rows)
    pad = learner.tokenizer.pad_token_id
    ids = torch.tensor([p + c + [pad] * (longest - len(p) - len(c)) for p, c in rows], device=weights.device())
    mask = torch.tensor(
        [[1] * (len(p) + len(c)) + [0] * (longest - len(p) - len(c)) for p, c in rows], device=ids.device
    )
    logits = learner.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
    values = logits.log_softmax(-1).gather(2, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
    return [float(values[i, len(p) - 1 : len(p) + len(c) - 1].sum()) for i, (p, c) in enumerate(rows)]
