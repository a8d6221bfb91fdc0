"""The one maker of prompts: what is asked is what is trained, whatever the base's chat template is like."""

from dataclasses import replace
from typing import Any

import pytest

from metaevo.errors import BadInput
from metaevo.learning.chat import IGNORED, ChatSettings, PromptMaker, Rewritten
from metaevo.learning.rows import REWRITTEN, TOO_LONG, TRUNCATED, LeftOut, preference_rows, supervised_rows
from metaevo.types import Admitted, Attempt, Experience, Turn, solved
from objectives.types import Message, Messages, Split, Task
from tests.metaevo.learning.templates import CHATML, LLAMA3, QWEN3, TEMPLATES, tokenizer

TASK: Messages = (Message("user", "add 12+30"),)
SYSTEM = "Answer with a number. 答 🙂 {% %} \"'\\"
NO_MARKS = "{% for m in messages %}{{ m['content'] + '\n' }}{% endfor %}"


def maker(name: str, *, system: str = SYSTEM, context: int | None = None, thinking: bool = False) -> PromptMaker:
    return PromptMaker(tokenizer(TEMPLATES[name][0]), ChatSettings(system, thinking, context), 4096)


def attempt(*turns: Turn, prompt: Messages = TASK) -> Attempt:
    return Attempt(Task("t", "addition", 1, Split.TRAIN, prompt), solved(turns))


def said(text: str, finish: str = "stop") -> Turn:
    return Turn("assistant", text, "test", finish=finish)


def text(chat: PromptMaker, ids: Any) -> str:
    return str(chat.tokenizer.decode(list(ids)))


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_asked_is_the_prompt_part_of_what_is_trained(name: str) -> None:
    chat = maker(name)
    asked, end = chat.prompt(TASK), chat.tokenizer.convert_tokens_to_ids(TEMPLATES[name][1])
    assert SYSTEM in text(chat, asked)
    answer = [*chat.tokenizer.encode("42", add_special_tokens=False), end]
    (row,) = supervised_rows(chat, Admitted((Experience(attempt(said("42"))),)))
    assert list(row.input_ids) == asked + answer
    assert list(row.labels) == [IGNORED] * len(asked) + answer
    pair = Experience(attempt(said("42")), rejected=attempt(said("43")))
    (made,) = preference_rows(chat, Admitted((pair,)))
    assert list(made.prompt_ids) == asked
    assert list(made.chosen_ids) == answer == chat.answer("42")
    assert (len(made.rejected_ids), made.rejected_ids[-1]) == (len(answer), end)
    assert chat.read(answer) == "42"


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_templates_own_end_is_an_end_beside_the_tokenizers(name: str) -> None:
    chat = maker(name)
    ids = chat.tokenizer.convert_tokens_to_ids([TEMPLATES[name][1], "<eos>"])
    assert (chat.end, chat.ends) == (ids[0], frozenset(ids))


@pytest.mark.parametrize("name", TEMPLATES)
def test_without_a_system_turn_the_prompt_is_what_the_template_alone_renders(name: str) -> None:
    chat = maker(name, system="")
    how = {"add_generation_prompt": True, "enable_thinking": False, "date_string": "26 Jul 2024", "return_dict": False}
    plain = chat.tokenizer.apply_chat_template([{"role": "user", "content": "add 12+30"}], **how)
    assert chat.prompt(TASK) == list(plain)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_task_s_own_system_turn_stands_alone(name: str) -> None:
    own = (Message("system", "Sort."), *TASK)
    asked = text(maker(name), maker(name).prompt(own))
    assert "Sort." in asked
    assert SYSTEM not in asked


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_exported_asks_the_same(name: str, tmp_path: Any) -> None:
    from transformers import AutoTokenizer

    chat = maker(name)
    before = chat.tokenizer.chat_template
    chat.save(str(tmp_path))
    alone = AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    chats = [
        [{"role": "user", "content": "add 12+30"}],
        [{"role": "system", "content": "Sort."}, {"role": "user", "content": "ba"}],
    ]
    for one in chats:
        ids = alone.apply_chat_template(one, add_generation_prompt=True, return_dict=False)
        assert list(ids) == chat.prompt(tuple(Message(m["role"], m["content"]) for m in one))
    assert chat.tokenizer.chat_template == before


@pytest.mark.parametrize("name", TEMPLATES)
def test_control_words_in_data_are_text(name: str) -> None:
    chat = maker(name, system="Say <eos>.")
    mark = TEMPLATES[name][1]
    asked = chat.prompt((Message("user", f"what is <eos>{mark}<bos>?"),))
    calm = chat.prompt((Message("user", "what is it?"),))
    controls = set(chat.tokenizer.all_special_ids) | {chat.end}

    def counted(ids: list[int]) -> list[int]:
        return [id_ for id_ in ids if id_ in controls]

    assert counted(asked) == counted(calm)
    assert f"what is <eos>{mark}<bos>?" in text(chat, asked)
    assert "Say <eos>." in text(chat, asked)
    (row,) = supervised_rows(chat, Admitted((Experience(attempt(said(f"a{mark}b<eos>"))),)))
    assert counted(list(row.labels)) == [chat.end]
    assert chat.read([id_ for id_ in row.labels if id_ != IGNORED]) == f"a{mark}b<eos>"


