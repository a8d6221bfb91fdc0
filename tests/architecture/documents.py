"""The generated parts of the READMEs: ``python -m tests.architecture.documents [--write]``.

A document is written by hand; what can be listed stands between ``<!-- generated: NAME -->`` and
``<!-- end of NAME -->`` and is made from the code. Without ``--write`` stale documents are named and the exit
status is 1.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.architecture import lists, reference, tables, tree, walk

Block = Callable[[], str]
DOCUMENTS: Mapping[str, Mapping[str, Block]] = {
    "metaevo/README.md": {"layers": lists.layers, "walk": walk.walk},
    "metaevo/modules/README.md": {
        "slots": tables.slots,
        "effects": tables.effects,
        "traits": tables.traits,
        "modules": tables.modules,
    },
    "metaevo/recipes/README.md": {"presets": tables.presets},
    "objectives/README.md": {"files": lists.files_of("objectives"), "adapters": lists.files_of("objectives/adapters")},
    "objectives/environments/README.md": {"environments": tables.environments, "examples": tables.examples},
    "services/README.md": {
        "commands": tables.commands,
        "exit codes": tables.exit_codes,
        "files": lists.files_of("services"),
        "operations": lists.files_of("services/operations"),
        "records": lists.files_of("services/records"),
        "config": lists.files_of("services/config"),
        "home": lists.files_of("services/home"),
        "reports": lists.files_of("services/reports"),
        "actions": lists.files_of("services/actions"),
        "text": lists.files_of("services/text"),
    },
    "deploy/configuration.md": {"keys": reference.keys},
}
BLOCK = re.compile(r"<!-- generated: ([a-z ]+) -->\n.*?<!-- end of \1 -->", re.DOTALL)


def fresh(text: str, blocks: Mapping[str, Block], where: str) -> str:
    """Return a document with its blocks made anew.

    Raises:
        ValueError: A block is missing from the document, or stands in it and is not known.
    """
    found = BLOCK.findall(text)
    if sorted(found) != sorted(blocks):
        raise ValueError(f"{where}: has the blocks {sorted(found)}, want {sorted(blocks)}, each once")
    made = {name: blocks[name]().strip("\n") for name in found}
    return BLOCK.sub(lambda m: f"<!-- generated: {m[1]} -->\n{made[m[1]]}\n<!-- end of {m[1]} -->", text)


def stale(root: Path = tree.ROOT, *, write: bool = False) -> list[str]:
    """Return the documents whose generated parts are not what the code says; ``write`` brings them up to date."""
    found = []
    for where, blocks in DOCUMENTS.items():
        path = root / where
        text = path.read_text(encoding="utf-8")
        wanted = fresh(text, blocks, where)
        if wanted != text:
            found.append(where)
            if write:
                path.write_text(wanted, encoding="utf-8")
    return found


def main() -> int:
    """Check, or write; return the exit status."""
    write = sys.argv[1:] == ["--write"]
    if sys.argv[1:] and not write:
        print(f"documents: {' '.join(sys.argv[1:])}: want nothing or --write", file=sys.stderr)
        return 2
    try:
        found = stale(write=write)
    except (OSError, ValueError) as error:
        print(f"documents: {error}", file=sys.stderr)
        return 1
    for where in found:
        print(f"written: {where}" if write else f"stale: {where}; run `make fix`")
    return int(bool(found) and not write)


if __name__ == "__main__":
    raise SystemExit(main())
