"""The combinations a search may try: legal, few, always the same; a new file takes part, a forbidden one never."""

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.recipes.schema import FOLDER, load
from metaevo.registry.registry import Registry
from metaevo.search.composition import broken_rule
from metaevo.search.skeletons import MOST, Skeleton, identify, skeleton_rows, skeletons
from metaevo.search.space import default_params, space, with_knobs
from metaevo.search.study import Sampler, Study
from metaevo.types import Knob

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=20)
settings.load_profile("metaevo")

REGISTRY = Registry()
ALL = skeletons(REGISTRY)
PRESETS = sorted(path.stem for path in FOLDER.glob("*.toml"))
METHODS = sorted({step.partition(".")[2] for s in ALL.values() for step in s.recipe.modules})
HEAD = '"""A module of this house."""\nfrom metaevo import *\n\n\n'
NEW = {
    "tasks": "def brand_new(tasks: Tasks) -> Tasks:\n    return tasks\n",
    "refinement": "def brand_new(rows: Experiences) -> Experiences:\n    return rows\n",
    "stability": "def brand_new(spec: TrainSpec) -> TrainSpec:\n    return spec\n",
    "consolidation": (
        "def brand_new(made: Generation, *, weights: Weights, fitness: Fitness) -> Generation:\n    return made\n"
    ),
    "solutions": (
        "def brand_new(tasks: Tasks, *, policy: Policy) -> Attempts:\n"
        "    made = policy.sample([task.prompt for task in tasks])\n"
        "    return tuple(Attempt(t, answered(m[0], policy.id)) for t, m in zip(tasks, made, strict=True))\n"
    ),
    "feedback": (
        "def brand_new(attempts: Attempts) -> Experiences:\n"
        "    return tuple(Experience(a, (Feedback(1.0),), 1.0) for a in attempts)\n"
    ),
    "update": (
        "def brand_new(rows: Experiences, *, weights: Weights, spec: TrainSpec) -> Generation:\n"
        "    return weights.publish(weights.load(spec=spec).model)\n"
    ),
}


def home(folder: Path, slot: str, source: str, name: str = "brand_new") -> Registry:
    path = folder / "modules" / slot / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + source)
    return Registry(folder)


def uses(found: dict[str, Skeleton], module: str) -> list[str]:
    return [id_ for id_, s in found.items() if module in s.recipe.modules]


def test_every_preset_is_there_and_named() -> None:
    assert {s.preset for s in ALL.values() if s.preset} == set(PRESETS)
    for name in PRESETS:
        recipe = load(name, REGISTRY)
        assert ALL[identify(recipe)].recipe == recipe


def test_there_are_more_combinations_than_presets_but_not_too_many() -> None:
    assert len(PRESETS) < len(ALL) <= MOST
    few = skeletons(REGISTRY, most=6)
    assert len(few) == len(PRESETS) + 6
    assert set(few) <= set(ALL)


def many(home: Path, count: int) -> Registry:
    """Return the registry of a home with so many recipe files, each another combination."""
    (home / "recipes").mkdir()
    names = (f"{base} {rounds} {start}" for base in PRESETS for rounds in range(2, 17) for start in ("parent", "base"))
    for name in islice((name for name in names if name.split()[0] != "self"), count):
        base, rounds, start = name.split()
        head, body = (FOLDER / f"{base}.toml").read_text().split("[[stage]]\n", 1)
        kept = [line for line in body.splitlines() if not line.startswith(("rounds", "start"))]
        stage = "\n".join(["[[stage]]", f"rounds = {rounds}", f'start = "{start}"', *kept])
        called = "_".join((base, rounds, start))
        (home / "recipes" / f"{called}.toml").write_text(head.replace(f'name = "{base}"', f'name = "{called}"') + stage)
    return Registry(home)


def test_a_hundred_recipes_of_a_home_leave_room_for_as_many_proposals_as_one_does(tmp_path: Path) -> None:
    """Presets and proposals are bounded apart: with one bound for both, 79 recipes left no proposal at all."""
    registry = many(tmp_path, 120)
    found = skeletons(registry)
    presets = [s for s in found.values() if s.preset]
    assert len(presets) >= 120
    assert len(found) - len(presets) == MOST
    study = Study("x", found, (), registry)
    sampler = Sampler()
    try:
        for seed in range(3):
            asked: list[str] = []
            for number in range(6):
                asked.append(study.proposal(sampler, number, 6, 100 * seed + number, asked)["skeleton"])
            assert sum(found[id_].preset is None for id_ in asked) >= 2
    finally:
        sampler.close()


def test_what_is_not_a_preset_breaks_no_rule() -> None:
    for s in ALL.values():
        if s.preset is None:
            assert broken_rule(s.recipe, REGISTRY) is None, s.id


def test_they_are_different_and_complete_recipes() -> None:
    assert all(id_ == s.id == identify(s.recipe) for id_, s in ALL.items())
    hashes = {s.recipe.filled(REGISTRY).hash for s in ALL.values()}
    assert len(hashes) == len(ALL)


def test_the_same_modules_give_the_same_skeletons_in_the_same_order() -> None:
    again = skeletons(Registry())
    assert list(again) == list(ALL)
    assert [s.recipe for s in again.values()] == [s.recipe for s in ALL.values()]


