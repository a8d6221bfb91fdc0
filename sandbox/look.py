"""The static look at imports for a tier whose interpreter offers no syntax tree: by tokens, so nothing recurses.

It is not a protection, it is a rule of style for kernels: what the source may reach is the interpreter's matter.
"""

import io
import re
import token
import tokenize
from collections.abc import Iterator

F_STRING = re.compile(r"[fFtT][rR]?[\"']|[rR][fFtT][\"']")
SKIPPED = {token.COMMENT, token.NL, token.INDENT, token.DEDENT, token.ENCODING}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of every import statement, up to where the text stops being tokens of Python."""
    words: list[tokenize.TokenInfo] = []
    try:
        for word in tokenize.generate_tokens(io.StringIO(source).readline):
            if word.type in SKIPPED:
                continue
            if word.type == token.NEWLINE or word.string in (";", ":"):
                yield from _statement(words)
                words = []
            else:
                words.append(word)
    except (tokenize.TokenError, SyntaxError):
        pass
    yield from _statement(words)
    if F_STRING.search(source):
        yield from _hidden(source)


STATEMENT = re.compile(
    r"(?:^|[;:])[ \t\f]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+(\w[\w., \t]*))", re.MULTILINE
)


def _hidden(source: str) -> Iterator[tuple[int, str]]:
    """Yield what looks like an import anywhere, in texts too.

    Whoever reads this may end an f-string elsewhere than the interpreter does: quotes may nest in it.
    """
    for found in STATEMENT.finditer(source):
        line = source.count("\n", 0, found.end()) + 1
        names = found[1] or found[2]
        yield from ((line, name.split()[0]) for name in names.split(",") if name.split())


def _statement(words: list[tokenize.TokenInfo]) -> Iterator[tuple[int, str]]:
    if len(words) < 2 or words[0].string not in ("import", "from"):
        return
    said = [word.string for word in words]
    line = words[0].start[0]
    if said[0] == "from":
        end = said.index("import") if "import" in said else len(said)
        yield line, "".join(said[1:end])
        return
    names, fresh = [], True
    for text in said[1:]:
        if text == ",":
            fresh = True
        elif fresh:
            names.append(text)
            fresh = False
    for name in names:
        yield line, name


def refused(source: str, allowed: frozenset[str] | None) -> str:
    """Return the first import that is not allowed, or nothing."""
    if allowed is None:
        return ""
    return next((f"line {line}: imports {name}" for line, name in imported(source) if name not in allowed), "")
