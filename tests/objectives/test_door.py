"""The door: what an environment may ask is trained on only where it is TRAIN, near copies of files included."""

from random import Random

import pytest
from reasoning_gym.factory import DATASETS

from objectives.adapters.reasoning_gym import BROKEN, load
from objectives.door import Door
from objectives.environment import Program, Row, from_file, identity
from objectives.finder import BUILT_IN, built_in
from objectives.splits import NEWEST, Scheme
from objectives.types import Direction, Split

HEADS, TAILS = ["ba", "ke", "li", "mo", "nu", "pra", "sto"], ["dor", "fin", "gal", "hem", "jut", "kan", "lop"]
WORDS = [head + tail for head in HEADS for tail in TAILS]


def told(rng: Random, n: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(n))


def file_of(texts: list[str], name: str = "file") -> Program:
    rows = tuple({"prompt": text, "answer": "a", "level": 1} for text in texts)
    return Program(name, "other", Direction.PERFORMANCE, (1,), lambda _c, **_r: 0.0, "v", rows=rows)


def stories(n: int = 300) -> list[str]:
    rng = Random(1)
    return [f"Please read this and answer in one word. {told(rng, 24)} Who is it, number {i}?" for i in range(n)]


def held(texts: list[str]) -> list[str]:
    return [text for text in texts if NEWEST.split("file", text) is not Split.TRAIN]


TEXTS = stories()
DOOR = Door({"file": file_of(TEXTS)}, NEWEST)


def test_rows_of_the_train_split_pass_and_others_do_not_whatever_they_are_called() -> None:
    for text in TEXTS:
        for environment in ("file", "seed", "another"):
            train = NEWEST.split("file", text) is Split.TRAIN
            assert DOOR.refusal(environment, [text]) == ("" if train else "exam item of file")


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text.replace(" ", "  \u200b"),
        lambda text: f"\ufeff{text}\u2060",
        lambda text: text.replace(".", " !").replace("?", "..."),
        lambda text: f"Here is another one. {text} Thank you.",
        lambda text: text.replace("Please read this and", "Read, then"),
        lambda text: " ".join(text.split()[:-6]),
    ],
)
def test_near_copies_of_what_is_held_back_do_not_pass(change: object) -> None:
    assert callable(change)
    said = [DOOR.refusal("seed", [change(text)]) for text in held(TEXTS)]
    assert all(said), said.count("")


def test_an_exam_text_in_another_turn_does_not_pass_either() -> None:
    assert DOOR.refusal("seed", ["hello", "what is new?", held(TEXTS)[0]]) == "exam item of file"
    assert DOOR.refusal("seed", ["hello", f"it said: {held(TEXTS)[0]}"]) == "near copy of an exam item of file"


NAMES = sorted({f"{a}{b}{c}" for a in HEADS for b in TAILS for c in HEADS})
SHORT = (
    [f"What is the capital of {name}?" for name in NAMES[:150]],
    [f"What is {i * 37 % 900 + 100} plus {i * 91 % 900 + 100} minus {i % 90}?" for i in range(150)],
)


@pytest.mark.parametrize("rows", SHORT)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.rstrip("?"),
        lambda text: f"{text}?",
        lambda text: f"{text.rstrip('?')}.",
        lambda text: f"{text} .",
        lambda text: f"\u201c{text}\u201d",
        lambda text: f"**{text}**",
        lambda text: text.replace(" is", " is,"),
        lambda text: f"Q: {text}",
        lambda text: f"Question 7) {text}\nA:",
        lambda text: f"{text} \U0001f44d\U0001f3fd",
        lambda text: text.replace(" ", "_"),
        lambda text: f"Good morning! {text} Thanks.",
    ],
)
def test_a_short_question_is_itself_with_any_punctuation(rows: list[str], change: object) -> None:
    assert callable(change)
    door = Door({"file": file_of(rows)}, NEWEST)
    assert all(door.refusal("seed", [change(text)]) for text in held(rows))
    assert not any(door.refusal("file", [text]) for text in set(rows) - set(held(rows)))


@pytest.mark.parametrize(
    "change",
    [
        lambda word: f"{word[:2]}-{word[2:]}",
        lambda word: f"{word[:2]}_{word[2:]}",
        lambda word: f"{word}-",
        lambda word: f"{word[:2]}\u0301{word[2:]}",
        lambda word: f"{word[:2]}\u0338{word[2:]}",
        lambda word: f"{word}\u20dd",
    ],
)
def test_marks_and_hyphens_in_some_words_of_a_long_row_make_no_new_one(change: object) -> None:
    assert callable(change)
    for text in held(TEXTS):
        said = " ".join(change(word) if i % 8 == 7 else word for i, word in enumerate(text.split()))
        assert DOOR.refusal("seed", [f"Here it is. {said}"]), said
        assert DOOR.refusal("seed", [text.replace(" ", "_")])


