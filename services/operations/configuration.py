"""The configuration: begin a home, check, show, print the schema."""

from typing import TYPE_CHECKING, Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Option
from services.records import JsonSchema
from services.records.configuration import ConfigCheck, NewHome

if TYPE_CHECKING:
    import services.config.tables  # pydantic's classes, hundreds of fields: named below, imported where they are used


@operation("admin")
def init(
    home: Home,
    *,
    base: Annotated[str, Option("builtin:tiny, or the folder of a checkpoint with a chat template")] = "builtin:tiny",
    environment: Annotated[
        list[str] | None, Option("a .py or .jsonl file, a built-in's name, reasoning_gym:NAME; repeat for more")
    ] = None,
    goal: Annotated[str | None, Option("what to raise (default: whatever is weakest)")] = None,
    answer: Annotated[int | None, Option("tokens an answer may have")] = None,
    seed: Annotated[int | None, Option("make the run repeatable")] = None,
) -> NewHome:
    """Begin a home: check the base, copy the environments, write metaevo.toml."""
    from services.home.init import init_home

    return init_home(home, base, environment or [], goal, answer, seed)


@operation("read", "config", name="check")
def check_(home: Home) -> ConfigCheck:
    """Check metaevo.toml: keys, values, goals, environments, and what comes with a later part."""
    from services.config.unsupported import unsupported_keys

    config = home.config()
    problems = [str(error) for error in unsupported_keys(config, home.text)]
    if problems:  # nothing starts with these: what else the file names is looked at once they are gone
        named = tuple(sorted(config.environments))
        return ConfigCheck(file=str(home.config_path), environments=named, later=tuple(problems), ok=False)
    from metaevo.registry.registry import Registry
    from services.home.margins import check_gains, check_margins, gate_items
    from services.home.open import cycle_settings, graders
    from services.home.preflight import check_config
    from services.reports.recipes import broken_recipes

    with graders(home.path, config) as (pool, environments):
        registry = Registry(home.path)
        check_config(home, config, environments, registry)
        gate = cycle_settings(config, environments, registry).gate
        goals, items = config.wishes(), gate_items(pool, environments)
        warnings = (*check_margins(goals, items, environments, gate), *check_gains(goals, items, environments, gate))
        names = tuple(sorted(environments))
    return ConfigCheck(
        file=str(home.config_path),
        environments=names,
        later=(),
        ok=True,
        broken_recipes=broken_recipes(home),
        warnings=warnings,
    )


@operation("read", "config", name="show")
def show_(home: Home) -> "services.config.tables.Config":
    """Show the configuration with every default filled in."""
    from services.home.preflight import answer_tokens

    config = home.config()
    answer = answer_tokens(config)  # the one default that depends on another key
    return config.model_copy(update={"model": config.model.model_copy(update={"answer": answer})})


@operation("read", "config", home=False)
def schema() -> JsonSchema:
    """Print the JSON Schema of metaevo.toml, for editors."""
    from services.config.read import schema as made

    return made()