def test_thinking_off_reaches_the_template_and_a_block_is_no_part_of_the_answer() -> None:
    off, on = maker("qwen3"), maker("qwen3", thinking=True)
    assert text(off, off.prompt(TASK)).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert text(on, on.prompt(TASK)).endswith("<|im_start|>assistant\n")
    for made, wanted in (
        ("<think>\n1+1\n</think>\n\n42", "42"),
        ("1+1</think>42", "42"),
        ("<think>\nso", ""),
        ("4", "4"),
    ):
        ids = off.tokenizer.encode(made, add_special_tokens=False)
        assert off.read([*ids, off.end, *ids]) == wanted
    plain = maker("chatml")
    assert plain.read(plain.text("a</think>b")) == "a</think>b"


def test_thinking_marks_that_are_control_tokens_are_left_out_too() -> None:
    words = tokenizer(QWEN3)
    words.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    chat = PromptMaker(words, ChatSettings(), 4096)
    assert chat.read(words.encode("<think>1+1</think>42", add_special_tokens=False)) == "42"
    assert chat.read(words.encode("<think>1+1", add_special_tokens=False)) == ""


def test_a_template_with_a_clock_shows_the_same_day_always() -> None:
    chat = maker("llama3")
    assert "Today Date: 26 Jul 2024" in text(chat, chat.prompt(TASK))
    strange = LLAMA3.replace('strftime_now("%d %b %Y")', "strftime_now(format_string)")
    with pytest.raises(BadInput, match="asks for the time in a form that cannot be read"):
        PromptMaker(tokenizer(strange), ChatSettings(), 4096)


def test_a_base_whose_template_ends_no_turn_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"model\.base: its chat template ends a turn with nothing"):
        PromptMaker(tokenizer(NO_MARKS), ChatSettings(), 4096)
    unknown = CHATML.replace("<|im_end|>", "<|fin|>")
    with pytest.raises(BadInput, match=r"ends a turn with '<\|fin\|>', which is no token"):
        PromptMaker(tokenizer(unknown), ChatSettings(), 4096)
    chance = CHATML.replace("m['role']", "(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']*9)|random")
    with pytest.raises(BadInput, match="is not the same twice"):
        PromptMaker(tokenizer(chance), ChatSettings(), 4096)


def test_a_conversation_the_template_refuses_is_told() -> None:
    chat = maker("gemma", system="")
    with pytest.raises(BadInput, match="refuses turns of user, user"):
        chat.prompt((*TASK, *TASK))


@pytest.mark.parametrize("name", ["llama3", "gemma", "chatml"])
def test_every_turn_of_a_conversation_follows_what_was_asked_there(name: str) -> None:
    chat = maker(name)
    turns = (said("41"), Turn("user", "no", trained=False), said("42"), Turn("user", "good", trained=False))
    found = chat.conversation(TASK, turns)
    first = chat.prompt(TASK)
    second = chat.prompt((*TASK, Message("assistant", "41"), Message("user", "no")))
    assert list(found.ids) == second + chat.answer("42")
    assert list(found.ids[: len(first)]) == first
    learned = [id_ for id_ in found.labels if id_ != IGNORED]
    assert learned == chat.answer("41") + chat.answer("42")
    assert list(found.labels[len(second) :]) == chat.answer("42")
    assert list(found.labels[len(first) : len(first) + 3]) == chat.answer("41")


def test_a_row_whose_template_rewrites_earlier_turns_is_refused_and_counted() -> None:
    chat = maker("qwen3")
    turns = (said("41"), Turn("user", "no", trained=False), said("42"))
    with pytest.raises(Rewritten, match="says earlier turns in another way"):
        chat.conversation(TASK, turns)
    last = (replace(turns[0], trained=False), *turns[1:])
    asked = chat.prompt((*TASK, Message("assistant", "41"), Message("user", "no")))
    assert list(chat.conversation(TASK, last).ids) == asked + chat.answer("42")
    left = LeftOut()
    rows = supervised_rows(
        chat,
        Admitted(
            (
                Experience(attempt(*turns)),
                Experience(attempt(*last)),
            )
        ),
        left,
    )
    assert (len(rows), dict(left.counts)) == (1, {REWRITTEN: 1})


def test_cut_answers_and_long_rows_are_left_out_of_both_kinds_alike_and_counted() -> None:
    chat = maker("chatml", context=120)
    assert chat.context == 120
    good, cut, long = attempt(said("42")), attempt(said("4", "length")), attempt(said("4" * 120))
    left = LeftOut()
    assert (
        len(
            supervised_rows(
                chat,
                Admitted(
                    (
                        Experience(good),
                        Experience(cut),
                        Experience(long),
                    )
                ),
                left,
            )
        )
        == 1
    )
    assert dict(left.counts) == {TRUNCATED: 1, TOO_LONG: 1}
    pairs = [Experience(good, rejected=other) for other in (good, cut, long)] + [Experience(cut, rejected=good)]
    left = LeftOut()
    assert (
        len(
            preference_rows(
                chat,
                Admitted(
                    (
                        *pairs,
                        Experience(good),
                    )
                ),
                left,
            )
        )
        == 1
    )
    assert dict(left.counts) == {TRUNCATED: 2, TOO_LONG: 1}
    assert (
        str(left.none_left(5, 120))
        == "none of 5 rows can be learned: 1 exceed the context of 120 tokens; 2 were cut off"
    )


def test_a_begun_answer_is_gone_on_with() -> None:
    chat = maker("qwen3")
    assert chat.prompt((*TASK, Message("assistant", "4"))) == chat.prompt(TASK) + chat.text("4")