def test_rows_that_differ_in_a_sign_a_number_or_a_name_are_different_questions() -> None:
    rows = [f"What is {i}{sign}{7 * i % 50}?" for i in range(2, 90) for sign in "+-*/"]
    rows += [f"Round {i}.{i % 7}" for i in range(2, 90)] + [f"Round {i}{i % 7}" for i in range(2, 90)]
    door = Door({"file": file_of(rows)}, NEWEST)
    train = [text for text in rows if NEWEST.split("file", text) is Split.TRAIN]
    assert len(train) > 250
    assert {door.refusal("file", [text]) for text in train} == {""}
    assert all(door.refusal("seed", [text.replace("+", " + ").rstrip("?")]) for text in held(rows))


def test_every_turn_is_looked_at_also_in_an_endless_environment() -> None:
    door = Door({"addition": from_file("addition", BUILT_IN / "addition.py")}, NEWEST)
    for i in range(100, 200):
        text = f"add {i}3+{i}4"
        refused = NEWEST.split("addition", text) is not Split.TRAIN
        for shown in (["hello", "hi", text, "9"], ["hello", f"{text}."], ["hello", f"Q: {text}"]):
            assert bool(door.refusal("seed", shown)) == refused, shown


def test_an_answer_in_the_language_of_the_questions_is_no_question() -> None:
    """Words that are asked and answered, as in a file of translations: only what else a row shows must be train."""
    door = Door({"file": file_of(WORDS)}, NEWEST)
    asked = next(word for word in WORDS if NEWEST.split("file", word) is Split.TRAIN)
    assert {door.refusal("file", [asked], [word]) for word in WORDS} == {""}
    assert {bool(door.refusal("seed", ["hello"], [word])) for word in held(WORDS)} == {True}


def test_the_wording_that_all_rows_share_makes_nothing_near() -> None:
    rng = Random(2)
    fresh = [f"Please read this and answer in one word. {told(rng, 24)} Who is it, number {i}?" for i in range(400)]
    assert [DOOR.refusal("seed", [text]) for text in fresh] == [""] * 400
    assert DOOR.refusal("seed", ["good morning"]) == ""


def test_an_environment_that_is_never_trained_on_gives_no_row_of_any_split() -> None:
    door = Door({"file": file_of(TEXTS), "mine": file_of(["only this"], "mine")}, NEWEST, frozenset({"file"}))
    assert {door.refusal("mine", [text]) for text in TEXTS} == {"exam item of file"}
    assert door.refusal("file", ["whatever"]) == "file is never trained on"


def test_a_text_of_two_environments_must_be_train_in_both() -> None:
    """In the first scheme they may disagree about a text; in the newest one they cannot."""
    programs = {"file": file_of(TEXTS), "copy": file_of(TEXTS, "copy")}
    old, new = Door(programs, Scheme.NAMED), Door(programs, NEWEST)
    for text in TEXTS:
        both = {Scheme.NAMED.split(name, text) for name in programs}
        assert (old.refusal("file", [text]) == "") <= (both == {Split.TRAIN})
        assert (new.refusal("copy", [text]) == "") == (NEWEST.split("file", text) is Split.TRAIN)


def test_what_an_endless_environment_reads_must_be_train_and_the_rest_passes() -> None:
    door = Door({"addition": from_file("addition", BUILT_IN / "addition.py")}, NEWEST)
    for i in range(100, 400):
        text = f"add {i}3+{i}4"
        train = NEWEST.split("addition", text) is Split.TRAIN
        for form in (text, text.upper(), f"add {i}3 + {i}4", f"\u200b{text}"):
            assert (door.refusal("seed", [form]) == "") == train, form
    assert {door.refusal("seed", [f"how are you today, number {i}?"]) for i in range(50)} == {""}


def made(program: Program, level: int, n: int) -> list[str]:
    assert program.make is not None
    rows: list[Row] = [program.make(NEWEST.seed(4, i), i, level) for i in range(n)]
    return list(dict.fromkeys(identity(row) for row in rows))


def kept_out(door: Door, name: str, texts: list[str]) -> tuple[int, int]:
    """How many of these texts are train, and how many of those the door keeps out."""
    train = [text for text in texts if NEWEST.split(name, text) is Split.TRAIN]
    return len(train), sum(bool(door.refusal(name, [text])) for text in train)


def test_at_most_one_in_a_thousand_train_rows_of_the_built_in_environments_is_kept_out() -> None:
    """In a home that uses them all; and of those that are no programs also as files of 400 rows a level."""
    programs = {name: from_file(name, BUILT_IN / f"{name}.py") for name in built_in()}
    home, found = Door(programs, NEWEST), []
    for name, program in programs.items():
        for level in program.levels[1::3]:
            texts = made(program, level, 400)
            found.append(kept_out(home, name, texts[:60]))
            if not program.runs:
                found.append(kept_out(Door({name: file_of(texts, name)}, NEWEST), name, texts))
    assert sum(rows for rows, _ in found) > 5000
    assert sum(out for _, out in found) <= 0.001 * sum(rows for rows, _ in found), found


@pytest.mark.full
def test_nor_of_reasoning_gym() -> None:
    found = []
    for name in sorted(set(DATASETS) - set(BROKEN))[::6]:
        program = load(name, name)
        found.append(kept_out(Door({name: program}, NEWEST), name, made(program, 1, 40)))
    assert sum(rows for rows, _ in found) > 200
    assert sum(out for _, out in found) <= 0.001 * sum(rows for rows, _ in found), found
