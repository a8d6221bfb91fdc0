"""Edits of the goals in metaevo.toml that keep its comments."""

import tomlkit

from metaevo.errors import BadInput
from objectives.types import JsonValue
from services.config.read import parse
from services.home.home import Home
from services.records.goals import EditedGoal


def edit_goal(home: Home, name: str, values: dict[str, JsonValue], *, new: bool) -> EditedGoal:
    """Add or change a goal in metaevo.toml; comments stay, an invalid result is not written.

    Raises:
        BadInput: The goal exists already (or does not), or the result would be wrong.
    """
    home.config()  # what is wrong before the edit is told with its own line
    document = tomlkit.parse(home.text)
    goals = document.setdefault("goals", tomlkit.table(is_super_table=True))
    if new == (name in goals):
        known = ", ".join(goals) or "none"
        raise BadInput(f"goals.{name}", "is there already" if new else "no such goal", f"goals: {known}")
    if new:
        goals[name] = tomlkit.table()
    for key, value in values.items():
        goals[name][key] = value
    try:
        return _written(home, tomlkit.dumps(document), name)
    except BadInput as error:  # the line it names is in no file yet: what was typed is
        typed = next((key for key in values if error.place.endswith(f"goals.{name}.{key}")), None)
        if typed is None:
            raise
        raise error.at("what" if typed == "raise" else f"--{typed}") from error


def remove_goal(home: Home, name: str) -> EditedGoal:
    """Remove a goal from metaevo.toml. Raises BadInput where there is none."""
    document = tomlkit.parse(home.text)
    goals = document.get("goals", {})
    if name not in goals:
        raise BadInput(f"goals.{name}", "no such goal", f"goals: {', '.join(goals) or 'none'}")
    goals.remove(name)
    return _written(home, tomlkit.dumps(document), name)


def _written(home: Home, text: str, name: str) -> EditedGoal:
    from metaevo.registry.registry import Registry
    from services.home.open import graders
    from services.home.preflight import check_wishes

    config = parse(text)
    with graders(home.path, config) as (_, environments):
        check_wishes(config, environments, Registry(home.path))
    aside = home.path / ".metaevo.toml.new"
    aside.write_text(text, encoding="utf-8")
    aside.rename(home.config_path)
    return EditedGoal(goal=name, file=str(home.config_path))
