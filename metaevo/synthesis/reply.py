"""From a model's reply to one plain function, or the reason why it is none. The text is read, never run.

What is taken is written anew from its syntax tree: comments, docstrings and annotations are gone, so that little of
a reply's prose can reach the next model or a reader as anything but code.
"""

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from contextlib import suppress

from metaevo.kernels import SOURCE_CHARS, Contract
from metaevo.synthesis.proposals import NoProposalReason, Unproposed
from sandbox.types import ALLOWED_IMPORTS

REPLY_CHARS = 32_000
"""The longest reply that is looked at, in characters."""
BRACKETS, BLOCKS, TREE = 30, 12, 60
"""How deep brackets, blocks and the syntax tree may nest."""
TEXT_CHARS, TEXTS_CHARS = 200, 600
"""The longest text constant, and all of them together, in characters."""
FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
OPENING = re.compile(r"import\s+[\w., ]+$|from\s+\S+\s+import\s|def\s")
INSIDE = re.compile(rf"[ \t]|$|[)\]}}#]|{OPENING.pattern}")
"""How a line of code begins at the margin, in a reply without fences."""
DEFS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def function_in(reply: str, contract: Contract) -> str:
    """Return the source of the one function in a reply, in one form: the same code gives the same text.

    Raises:
        Unproposed: With the reason why the reply is not a kernel of this kind.
    """
    if not reply.strip():
        raise Unproposed(NoProposalReason.EMPTY)
    if len(reply) > REPLY_CHARS:
        raise Unproposed(NoProposalReason.TOO_LONG, f"{len(reply)} characters, at most {REPLY_CHARS}")
    *longer, code = _codes(reply.rpartition("</think>")[2], contract)
    tree = None
    for text in longer:  # prose after the function is the usual reason why the longer one does not parse
        with suppress(Unproposed):
            tree = _parsed(text)
            break
    tree = tree or _parsed(code)
    function = _only(tree, contract)
    _signature(function, contract)
    _contents(function, tree)
    plain = _plain(tree)
    if len(plain) > SOURCE_CHARS:  # escapes can make it longer than it came
        raise Unproposed(NoProposalReason.TOO_LONG, f"a function of {len(plain)} characters, at most {SOURCE_CHARS}")
    return plain


def count_tokens(source: str) -> int:
    """Return how many tokens of Python a source has, white space aside: its size, whoever wrote it."""
    words = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(1 for word in words if word.string.strip())


def _codes(reply: str, contract: Contract) -> tuple[str, ...]:
    """Return the fenced block that defines the function; without fences all that follows, and what looks like code."""
    fenced = [block for block in FENCED.findall(reply) if re.search(rf"\bdef\s+{contract.kind}\b", block)]
    if len(set(fenced)) > 1:
        raise Unproposed(NoProposalReason.MANY_FUNCTIONS, f"{len(fenced)} blocks define {contract.kind}")
    if fenced:
        return (str(fenced[0]).strip("\n"),)
    lines = reply.replace("\r\n", "\n").split("\n")
    first = next((at for at, line in enumerate(lines) if OPENING.match(line)), None)
    if first is None:
        raise Unproposed(NoProposalReason.NO_FUNCTION, f"nothing defines {contract.kind}")
    last = next((at for at in range(first, len(lines)) if not INSIDE.match(lines[at])), len(lines))
    return tuple("\n".join(lines[first:end]).strip("\n") for end in (len(lines), last))


def _parsed(code: str) -> ast.Module:
    if len(code) > SOURCE_CHARS:
        raise Unproposed(NoProposalReason.TOO_LONG, f"a function of {len(code)} characters, at most {SOURCE_CHARS}")
    deep = _nested(code)
    if deep:
        raise Unproposed(NoProposalReason.TOO_DEEP, deep)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise Unproposed(NoProposalReason.NO_PYTHON, str(error)) from None
    except (RecursionError, MemoryError):
        raise Unproposed(NoProposalReason.TOO_DEEP, "the parser gave up") from None
    layer: list[ast.AST] = [tree]
    for _ in range(TREE):
        layer = [kid for node in layer for kid in ast.iter_child_nodes(node)]
        if not layer:
            return tree
    raise Unproposed(NoProposalReason.TOO_DEEP, f"more than {TREE} levels")


