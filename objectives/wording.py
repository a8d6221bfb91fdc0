"""What a text says, whatever it is written with: the words and the mathematics that near copies are compared by.

Case, punctuation, symbols, emoji, combining marks and what nobody sees say nothing. Signs between numbers or single
letters are mathematics and stay: 3+4 is not 3-4, and 1.5 is not 15. A hyphen inside a word is no sign.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from objectives.splits import hidden

Words = tuple[str, ...]
SIGNS = frozenset(("+", "-", "*", "**", "/", "=", "<", ">", "<=", ">=", "<>", "^", "%", "(", ")"))
SAME = {"−": "-", "×": "*", "∗": "*", "⋅": "*", "÷": "/", "⁄": "/", "∕": "/", "≠": "<>", "≤": "<=", "≥": ">=", "’": "'"}
"""Signs that are written in several ways."""
LETTER = r"[^\W\d_]"
INSIDE = re.compile(rf"(?<={LETTER})[-'._](?={LETTER})|(?<={LETTER}{LETTER})-(?=\d)|(?<=\d)-(?={LETTER}{LETTER})")
"""What may stand inside a word: a hyphen, an apostrophe, a point, a low line."""
ALGEBRA = re.compile(rf"(?<![\w'.])({LETTER})-({LETTER})(?![\w'.])")
TOKEN = re.compile(r"\d+(?:\.\d+)+|(?<![\w.])\.\d+|\*\*|<>|[<>]=|[-+*/=<>^%()]|[^\s\-+*/=<>^%().'_]+")
PIECE = re.compile(r"(?<=[.?!:;])[\s\"'”’»)\]]+|\n+|[\"“”«»]+|\s[-–—]+\s")
"""Where one sentence, line or label of a text ends and the next begins."""
LABEL = re.compile(
    r"^\W*(?:(?:q|question|task|problem|exercise|prompt|input|user)\W*\d*\s*[:.)]|\d+[.)](?=\s))\s*", re.IGNORECASE
)
"""What a question may be called."""
RUN = 4
"""Pieces of a text that are looked at together: what is looked for in them is short."""
KEPT_MARKS = (0, 7, 8, 9)
"""Combining classes of marks that are part of a letter, as Indic vowels and the voiced kana have them."""


def readings(text: str) -> tuple[Words, ...]:
    """Return the words and signs of a text: with hyphens and their like inside words left out, and as breaks."""
    plain = ALGEBRA.sub(r"\1 - \2", _plain(text))
    joined, split = _tokens(INSIDE.sub("", plain)), _tokens(INSIDE.sub(" ", plain))
    return (joined,) if joined == split else (joined, split)


def words(text: str) -> list[str]:
    """Return the words of a text, without signs; what may stand inside a word breaks it."""
    return spoken(readings(text)[-1])


def spoken(reading: Words) -> list[str]:
    """Return the words of a reading without its signs."""
    return [token for token in reading if token not in SIGNS]


def grams(said: Sequence[str], size: int) -> set[Words]:
    """Return the runs of ``size`` words."""
    return {tuple(said[at : at + size]) for at in range(len(said) - size + 1)}


def passages(text: str) -> set[Words]:
    """Return what up to four sentences, lines or labels in a row say, where that is more than a word."""
    pieces = [readings(LABEL.sub("", piece)) for piece in PIECE.split(text) if piece.strip()]
    found = set[Words]()
    for form in (0, -1):
        said = [piece[form] for piece in pieces]
        for at in range(len(said)):
            found.update(run for run in accumulate(said[at : at + RUN]) if len(run) > 1)
    return found


def _plain(text: str) -> str:
    """Return the text without case, with marks and symbols that say nothing left out."""
    for written, sign in SAME.items() if not text.isascii() else ():
        text = text.replace(written, sign)
    before, kept = " ", list[str]()
    for character in text if text.isascii() else unicodedata.normalize("NFKD", text):
        shown = _face(character)
        if unicodedata.category(character)[0] == "M":
            kept.append("" if before.isascii() else shown)
        elif shown:
            before = character
            kept.append(shown)
    return unicodedata.normalize("NFKC", "".join(kept).casefold())


@lru_cache(maxsize=1 << 14)
def _face(character: str) -> str:
    """Return the character as it is compared: itself, a space, or nothing."""
    kind = unicodedata.category(character)
    if hidden(character) or kind == "Me":
        return ""
    if kind in ("Mn", "Mc"):
        return character if unicodedata.combining(character) in KEPT_MARKS else ""
    if character.isalnum() or character in SIGNS or character in "'._":
        return character
    if kind == "Pd":
        return "-"
    return f" {character} " if 0x2200 <= ord(character) < 0x2300 else " "


def _tokens(plain: str) -> Words:
    """Return the words, and the signs that stand where mathematics does."""
    found = TOKEN.findall(plain)
    return tuple(token for at, token in enumerate(found) if token not in SIGNS or _means(found, at))


def _means(found: Sequence[str], at: int) -> bool:
    """Return whether the sign at this place is mathematics: what it stands between are numbers or single letters."""
    sign = found[at]
    before = found[at - 1] if at else ""
    after = found[at + 1] if at + 1 < len(found) else ""
    if sign == "%":
        return before[-1:].isdigit()
    if sign == "(":
        return before in SIGNS and before not in "()" and _means(found, at - 1)
    if sign == ")":
        return after in SIGNS and after not in "()%" and _operand(found[at + 2] if at + 2 < len(found) else "")
    if sign == "-":
        return _operand(after) or after == "("
    return (_operand(before) or before in (")", "%")) and (_operand(after) or after in ("(", "-"))


def _operand(token: str) -> bool:
    return token not in SIGNS and (len(token) == 1 or token[:1].isdigit() or token[-1:].isdigit())
