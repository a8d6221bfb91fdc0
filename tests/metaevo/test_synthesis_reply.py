"""One function of the asked name is taken from a reply; everything else is refused for its true reason, unrun."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.kernels import CONTRACTS
from metaevo.synthesis.proposals import DETAIL_CHARS, Reason, Unproposed
from metaevo.synthesis.reply import function_in, tokens
from metaevo.testing.endpoint import INJECTION

KEEP = CONTRACTS["keep"]
GOOD = "def keep(row):\n    return row['level'] < 3\n"
FENCED = f"```python\n{GOOD}```"


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        FENCED,
        f"Sure! Here it is:\n\n{FENCED}\n\nIt keeps easy rows. Good luck!",
        f"Here it is:\n{GOOD}\nIt keeps easy rows.",
        f"from what I see\nimport nothing, then:\n{GOOD}\nfrom me to you",
        f"```\n{GOOD}```",
        f"```python\n{GOOD}",
        f"<think>```python\ndef keep(row):\n    return True\n```</think>{FENCED}",
        f"```text\nlevel < 3\n```\n{FENCED}",
        f"{FENCED}\nAgain:\n{FENCED}",
        GOOD.replace("\n", "\r\n"),
        "def keep(row: dict) -> bool:\n    'Keep easy rows.'\n    # easy ones\n    return (row[\"level\"] < 3)",
        f'"""Easy rows."""\n{GOOD}',
        f"{INJECTION}{FENCED}\n{INJECTION}",
    ],
)
def test_the_function_is_found_and_written_in_one_form(reply: str) -> None:
    assert function_in(reply, KEEP) == GOOD


def test_imports_and_lambdas_stay() -> None:
    body = "def order(rows):\n    return sorted(range(len(rows)), key=lambda i: i)\n"
    code = f"import math\nfrom collections import Counter\n\n{body}"
    assert function_in(code, CONTRACTS["order"]) == code


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", Reason.EMPTY),
        (" \n\t", Reason.EMPTY),
        ("x" * 40_000, Reason.TOO_LONG),
        (GOOD + "    # " + "x" * 5000, Reason.TOO_LONG),
        ("def keep(row):\n    return '" + "\u202e" * 700 + "' in row['text']", Reason.LONG_TEXT),
        ("I cannot write code.", Reason.NO_FUNCTION),
        (INJECTION, Reason.NO_FUNCTION),
        ("\x00\x01\x02", Reason.NO_FUNCTION),
        ("def drop(row):\n    return True", Reason.NO_FUNCTION),
        ("class keep:\n    pass", Reason.NO_FUNCTION),
        ("```python\nkeep = lambda row: True\n```", Reason.NO_FUNCTION),
        (f"{GOOD}\ndef other(row):\n    return 1\n", Reason.MANY_FUNCTIONS),
        (f"{GOOD}\n{GOOD}", Reason.MANY_FUNCTIONS),
        (f"{FENCED}\n```\ndef keep(row):\n    return True\n```", Reason.MANY_FUNCTIONS),
        ("def keep(row):\n    def inner(x):\n        return x\n    return inner(True)", Reason.MANY_FUNCTIONS),
        ("def keep(row):\n    class A:\n        pass\n    return True", Reason.MANY_FUNCTIONS),
        ("def keep():\n    return True", Reason.SIGNATURE),
        ("def keep(rows):\n    return True", Reason.SIGNATURE),
        ("def keep(row, extra):\n    return True", Reason.SIGNATURE),
        ("def keep(row, extra=1):\n    return True", Reason.SIGNATURE),
        ("def keep(*row):\n    return True", Reason.SIGNATURE),
        ("def keep(row, **more):\n    return True", Reason.SIGNATURE),
        ("def keep(row=open('/etc/passwd')):\n    return True", Reason.SIGNATURE),
        (f"```\nprint('hello')\n{GOOD}```", Reason.OTHER_CODE),
        (f"```\n{GOOD}keep({{}})\n```", Reason.OTHER_CODE),
        (f"```\nwhile True: pass\n{GOOD}```", Reason.OTHER_CODE),
        ("```\n@staticmethod\n" + GOOD + "```", Reason.OTHER_CODE),
        ("def keep(row):\n    return (", Reason.NO_PYTHON),
        ("def keep(row)\n    return True", Reason.NO_PYTHON),
        ("def keep(row):\nreturn True", Reason.NO_PYTHON),
        ("```\nasync def keep(row):\n    return True\n```", Reason.NO_FUNCTION),
        ("def keep(row):\n    return " + "9" * 4400, Reason.TOO_LONG),
        ("def keep(row):\n    return " + "(" * 100 + "1" + ")" * 100, Reason.TOO_DEEP),
        ("def keep(row):\n    return " + "-" * 3000 + "1", Reason.TOO_DEEP),
        ("def keep(row):\n    return " + "not " * 900 + "1", Reason.TOO_DEEP),
        ("def keep(row):\n    return 1" + "+1" * 1500, Reason.TOO_DEEP),
        ("def keep(row):\n    return row" + ".a" * 1500, Reason.TOO_DEEP),
        ("def keep(row):\n" + "".join(" " * i + " if row:\n" for i in range(40)) + " " * 41 + "pass", Reason.TOO_DEEP),
        (f"import os\n{GOOD}", Reason.IMPORTS),
        (f"from os import path\n{GOOD}", Reason.IMPORTS),
        (f"from . import math\n{GOOD}", Reason.IMPORTS),
        ("def keep(row):\n    import subprocess\n    return True", Reason.IMPORTS),
        (f"def keep(row):\n    return {'x' * 300!r} in row['text']", Reason.LONG_TEXT),
        ("def keep(row):\n    return [" + f"{'y' * 150!r}, " * 5 + "]", Reason.LONG_TEXT),
    ],
)
def test_everything_else_is_refused_for_its_reason(reply: str, reason: Reason) -> None:
    with pytest.raises(Unproposed) as caught:
        function_in(reply, KEEP)
    assert caught.value.reason is reason, caught.value
    assert len(caught.value.detail) <= DETAIL_CHARS
    assert caught.value.detail.isprintable()


def test_prose_in_a_function_does_not_come_through() -> None:
    prose = INJECTION.strip()
    for reply in (
        f'def keep(row: "{prose}"):\n    return True',
        f'def keep(row):\n    """{INJECTION}"""\n    return True',
        f'def keep(row):\n    # {INJECTION}    "{prose}"\n    return True  # {prose}',
    ):
        assert function_in(reply, KEEP) == "def keep(row):\n    return True\n"


def test_a_megabyte_is_refused_at_once() -> None:
    for reply in (GOOD * 30_000, "`" * 2**20, "```\n" * 2**18, "(" * 2**20):
        begun = time.process_time()
        with pytest.raises(Unproposed) as caught:
            function_in(reply, KEEP)
        assert caught.value.reason is Reason.TOO_LONG
        assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    "piece", ["```\n", "def keep(row):\n", "(", "'''", "\\\n", "f'{", "import x\n", "</think>", "\t"]
)
def test_the_longest_reply_that_is_read_is_read_quickly(piece: str) -> None:
    begun = time.process_time()
    with pytest.raises(Unproposed):
        function_in((piece * 32_000)[:32_000], KEEP)
    assert time.process_time() - begun < 2.0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(
            st.sampled_from(
                [
                    "```",
                    "\n",
                    "python\n",
                    "def keep(row):",
                    "\n    return True",
                    "import math\n",
                    "(",
                    "'",
                    "x",
                    " ",
                    "#",
                ]
            ),
            max_size=12,
        ).map("".join),
    )
)
def test_any_text_is_a_function_or_a_reason(reply: Any) -> None:
    with suppress(Unproposed):
        said = function_in(reply, KEEP)
        assert function_in(said, KEEP) == said
        assert said.count("def keep(row):") == 1


def test_size_counts_tokens_not_characters() -> None:
    assert tokens(GOOD) == tokens(GOOD.replace("    ", "        ").replace("level", "a_much_longer_name"))
    assert tokens("def keep(row):\n    return True\n") < tokens(GOOD)
