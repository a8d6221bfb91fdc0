"""What the door is shown of a row: every turn by itself, prompts of several turns, and the last answers apart."""

from metaevo.runtime.door import replies, texts
from metaevo.testing.effects import attempt
from metaevo.types import Attempt, Experience, Turn, solved
from objectives.types import Message, Split, Task


def task(*said: tuple[str, str]) -> Task:
    return Task("t1", "questions", 1, Split.TRAIN, tuple(Message(role, text) for role, text in said))


ONE = task(("system", "Be brief."), ("user", "What is 3+4?"))
TALK = task(("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi, what is it?"), ("user", "What is  3+4?"))


def test_a_plain_row_shows_its_question_its_system_turn_and_its_answer() -> None:
    row = Experience(attempt("7", ONE))
    assert (texts(row), replies(row)) == (["What is 3+4?", "Be brief."], ["7"])
    assert (texts(ONE), replies(ONE)) == (texts(row), [])


def test_every_turn_of_a_prompt_is_shown_and_every_prompt_that_stands_in_it() -> None:
    shown = texts(TALK)
    assert shown[0] == "Hello Hi, what is it? What is 3+4?"
    for said in ("Be brief.", "Hello", "Hi, what is it?", "What is  3+4?", "Hi, what is it? What is 3+4?"):
        assert said in shown


def test_the_turns_of_a_solution_and_of_what_it_is_preferred_to_are_shown_as_well() -> None:
    turns = (Turn("assistant", "hm"), Turn("user", "What is 5+6?"), Turn("assistant", "11"))
    row = Experience(Attempt(ONE, solved(turns)), rejected=attempt("no", TALK))
    assert replies(row) == ["11", "no"]
    for said in ("hm", "What is 5+6?", "hm What is 5+6?", "What is 3+4? hm What is 5+6?", *texts(TALK)):
        assert said in texts(row)
