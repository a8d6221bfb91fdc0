"""What goes wrong in an engine has a name, leaves no artifact, and is not the end of the engine."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Sampling
from metaevo.errors import EngineDied, EngineTimeout, ModuleFailed, NotFinite, OutOfMemory
from metaevo.types import Experience, Experiences, Generation
from tests.metaevo.engines.work import WORDS, job, judge, never, pairs, prompt, rows, said, task, trained

LONG = [prompt("rev " + "abc" * 40)] * 260


def size(engine: EngineClient, which: str = "VmSize") -> int:
    """Return the address space of the engine's process in MiB."""
    with open(f"/proc/{engine.child.pid}/status") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith(which))


@contextmanager
def memory(engine: EngineClient, more_mib: int) -> Iterator[None]:
    """Let the engine's process have only so much address space more than it has now."""
    pid = engine.child.pid
    assert pid is not None
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, ((size(engine) + more_mib) << 20, hard))
    try:
        yield
    finally:
        if engine.child.pid == pid:
            resource.prlimit(pid, resource.RLIMIT_AS, (hard, hard))


def long_rows() -> Experiences:
    return tuple(Experience(said("rev " + word * 20, "abcde" * 12 + word)) for word in WORDS) * 8


@pytest.mark.parametrize("update", ["supervised_finetune", "preference_optimization", "policy_gradient"])
def test_a_learning_rate_that_explodes_is_named_and_leaves_no_artifact(
    engine: EngineClient, tiny: Generation, update: str
) -> None:
    online = update == "policy_gradient"
    batch, knobs = ((task("x"), task("y")), {"group": 4}) if online else (pairs(), {"batch": 8})
    before = {path.name for path in (engine.store.root / "trees").iterdir()}
    with pytest.raises(NotFinite, match=r"is (nan|inf|not finite)|no token can be drawn"):
        engine.train(job(update, tiny, steps=12, lr=1e36, **knobs), batch, judge(lambda text: float(len(text) % 2)))
    assert {path.name for path in (engine.store.root / "trees").iterdir()} == before
    assert engine.sample(tiny, [prompt("rev abc")], Sampling(max_tokens=8))[0][0].text


def test_sampling_halves_its_batch_until_memory_suffices(harmed: EngineClient, tiny: Generation) -> None:
    batches: list[tuple[int, int]] = []
    harmed.on_progress = lambda done, total: batches.append((done, total))
    harmed.close()
    harmed.sample(tiny, LONG[:1], Sampling(max_tokens=1))
    batches.clear()
    how = Sampling(1, 1.0, max_tokens=3, seed=3)
    with memory(harmed, 20):
        small = harmed.sample(tiny, LONG, how)
    assert len(batches) > 2
    assert batches[-1] == (260, 260)
    harmed.close()
    batches.clear()
    whole = harmed.sample(tiny, LONG, how)
    assert batches == [(256, 260), (260, 260)]
    assert [row[0].text for row in small] == [row[0].text for row in whole]


@pytest.mark.full
def test_training_halves_its_batch_and_learns_the_same(harmed: EngineClient, tiny: Generation) -> None:
    work = job("supervised_finetune", tiny, steps=2, batch=64)
    harmed.close()
    harmed.train(job("supervised_finetune", tiny, steps=1, batch=1, name="warm"), rows(), never)
    before = size(harmed)
    whole = harmed.train(work, long_rows(), never)
    needed = size(harmed, "VmPeak") - before
    halved = whole
    for quarters in (3, 2):  # what is needed differs a little from run to run: less, where three quarters suffice
        harmed.close()
        harmed.train(job("supervised_finetune", tiny, steps=1, batch=1, name="warm"), rows(), never)
        with memory(harmed, needed * quarters // 4):
            halved = harmed.train(work, long_rows(), never)
        if halved.parts != whole.parts:
            break
    assert halved.parts != whole.parts
    asked = [row.attempt.task.prompt for row in long_rows()[:8]]
    texts = [row.attempt.solution.text for row in long_rows()[:8]]
    one, two = ([c.logprob for c in harmed.score(trained(tiny, made.parts), asked, texts)] for made in (halved, whole))
    assert one == pytest.approx(two, rel=1e-3)


def test_too_little_memory_for_a_batch_of_one_is_out_of_memory_by_name(harmed: EngineClient, tiny: Generation) -> None:
    harmed.train(job("supervised_finetune", tiny, steps=1, batch=1, name="warm"), rows(), never)
    before = harmed.store.digests()
    with memory(harmed, 0), pytest.raises(OutOfMemory, match="memory"):
        harmed.train(job("supervised_finetune", tiny, steps=2, batch=64), long_rows() * 4, never)
    made = {d for d in harmed.store.digests() - before if (harmed.store.root / "trees" / d).exists()}
    assert not made
    assert harmed.sample(tiny, [prompt("rev abc")], Sampling(max_tokens=8))[0][0].text


def test_an_engine_killed_in_mid_call_raises_and_starts_again(harmed: EngineClient, tiny: Generation) -> None:
    how = Sampling(2, 1.0, max_tokens=12, seed=3)
    pids: list[int | None] = []

    def kill(done: int, total: int) -> None:
        pids.append(harmed.child.pid)
        os.kill(harmed.child.pid or 0, signal.SIGKILL)

    harmed.on_progress = kill
    with pytest.raises(EngineDied, match="ended with signal 9"):
        harmed.sample(tiny, LONG, how)
    assert not harmed.child.running
    harmed.on_progress = lambda _done, _total: None
    made = harmed.sample(tiny, LONG[:2], how)
    assert len(made) == 2
    assert harmed.child.pid not in pids


def test_a_hung_engine_is_killed_at_its_deadline_and_starts_again(harmed: EngineClient, tiny: Generation) -> None:
    asked, how = [prompt("rev abc")], Sampling(max_tokens=8)
    before = harmed.sample(tiny, asked, how)
    harmed.silence_s = 1.0
    os.kill(harmed.child.pid or 0, signal.SIGSTOP)
    with pytest.raises(EngineTimeout, match="silent for 1 s"):
        harmed.sample(tiny, asked, how)
    harmed.silence_s = 120.0
    assert harmed.sample(tiny, asked, how) == before


def test_a_module_changed_on_disk_since_the_job_was_made_is_refused(engine: EngineClient, tiny: Generation) -> None:
    from dataclasses import replace

    work = replace(job("supervised_finetune", tiny, steps=1), digest="another")
    with pytest.raises(ModuleFailed, match="changed on disk while the cycle ran"):
        engine.train(work, rows(), never)


def test_a_question_nobody_answers_ends_the_call_and_the_next_one_is_understood(
    harmed: EngineClient, tiny: Generation
) -> None:
    def ask(what: str, payload: Any) -> Any:
        raise ModuleFailed("the judge failed")

    with pytest.raises(ModuleFailed, match="the judge failed"):
        harmed.train(job("policy_gradient", tiny, steps=2, prompts=2, group=4), (task("x"),), ask)
    made = harmed.sample(tiny, [prompt("rev abc")], Sampling(max_tokens=8))
    assert len(made) == len(made[0]) == 1
