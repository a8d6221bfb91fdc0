"""Generation by the real engine: it samples from the softmax, repeats by seed, and no row depends on another."""

import math
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
import torch

from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Sampling
from metaevo.types import Completion, Generation
from objectives.types import Message, Messages

DRAWS = 4000
LIMIT = 192
"""Tokens the built-in base can see; a prompt is its characters and two more."""


def prompt(text: str) -> Messages:
    return (Message("user", text),)


def close(given: Sequence[Completion], wanted: Sequence[Completion]) -> bool:
    """Return whether texts are equal and log-probabilities equal up to rounding of another batch shape."""
    same = [(a.text, a.tokens, a.finish) == (b.text, b.tokens, b.finish) for a, b in zip(given, wanted, strict=True)]
    return all(same) and all(
        a.logprob == pytest.approx(b.logprob, abs=1e-4) for a, b in zip(given, wanted, strict=True)
    )


def logits(plain: Any, text: str) -> torch.Tensor:
    """Return the logits of the first token of an answer, by a plain forward pass."""
    model, tokenizer = plain
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids).logits[0, -1]
    return found


def shares(values: torch.Tensor, plain: Any, temperature: float, top_p: float) -> dict[str, float]:
    """Return what share of samples each text should have: softmax, cut to the smallest set with mass ``top_p``."""
    probabilities = (values / temperature).softmax(-1)
    ordered, order = probabilities.sort(descending=True)
    kept = (ordered.cumsum(-1) - ordered) < top_p
    total = float(ordered[kept].sum())
    found: dict[str, float] = {}
    for id_, p in zip(order[kept].tolist(), ordered[kept].tolist(), strict=True):
        text = plain[1].decode([id_], skip_special_tokens=True)
        found[text] = found.get(text, 0.0) + p / total
    return found


def upper_tail(statistic: float, degrees: int) -> float:
    """Return about how likely a chi-square value this large is (Wilson and Hilferty 1931)."""
    z = ((statistic / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / math.sqrt(2 / (9 * degrees))
    return 0.5 * math.erfc(z / math.sqrt(2))


def likely(seen: Counter[str], wanted: dict[str, float]) -> float:
    """Return how likely counts at least as far from these shares are; rare texts are taken together."""
    draws = sum(seen.values())
    large = {said: p * draws for said, p in wanted.items() if p * draws >= 5}
    rest = draws - sum(large.values())
    statistic = sum((seen[said] - expected) ** 2 / expected for said, expected in large.items())
    if rest >= 5:
        statistic += (draws - sum(seen[said] for said in large) - rest) ** 2 / rest
    assert len(large) >= 4
    return upper_tail(statistic, len(large) - (rest < 5))


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (2.0, 1.0), (1.5, 0.97)])
@pytest.mark.parametrize("text", ["x", "rev abcdefghijklmnopqrstuvwxyz"])
def test_samples_follow_the_softmax(
    engine: EngineClient, tiny: Generation, plain: Any, text: str, temperature: float, top_p: float
) -> None:
    how = Sampling(DRAWS, temperature, top_p, max_tokens=1, seed=12)
    (made,) = engine.sample(tiny, [prompt(text)], how)
    seen = Counter(completion.text for completion in made)
    wanted = shares(logits(plain, text), plain, temperature, top_p)
    assert set(seen) <= set(wanted)
    assert likely(seen, wanted) > 1e-3


def test_the_chi_square_test_would_notice_another_temperature(
    engine: EngineClient, tiny: Generation, plain: Any
) -> None:
    (made,) = engine.sample(tiny, [prompt("x")], Sampling(DRAWS, 1.2, max_tokens=1, seed=12))
    seen = Counter(completion.text for completion in made)
    assert likely(seen, shares(logits(plain, "x"), plain, 1.0, 1.0)) < 1e-6


