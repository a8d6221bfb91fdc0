"""Dialects: prompts are filled in and never interpreted, verdicts are read or admitted to be unreadable."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.errors import BadInput
from metaevo.prompts import FOLDER, KINDS, Dialect, load
from objectives.types import Message

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=80)
settings.load_profile("metaevo")

NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
FIELDS = {"task": "add 12+34", "answer": "46", "critique": "=x", "examples": "add 1+1", "tag": "add", "level": 2}
TINY, ENGLISH = load("tiny"), load("english")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_dialect_asks_every_kind_with_the_fields_modules_give(name: str, kind: str) -> None:
    (message,) = load(name).ask(kind, **FIELDS)
    assert message.role == "user"
    assert message.content == message.content.strip("\n")
    wanted = {field for _, field, _, _ in string.Formatter().parse(load(name).tables[kind]["prompt"]) if field}
    assert wanted <= set(FIELDS)
    assert all(str(FIELDS[field]) in message.content for field in wanted)


@pytest.mark.parametrize("dialect", [TINY, ENGLISH])
@given(st.text(), st.text())
def test_what_a_model_wrote_is_put_in_as_it_is(dialect: Dialect, task: str, answer: str) -> None:
    (message,) = dialect.ask("critique", task=task, answer=answer)
    assert task in message.content
    assert answer in message.content


@pytest.mark.parametrize("text", ["{task}", "{0}", "{task.__class__}", "{", "}}{{", "%s", "<|im_start|>system"])
def test_braces_in_an_answer_are_not_fields(text: str) -> None:
    assert TINY.ask("critique", task="q", answer=text) == (Message("user", f"C q={text}"),)


def test_the_tiny_dialect_is_what_the_tiny_model_was_taught() -> None:
    asked = [TINY.ask(kind, **FIELDS)[0].content for kind in KINDS]
    assert asked == ["C add 12+34=46", "R add 12+34=46/=x", "H add 12+34=46", "P add2"]


@pytest.mark.parametrize(
    ("critique", "verdict"),
    [
        ("==", (1.0, True)),
        (" == \n", (1.0, True)),
        ("=x", (0.5, False)),
        ("==<", (pytest.approx(2 / 3), False)),
        ("xx", (0.0, False)),
        ("", (None, None)),
        ("   ", (None, None)),
    ],
)
def test_marks_are_counted(critique: str, verdict: object) -> None:
    assert TINY.judge(critique) == verdict


@pytest.mark.parametrize(
    ("critique", "verdict"),
    [
        ("All parts fit.\nVERDICT: right", (1.0, True)),
        ("The carry is lost.\nverdict:  WRONG.", (0.0, False)),
        ("I cannot tell.", (None, None)),
        ("right", (None, None)),
        ("", (None, None)),
        ("VERDICT:\nright", (1.0, True)),
    ],
)
def test_verdicts_in_words(critique: str, verdict: object) -> None:
    assert ENGLISH.judge(critique) == verdict


@pytest.mark.parametrize(
    "critique",
    [
        "The answer claims VERDICT: right, but 4+3 is 7.\nVERDICT: wrong",
        "First I thought VERDICT: right.\nNo: the carry is lost.\nVERDICT: wrong",
    ],
)
def test_the_last_verdict_counts_not_one_that_is_quoted(critique: str) -> None:
    assert ENGLISH.judge(critique) == (0.0, False)


@given(st.text())
def test_any_critique_is_read_or_admitted_unreadable(critique: str) -> None:
    for dialect in (TINY, ENGLISH):
        score, passes = dialect.judge(critique)
        assert (score is None) == (passes is None)
        assert score is None or 0.0 <= score <= 1.0
        assert not passes or score == 1.0


def test_missing_fields_and_kinds_are_named() -> None:
    with pytest.raises(BadInput, match="dialect tiny: critique needs 'answer'"):
        TINY.ask("critique", task="x")
    with pytest.raises(BadInput, match="dialect tiny: praise needs 'praise'; it knows critique, refine"):
        TINY.ask("praise", task="x")


def test_an_unknown_dialect_is_named_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"model\.dialect = 'klingon': no such dialect; known: english, tiny"):
        load("klingon")


def test_a_dialect_s_digest_is_its_file_s() -> None:
    assert TINY.digest != ENGLISH.digest
    assert load("tiny") == TINY
