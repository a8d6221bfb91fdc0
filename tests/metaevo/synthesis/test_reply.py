"""One function of the asked name is taken from a reply; everything else is refused for its true reason, unrun."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.kernels import CONTRACTS
from metaevo.synthesis.proposals import DETAIL_CHARS, NoProposalReason, Unproposed
from metaevo.synthesis.reply import count_tokens, function_in
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
        ("", NoProposalReason.EMPTY),
        (" \n\t", NoProposalReason.EMPTY),
        ("x" * 40_000, NoProposalReason.TOO_LONG),
        (GOOD + "    # " + "x" * 5000, NoProposalReason.TOO_LONG),
        ("def keep(row):\n    return '" + "\u202e" * 700 + "' in row['text']", NoProposalReason.LONG_TEXT),
        ("I cannot write code.", NoProposalReason.NO_FUNCTION),
        (INJECTION, NoProposalReason.NO_FUNCTION),
        ("\x00\x01\x02", NoProposalReason.NO_FUNCTION),
        ("def drop(row):\n    return True", NoProposalReason.NO_FUNCTION),
        ("class keep:\n    pass", NoProposalReason.NO_FUNCTION),
        ("```python\nkeep = lambda row: True\n```", NoProposalReason.NO_FUNCTION),
        (f"{GOOD}\ndef other(row):\n    return 1\n", NoProposalReason.MANY_FUNCTIONS),
        (f"{GOOD}\n{GOOD}", NoProposalReason.MANY_FUNCTIONS),
        (f"{FENCED}\n```\ndef keep(row):\n    return True\n```", NoProposalReason.MANY_FUNCTIONS),
        (
            "def keep(row):\n    def inner(x):\n        return x\n    return inner(True)",
            NoProposalReason.MANY_FUNCTIONS,
        ),
        ("def keep(row):\n    class A:\n        pass\n    return True", NoProposalReason.MANY_FUNCTIONS),
        ("def keep():\n    return True", NoProposalReason.SIGNATURE),
        ("def keep(rows):\n    return True", NoProposalReason.SIGNATURE),
        ("def keep(row, extra):\n    return True", NoProposalReason.SIGNATURE),
        ("def keep(row, extra=1):\n    return True", NoProposalReason.SIGNATURE),
        ("def keep(*row):\n    return True", NoProposalReason.SIGNATURE),
        ("def keep(row, **more):\n    return True", NoProposalReason.SIGNATURE),
        ("def keep(row=open('/etc/passwd')):\n    return True", NoProposalReason.SIGNATURE),
        (f"```\nprint('hello')\n{GOOD}```", NoProposalReason.OTHER_CODE),
        (f"```\n{GOOD}keep({{}})\n```", NoProposalReason.OTHER_CODE),
        (f"```\nwhile True: pass\n{GOOD}```", NoProposalReason.OTHER_CODE),
        ("```\n@staticmethod\n" + GOOD + "```", NoProposalReason.OTHER_CODE),
        ("def keep(row):\n    return (", NoProposalReason.NO_PYTHON),
        ("def keep(row)\n    return True", NoProposalReason.NO_PYTHON),
        ("def keep(row):\nreturn True", NoProposalReason.NO_PYTHON),
        ("```\nasync def keep(row):\n    return True\n```", NoProposalReason.NO_FUNCTION),
        ("def keep(row):\n    return " + "9" * 4400, NoProposalReason.TOO_LONG),
        ("def keep(row):\n    return " + "(" * 100 + "1" + ")" * 100, NoProposalReason.TOO_DEEP),
        ("def keep(row):\n    return " + "-" * 3000 + "1", NoProposalReason.TOO_DEEP),
        ("def keep(row):\n    return " + "not " * 900 + "1", NoProposalReason.TOO_DEEP),
        ("def keep(row):\n    return 1" + "+1" * 1500, NoProposalReason.TOO_DEEP),
        ("def keep(row):\n    return row" + ".a" * 1500, NoProposalReason.TOO_DEEP),
        (
            "def keep(row):\n" + "".join(" " * i + " if row:\n" for i in range(40)) + " " * 41 + "pass",
            NoProposalReason.TOO_DEEP,
        ),
        (f"import os\n{GOOD}", NoProposalReason.IMPORTS),
        (f"from os import path\n{GOOD}", NoProposalReason.IMPORTS),
        (f"from . import math\n{GOOD}", NoProposalReason.IMPORTS),
        ("def keep(row):\n    import subprocess\n    return True", NoProposalReason.IMPORTS),
        (f"def keep(row):\n    return {'x' * 300!r} in row['text']", NoProposalReason.LONG_TEXT),
        ("def keep(row):\n    return [" + f"{'y' * 150!r}, " * 5 + "]", NoProposalReason.LONG_TEXT),
    ],
)
def test_everything_else_is_refused_for_its_reason(reply: str, reason: NoProposalReason) -> None:
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
        assert caught.value.reason is NoProposalReason.TOO_LONG
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
    assert count_tokens(GOOD) == count_tokens(GOOD.replace("    ", "        ").replace("level", "a_much_longer_name"))
    assert count_tokens("def keep(row):\n    return True\n") < count_tokens(GOOD)
