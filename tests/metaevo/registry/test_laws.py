"""The law-book of modules: every module we ship obeys it, and every law refuses the module made to break it."""

from dataclasses import replace
from pathlib import Path

import pytest

from metaevo.errors import ModuleFailed
from metaevo.registry.laws import HOUSE_STYLE, LAWS, MOST_LINES, ON_SIGNATURE, problems, unlawful_modules
from metaevo.registry.registry import Registry
from metaevo.registry.slots import SLOTS, Module
from metaevo.search.skeletons import skeletons
from metaevo.types import Knob

REGISTRY = Registry()
SHIPPED = [(slot, name) for slot in SLOTS for name in REGISTRY.names(slot)]
HEAD = '"""A module of this house."""\nfrom typing import Annotated, Literal\n\nfrom metaevo import *\n\n\n'
ROWS = "def lawless(rows: Experiences) -> Experiences:\n"
LAWLESS: dict[str, tuple[str, str, str]] = {
    "reaches for nothing": (
        "refinement",
        "from metaevo.ledger.ledger import open_ledger\n\n\n" + ROWS + "    return rows\n",
        "it imports metaevo.ledger.ledger; ask for an effect instead",
    ),
    "leaves its batch alone": (
        "refinement",
        ROWS + "    for row in rows:\n        row.feedback[0].signals.clear()\n    return rows\n",
        "it changed its batch",
    ),
    "repeats itself": (
        "refinement",
        "calls = []\n\n\n" + ROWS + "    calls.append(1)\n    return rows[: len(calls)]\n",
        "it gave two answers for one batch and one stream",
    ),
    "takes an empty batch": ("refinement", ROWS + "    return (rows[0],)\n", "it raised IndexError"),
    "knobs survive JSON": (
        "refinement",
        'def lawless(rows: Experiences, *, n: Literal[b"a", b"b"] = b"a") -> Experiences:\n    return rows\n',
        "it raised ValidationError",
    ),
    "groups may be permuted": (
        "refinement",
        ROWS + "    return tuple(row for row in rows if row.attempt.task.id == rows[0].attempt.task.id)\n",
        "its result depends on the order of the groups",
    ),
    "traits fit its slot": (
        "refinement",
        "TRAITS = (Trait.TAKES_PAIRS,)\n\n\n" + ROWS + "    return rows\n",
        "it declares takes_pairs, which is said in update",
    ),
    "does what it declares": (
        "refinement",
        "from dataclasses import replace\n\n\n"
        + ROWS
        + "    return tuple(replace(row, rejected=row.attempt) for row in rows)\n",
        "it gives rows with a rejected attempt: add TRAITS = (Trait.GIVES_PAIRS,)",
    ),
}
UNTIDY: dict[str, tuple[str, str]] = {
    "cites its source": (ROWS + '    """Return the rows."""\n    return rows\n', "its docstring cites no paper"),
    "says what it returns": (
        ROWS + '    """All rows (arXiv:2203.14465)."""\n    return rows\n',
        "its docstring does not say what it returns",
    ),
    "fits on two screens": (
        ROWS + '    """Return the rows (arXiv:2203.14465)."""\n    return rows\n' + "# more\n" * 150,
        f"lines, at most {MOST_LINES}",
    ),
}


def home(folder: Path, slot: str, source: str, name: str = "lawless") -> Registry:
    path = folder / "modules" / slot / f"{name}.py"
    path.parent.mkdir(parents=True)
    path.write_text(HEAD + source)
    return Registry(folder)


def written(folder: Path, slot: str, source: str) -> Module:
    return home(folder, slot, source).get(slot, "lawless")


@pytest.mark.parametrize(("slot", "name"), SHIPPED, ids=[f"{slot}.{name}" for slot, name in SHIPPED])
def test_every_module_we_ship_obeys_the_laws_and_the_house_style(slot: str, name: str) -> None:
    module = REGISTRY.get(slot, name)
    assert list(problems(module)) == []
    assert list(problems(module, HOUSE_STYLE)) == []


def test_every_slot_has_a_module_and_no_law_is_without_a_lawless_one() -> None:
    assert {slot for slot, _ in SHIPPED} == set(SLOTS)
    assert {*LAWLESS, "search space is legal"} == {law.name for law in LAWS}
    assert set(UNTIDY) == {law.name for law in HOUSE_STYLE}