def test_whole_answers_follow_the_product_of_their_tokens(engine: EngineClient, tiny: Generation) -> None:
    (made,) = engine.sample(tiny, [prompt("x")], Sampling(DRAWS, 1.0, max_tokens=4, seed=21))
    whole = [completion for completion in made if completion.finish == "stop"]
    wanted = {completion.text: math.exp(completion.logprob or 0.0) for completion in whole}
    cut = 1 - sum(wanted.values())
    seen = Counter(completion.text if completion.finish == "stop" else "…" for completion in made)
    assert likely(seen, wanted | {"…": cut}) > 1e-3


def test_seeds_reproduce_and_differ(engine: EngineClient, tiny: Generation) -> None:
    asked = [prompt("srt hgfedcb"), prompt("add 98+47")]
    first, again, other = (
        engine.sample(tiny, asked, Sampling(32, 1.5, max_tokens=12, seed=seed)) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other
    texts = [completion.text for completion in first[0]]
    assert len(set(texts)) > 8
    assert texts != [completion.text for completion in other[0]]


def test_a_sample_does_not_depend_on_the_rows_beside_it(engine: EngineClient, tiny: Generation) -> None:
    how = Sampling(4, 1.2, max_tokens=12, seed=3)
    alone = engine.sample(tiny, [prompt("srt hgfedcb")], how)[0]
    for other in ("add 98+47", "rev " + "abc" * 40):
        assert close(engine.sample(tiny, [prompt("srt hgfedcb"), prompt(other)], how)[0], alone)


def test_logprobs_are_those_of_a_plain_forward(engine: EngineClient, tiny: Generation, plain: Any) -> None:
    model, tokenizer = plain
    asked = [prompt(text) for text in ("add 12+30", "srt hgfedcb", "rev abcdefgh", "1+1")]
    sampled = [row[0] for row in engine.sample(tiny, asked, Sampling(1, 1.3, max_tokens=16, seed=4))]
    scored = engine.score(tiny, asked, [completion.text for completion in sampled])
    for question, made, score in zip(asked, sampled, scored, strict=True):
        chat = [{"role": "user", "content": question[0].content}]
        before = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        said = [*tokenizer.encode(made.text, add_special_tokens=False), tokenizer.eos_token_id]
        with torch.no_grad():
            values = model(input_ids=torch.tensor([before + said])).logits[0, len(before) - 1 : -1].log_softmax(-1)
        wanted = float(values.gather(1, torch.tensor(said).unsqueeze(1)).sum())
        assert made.finish == "stop"
        assert (made.tokens, score.tokens) == (len(said), len(said))
        assert made.logprob == pytest.approx(wanted, abs=1e-4)
        assert score.logprob == pytest.approx(wanted, abs=1e-4)


def test_greedy_answers_are_those_of_a_plain_generate(engine: EngineClient, tiny: Generation, plain: Any) -> None:
    model, tokenizer = plain
    asked = [f"{tag} {word}" for tag in ("rev", "srt", "max") for word in ("gia", "hgfedcb", "abcabcabc")]
    made = [row[0].text for row in engine.sample(tiny, [prompt(text) for text in asked], Sampling(max_tokens=16))]
    for text, given in zip(asked, made, strict=True):
        chat = [{"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        out = model.generate(**ids, max_new_tokens=16, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        assert given == tokenizer.decode(out[0][ids["input_ids"].shape[1] :], skip_special_tokens=True)


def test_greedy_answers_do_not_depend_on_the_batch_or_its_order(engine: EngineClient, tiny: Generation) -> None:
    letters = Random(4)
    words = ["".join(letters.choices("abcdefghij", k=3 + i % 9)) for i in range(60)]
    asked = [prompt(f"{tag} {word}") for word in words for tag in ("rev", "srt", "cnt a", "max")]
    how = Sampling(max_tokens=16)
    whole = [row[0] for row in engine.sample(tiny, asked, how)]
    shuffled = list(range(len(asked)))
    letters.shuffle(shuffled)
    mixed = [row[0] for row in engine.sample(tiny, [asked[i] for i in shuffled], how)]
    assert close([mixed[shuffled.index(i)] for i in range(len(asked))], whole)
    for i in range(0, len(asked), 24):
        assert close(engine.sample(tiny, [asked[i]], how)[0], [whole[i]])


def test_a_long_prompt_does_not_cut_the_answers_beside_it_short(engine: EngineClient, tiny: Generation) -> None:
    short, how = prompt("rev abcdefghijkl"), Sampling(max_tokens=16)
    alone = engine.sample(tiny, [short], how)[0]
    assert alone[0].tokens > 5
    for room in (1, 2, 5):
        full = prompt("rev " + "a" * (LIMIT - 6 - room))
        beside, cut = engine.sample(tiny, [short, full], how)
        assert close(beside, alone)
        assert cut[0].tokens <= room


def test_a_prompt_without_room_gets_an_empty_answer_that_says_so(engine: EngineClient, tiny: Generation) -> None:
    made = engine.sample(tiny, [prompt("rev " + "a" * LIMIT), prompt("rev abc")], Sampling(2, 1.0, max_tokens=8))
    assert made[0] == [Completion("", 0, None, "length")] * 2
    assert all(completion.tokens > 0 for completion in made[1])
    (scored,) = engine.score(tiny, [prompt("rev " + "a" * LIMIT)], ["a"])
    assert scored == Completion("a", 0, None, "length")


def test_an_answer_ends_at_a_stop_text_or_says_that_it_was_cut(engine: EngineClient, tiny: Generation) -> None:
    asked = [prompt("rev abcdef")]
    whole = engine.sample(tiny, asked, Sampling(max_tokens=16))[0][0]
    cut = engine.sample(tiny, asked, Sampling(max_tokens=2))[0][0]
    stopped = engine.sample(tiny, asked, Sampling(max_tokens=16, stop=(whole.text[2],)))[0][0]
    assert (whole.finish, cut.finish, stopped.finish) == ("stop", "length", "stop")
    assert whole.text.startswith(cut.text)
    assert stopped.text == whole.text[: whole.text.index(whole.text[2])]


def test_embeddings_are_a_pure_function_of_the_text(engine: EngineClient, tiny: Generation) -> None:
    one, two, three = engine.embed(tiny, ["rev abc", "add 1+1", "rev abc"])
    assert one == three != two
    (alone,) = engine.embed(tiny, ["add 1+1"])
    assert alone == pytest.approx(two, abs=1e-4)


def test_an_engine_started_anew_answers_bit_for_bit_the_same(engine: EngineClient, tiny: Generation) -> None:
    asked, how = [prompt("srt hgfedcb"), prompt("add 98+47")], Sampling(8, 1.2, max_tokens=12, seed=9)
    before, probes = engine.sample(tiny, asked, how), engine.probe(tiny)
    engine.close()
    assert engine.sample(tiny, asked, how) == before
    assert engine.probe(tiny) == probes


def test_a_begun_answer_is_gone_on_with_and_ended_before_a_text(engine: EngineClient, tiny: Generation) -> None:
    asked = prompt("add 4+85")
    ((whole,),) = engine.sample(tiny, [asked], Sampling(max_tokens=24))
    assert len(whole.text) > 1
    begun = (*asked, Message("assistant", whole.text[:1]))
    ((rest,),) = engine.sample(tiny, [begun], Sampling(max_tokens=24))
    assert (rest.text, rest.tokens) == (whole.text[1:], whole.tokens - 1)
    ((other,),) = engine.sample(tiny, [(*asked, Message("assistant", "x"))], Sampling(max_tokens=24))
    assert not other.text.startswith("x")
    ((ended,),) = engine.sample(tiny, [asked], Sampling(max_tokens=24, stop=(whole.text[1],)))
    assert (ended.text, ended.finish) == (whole.text[:1], "stop")