def _nested(code: str) -> str:
    """Return what nests too deeply, by tokens alone: before anything recursive looks at the text."""
    brackets = blocks = 0
    try:
        for word in tokenize.generate_tokens(io.StringIO(code).readline):
            brackets += (word.string in "([{") - (word.string in ")]}") if word.type == tokenize.OP else 0
            blocks += (word.type == tokenize.INDENT) - (word.type == tokenize.DEDENT)
            if brackets > BRACKETS or blocks > BLOCKS:
                return f"line {word.start[0]}: more than {BRACKETS} brackets or {BLOCKS} blocks"
    except (tokenize.TokenError, SyntaxError) as error:
        raise Unproposed(NoProposalReason.NO_PYTHON, str(error)) from None
    return ""


def _only(tree: ast.Module, contract: Contract) -> ast.FunctionDef:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if contract.kind not in [function.name for function in functions]:
        names = ", ".join(function.name for function in functions)
        raise Unproposed(NoProposalReason.NO_FUNCTION, f"nothing defines {contract.kind}{names and ', only '}{names}")
    if len(functions) > 1:
        raise Unproposed(NoProposalReason.MANY_FUNCTIONS, ", ".join(function.name for function in functions))
    prose = [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    tree.body = [node for node in tree.body if node not in prose]
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom):
            raise Unproposed(NoProposalReason.OTHER_CODE, f"line {node.lineno}: {type(node).__name__}")
    return functions[0]


def _signature(function: ast.FunctionDef, contract: Contract) -> None:
    said = function.args
    more = said.posonlyargs or said.kwonlyargs or said.vararg or said.kwarg or said.defaults
    if more or tuple(argument.arg for argument in said.args) != contract.takes:
        raise Unproposed(NoProposalReason.SIGNATURE, f"want {contract.signature}, got ({ast.unparse(said)})")
    if function.decorator_list or getattr(function, "type_params", None):
        raise Unproposed(NoProposalReason.OTHER_CODE, f"line {function.lineno}: a decorator or a type parameter")


def _contents(function: ast.FunctionDef, tree: ast.Module) -> None:
    total = 0
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, DEFS) and node is not function:
            raise Unproposed(NoProposalReason.MANY_FUNCTIONS, f"line {node.lineno}: {node.name} inside {function.name}")
        for name in _imported(node):
            if name.split(".")[0] not in ALLOWED_IMPORTS:
                raise Unproposed(
                    NoProposalReason.IMPORTS, f"imports {name}; allowed: {', '.join(sorted(ALLOWED_IMPORTS))}"
                )
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in prose:
            total += len(node.value)
            if len(node.value) > TEXT_CHARS or total > TEXTS_CHARS:
                raise Unproposed(
                    NoProposalReason.LONG_TEXT, f"line {node.lineno}: more than {TEXT_CHARS} or {TEXTS_CHARS} in all"
                )


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    if isinstance(node, ast.ImportFrom):
        yield "." * node.level + (node.module or "")


class _Bare(ast.NodeTransformer):
    """Takes docstrings and annotations away."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        """Turn a bare constant into nothing."""
        return ast.Pass() if isinstance(node.value, ast.Constant) else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Drop what annotates the function, and the nothing its docstring left."""
        node.returns, node.type_comment = None, None
        for argument in node.args.args:
            argument.annotation = None
        self.generic_visit(node)
        node.body = [inner for inner in node.body if not isinstance(inner, ast.Pass)] or [ast.Pass()]
        return node


def _plain(tree: ast.Module) -> str:
    try:
        return ast.unparse(ast.fix_missing_locations(_Bare().visit(tree))) + "\n"
    except RecursionError:
        raise Unproposed(NoProposalReason.TOO_DEEP, "it cannot be written anew") from None
    except ValueError as error:  # before Python 3.12 some texts inside f-strings cannot be
        raise Unproposed(NoProposalReason.NO_PYTHON, str(error)) from None