@pytest.mark.parametrize("law", LAWLESS)
def test_a_lawless_module_is_refused_with_one_sentence(tmp_path: Path, law: str) -> None:
    slot, source, sentence = LAWLESS[law]
    said = list(problems(written(tmp_path, slot, source)))
    assert [line for line in said if line.startswith(f"{slot}.lawless breaks the law {law!r}: {sentence}")], said
    assert all("\n" not in line for line in said)


def test_a_knob_searched_beyond_what_a_recipe_may_say_is_refused() -> None:
    """Reading a signature already guards it: the law is for modules that come by another way."""
    module = REGISTRY.get("refinement", "experience_replay")
    (name, knob) = next((name, knob) for name, knob in module.space.items() if isinstance(knob, Knob))
    wider = replace(module, space={name: Knob(knob.low, 10**6)})
    (said,) = problems(wider)
    assert said.startswith("refinement.experience_replay breaks the law 'search space is legal': it raised")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (ROWS + "    raise SystemExit(3)\n", "it raised SystemExit: 3"),
        (ROWS + "    raise KeyError('hole')\n", "it raised KeyError: 'hole'"),
        (ROWS + "    return list(rows)\n", "it gave list for an empty batch"),
    ],
)
def test_whatever_a_module_does_when_it_is_tried_is_a_sentence(tmp_path: Path, source: str, sentence: str) -> None:
    assert any(sentence in said for said in problems(written(tmp_path, "refinement", source)))


def test_a_module_that_blames_the_sandbox_itself_is_lawless(tmp_path: Path) -> None:
    source = "from metaevo.errors import SandboxUnavailable\n\n\n" + ROWS + "    raise SandboxUnavailable('gone')\n"
    assert unlawful_modules(home(tmp_path, "refinement", source)) == {
        ("refinement", "lawless"): "refinement.lawless raised SandboxUnavailable: gone"
    }


def test_a_stranger_s_lawless_module_is_named_and_never_proposed(tmp_path: Path) -> None:
    slot, source, sentence = LAWLESS["repeats itself"]
    registry = home(tmp_path, slot, source)
    (place, said), *more = unlawful_modules(registry).items()
    assert (place, more) == (("refinement", "lawless"), [])
    assert sentence in said
    assert not [id_ for id_ in skeletons(registry) if "lawless" in id_]


def test_a_stranger_s_lawful_module_and_ours_are_not_named(tmp_path: Path) -> None:
    assert unlawful_modules(REGISTRY) == {}
    assert unlawful_modules(home(tmp_path, "refinement", ROWS + "    return rows[::-1]\n")) == {}


def test_a_file_that_does_not_load_is_named_with_the_reason(tmp_path: Path) -> None:
    registry = home(tmp_path, "feedback", "import nothing_of_that_name\n")
    assert "fails to import: ModuleNotFoundError" in unlawful_modules(registry)["feedback", "lawless"]
    with pytest.raises(ModuleFailed, match="nothing_of_that_name"):
        registry.get("feedback", "lawless")


def test_a_module_that_trains_is_held_to_its_signature_only(tmp_path: Path) -> None:
    head = "def lawless(rows: Experiences, *, weights: Weights) -> Generation:\n"
    body = head + "    raise RuntimeError('needs an engine')\n"
    assert list(problems(written(tmp_path, "update", body))) == []
    reaching = "import services.home.open\n\n\n" + body
    (said,) = problems(written(tmp_path / "b", "update", reaching))
    assert said.startswith("update.lawless breaks the law 'reaches for nothing': it imports services.home.open")
    assert {law.name for law in LAWS} > ON_SIGNATURE


@pytest.mark.parametrize("style", UNTIDY)
def test_house_style_is_told_of_our_modules_and_asked_of_no_stranger(tmp_path: Path, style: str) -> None:
    source, sentence = UNTIDY[style]
    module = written(tmp_path, "refinement", source)
    assert list(problems(module)) == []
    (said,) = problems(module, HOUSE_STYLE)
    assert said.startswith(f"refinement.lawless breaks the law {style!r}: ")
    assert sentence in said


