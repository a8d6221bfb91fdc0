"""Goals: what a person wants, kept in metaevo.toml with its comments."""

from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Argument, Option
from services.records.goals import EditedGoal, Goals

What = Annotated[str, Argument("an ability, an environment, environment/level, or *")]


@operation("read", "goals", name="list")
def list_(home: Home, *, tree: Annotated[bool, Option("down to the cells")] = False) -> Goals:
    """List goals and protections: where they stand now, and the smallest gain one decision can prove."""
    from services.reports.goals import goals_now

    return goals_now(home, tree=tree)


@operation("operate", "goals")
def add(
    home: Home,
    name: Annotated[str, Argument("the goal's name")],
    what: What,
    *,
    target: Annotated[float | None, Option("reached when the interval's lower limit passes it")] = None,
    weight: Annotated[float, Option("how much it counts beside other goals")] = 1.0,
    why: Annotated[str, Option("kept and shown")] = "",
) -> EditedGoal:
    """Add a goal."""
    from services.actions.goals import edit_goal

    given = {"raise": what, "target": target, "weight": weight if weight != 1.0 else None, "why": why or None}
    return edit_goal(home, name, {key: value for key, value in given.items() if value is not None}, new=True)


@operation("operate", "goals")
def edit(
    home: Home,
    name: Annotated[str, Argument("the goal's name")],
    *,
    target: Annotated[float | None, Option("a new target")] = None,
    weight: Annotated[float | None, Option("a new weight")] = None,
    why: Annotated[str | None, Option("a new reason")] = None,
) -> EditedGoal:
    """Change a goal."""
    from metaevo.errors import BadInput
    from services.actions.goals import edit_goal

    given = {"target": target, "weight": weight, "why": why}
    if all(value is None for value in given.values()):
        raise BadInput(f"goals edit {name}", "nothing to change", "give --target, --weight or --why")
    return edit_goal(home, name, {key: value for key, value in given.items() if value is not None}, new=False)


@operation("operate", "goals")
def remove(home: Home, name: Annotated[str, Argument("the goal's name")]) -> EditedGoal:
    """Remove a goal."""
    from services.actions.goals import remove_goal

    return remove_goal(home, name)