@pytest.mark.parametrize("slot", NEW)
def test_a_new_file_takes_part_without_a_word_anywhere_else(tmp_path: Path, slot: str) -> None:
    found = skeletons(home(tmp_path, slot, NEW[slot]))
    assert uses(found, f"{slot}.brand_new")
    assert len(found) <= MOST


def test_a_new_recipe_is_a_skeleton_and_a_broken_one_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    text = (FOLDER / "rft.toml").read_text().replace('name = "rft"', 'name = "mine"', 1)
    (tmp_path / "recipes" / "mine.toml").write_text(text.replace("[[stage]]", "[[stage]]\nrounds = 3", 1))
    (tmp_path / "recipes" / "broken.toml").write_text("[[stage]\n")
    found = skeletons(Registry(tmp_path))
    assert "mine" in {s.preset for s in found.values()}
    assert set(ALL) & set(found)


@pytest.mark.parametrize("method", METHODS)
def test_a_forbidden_module_never_appears(method: str) -> None:
    found = skeletons(REGISTRY, forbidden=[method])
    assert all(method not in {name.partition(".")[2] for name in s.recipe.modules} for s in found.values())


@pytest.mark.parametrize("preset", PRESETS)
def test_a_forbidden_recipe_does_not_come_back_under_another_name(preset: str) -> None:
    found = skeletons(REGISTRY, forbidden=[preset])
    assert identify(load(preset, REGISTRY)) not in found
    assert preset not in {s.preset for s in found.values()}


def test_an_unlawful_module_never_appears(tmp_path: Path) -> None:
    source = (
        "import random\n\n\ndef brand_new(rows: Experiences) -> Experiences:\n    return rows[: random.randrange(9)]\n"
    )
    found = skeletons(home(tmp_path, "refinement", source))
    assert not uses(found, "refinement.brand_new")
    assert set(ALL) == set(found)


def test_without_references_nothing_proposed_asks_for_one() -> None:
    for s in skeletons(REGISTRY, references=False).values():
        if s.preset is None:
            kinds = {k.__name__ for m in s.recipe.modules for k in REGISTRY.get(*m.split(".")).effects.values()}
            assert "Reference" not in kinds


def test_ids_tell_stages_rounds_starts_and_merges() -> None:
    assert identify(load("rft", REGISTRY)).startswith("pool_sampling+direct_sampling+answer_check+")
    assert identify(load("rest_em", REGISTRY)).startswith("2xbase:pool_sampling")
    assert identify(load("self", REGISTRY)).count(" | ") == 2
    assert any(" ~ adaptive_model_averaging" in id_ for id_ in ALL)
    assert skeleton_rows(ALL)[0] == {
        "id": next(iter(ALL)),
        "preset": PRESETS[0],
        "modules": [*next(iter(ALL.values())).recipe.modules],
    }


@pytest.mark.parametrize("id_", sorted(ALL))
def test_knobs_are_named_by_module_and_defaults_lie_inside(id_: str) -> None:
    recipe = ALL[id_].recipe.filled(REGISTRY)
    found = space(recipe, REGISTRY)
    for key, entry in found.items():
        slot, module, knob = key.split(".")
        assert f"{slot}.{module}" in recipe.modules
        assert knob in REGISTRY.get(slot, module).space
        value = default_params(recipe, REGISTRY)[key]
        inside = value in entry["choices"] if entry["kind"] == "choice" else entry["low"] <= value <= entry["high"]
        assert inside, key
    assert with_knobs(recipe, default_params(recipe, REGISTRY), REGISTRY).filled(REGISTRY).modules == recipe.modules


@given(st.sampled_from(sorted(ALL)), st.randoms())
def test_any_point_of_the_space_is_a_recipe_with_those_knobs(id_: str, rng: object) -> None:
    recipe = ALL[id_].recipe.filled(REGISTRY)
    params = {}
    for key, entry in space(recipe, REGISTRY).items():
        choices = entry["choices"] if entry["kind"] == "choice" else [entry["low"], entry["high"]]
        params[key] = rng.choice(choices)  # type: ignore[attr-defined]
    made = with_knobs(recipe, params, REGISTRY).filled(REGISTRY)
    for stage in made.stage:
        if stage.update.use == "adopt":
            continue
        for slot, _, step in stage.steps():
            for knob, kind in REGISTRY.get(slot, step.use).space.items():
                if isinstance(kind, Knob | tuple):
                    assert step.knobs[knob] == params[f"{slot}.{step.use}.{knob}"]


@pytest.mark.parametrize("preset", ["self_refine", "self"])
def test_an_answering_procedure_keeps_its_own_knobs(preset: str) -> None:
    """Four samples a task would break its promise of one attempt: the trial would fail whatever it tried."""
    recipe = next(s.recipe for s in ALL.values() if s.preset == preset).filled(REGISTRY)
    knobs = {"solutions.direct_sampling.k": 4, "solutions.direct_sampling.temperature": 0.9}
    made = with_knobs(recipe, knobs, REGISTRY)
    assert made.stage[-1] == recipe.stage[-1]
    assert [stage.solutions.knobs["k"] for stage in made.stage[:-1] if stage.solutions] == [4] * (len(made.stage) - 1)
    assert bool(space(recipe, REGISTRY)) is (preset == "self")