def test_a_class_in_our_tree_is_told(tmp_path: Path) -> None:
    source = "class Thing:\n    pass\n\n\n" + ROWS + '    """Return the rows (arXiv:2203.14465)."""\n    return rows\n'
    assert "it defines a class" in next(problems(written(tmp_path, "refinement", source), HOUSE_STYLE))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from metaevo import ledger", "it imports metaevo.ledger"),
        ("from metaevo import Knob, evolution", "it imports metaevo.evolution"),
        ("from metaevo import artifacts as a", "it imports metaevo.artifacts"),
        ("import metaevo\n\nreached = metaevo.registry", "it imports metaevo.registry"),
        ("import metaevo as m", "it imports metaevo as m"),
        ("import importlib", "it imports by a name that is not in its source"),
        ("from importlib import import_module as load", "it imports by a name that is not in its source"),
        ("reached = __import__('metaevo.ledger')", "it imports by a name that is not in its source"),
        (
            "import sys\n\nfound = getattr(sys, 'importlib', None) or sys.modules.get('x').import_module",
            "it imports by",
        ),
    ],
)
def test_no_way_to_import_leads_beyond_the_vocabulary(tmp_path: Path, line: str, said: str) -> None:
    module = written(tmp_path, "refinement", ROWS + "    return rows\n")
    source = HEAD + line + "\n\n\n" + ROWS + "    return rows\n"
    module.path.write_text(source)  # the law reads the source: it need not run
    sentence = next(problems(module), "")
    assert sentence.startswith(f"refinement.lawless breaks the law 'reaches for nothing': {said}")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("found = open('rows.jsonl').read()", "it uses open;"),
        ("import pathlib", "it imports pathlib;"),
        ("from os import environ", "it imports os;"),
        ("import numpy.lib as n\n\nfound = n.load_dataset('x')", "it imports numpy.lib;"),
        ("found = (lambda n: n)(0).load_dataset('x')", "it uses .load_dataset;"),
        ("from pathlib import Path", "it imports pathlib;"),
        ("read = __builtins__['open']", "it uses __builtins__;"),
        ("read = (lambda: 0).__globals__['__builtins__']", "it uses .__globals__;"),
        ("found = eval('1')", "it uses eval;"),
        ("import json.decoder, sqlite3", "it imports sqlite3;"),
    ],
)
def test_no_module_reaches_files_or_the_interpreter(tmp_path: Path, lines: str, said: str) -> None:
    module = written(tmp_path, "refinement", ROWS + "    return rows\n")
    module.path.write_text(HEAD + lines + "\n\n\n" + ROWS + "    return rows\n")
    assert f"'reaches for nothing': {said}" in next(problems(module), "")


@pytest.mark.parametrize(
    ("line", "place"),
    [("import beside", "beside.py"), ("from beside import rows", "beside.py"), ("from deep import far", "deep/far.py")],
)
def test_what_a_module_imports_from_beside_itself_is_looked_at_too(tmp_path: Path, line: str, place: str) -> None:
    """Also through a file that is fine itself."""
    module = written(tmp_path, "refinement", ROWS + "    return rows\n")
    file = module.path.parent / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("import helper\n")
    (file.parent / "helper.py").write_text("from pathlib import Path\n")
    module.path.write_text(HEAD + line + "\n\n\n" + ROWS + "    return rows\n")
    said = "helper.py, which it imports: it imports pathlib; ask for an effect instead"
    assert next(problems(module), "").endswith(said)


def test_the_vocabulary_may_be_imported_in_every_form(tmp_path: Path) -> None:
    head = "import metaevo\nimport metaevo.types\nfrom metaevo import Knob as K, solved\n\n"
    source = head + "kept = (metaevo.Knob, metaevo.types.Turn)\n\n\n" + ROWS + "    return rows\n"
    assert list(problems(written(tmp_path, "refinement", source))) == []


ENDS = "class Ends:\n    def __iter__(self):\n        raise {}('out')\n\n\nTRAITS = Ends()\n\n\n"


@pytest.mark.parametrize("error", ["SystemExit", "GeneratorExit", "KeyError"])
def test_traits_that_raise_when_they_are_read_are_that_file_s_fault(tmp_path: Path, error: str) -> None:
    registry = home(tmp_path, "refinement", ENDS.format(error) + ROWS + "    return rows\n")
    said = unlawful_modules(registry)["refinement", "lawless"]
    assert f"lawless.py: cannot be read: {error}: " in said
    with pytest.raises(KeyboardInterrupt):
        home(tmp_path / "b", "refinement", ENDS.format("KeyboardInterrupt") + ROWS + "    return rows\n").get(
            "refinement", "lawless"
        )
