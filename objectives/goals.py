"""What a person wants: goals, protections, prohibitions. Contradictions and rules that nothing measures are refused.

Everything here is outside of evolution: an objective is chosen inside the goals, never the other way round.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from objectives.errors import WrongInput
from objectives.types import ABILITIES, Cell, Direction, Environment

EVERYTHING = "*"
MEASURED = ("answer_tokens",)
"""What a protection may name besides abilities, environments and cells."""
LATER = ("latency_s", "refusal_rate")
DEFAULT_MARGIN = 0.03
"""What every ability may lose where nothing is written: it counts as written."""
CELL_MARGIN = 2.0
"""How many times its ability's margin one cell may lose, where nothing is written."""


class BadGoals(WrongInput):
    """A goal, protection or prohibition is contradictory or unmeasurable; one line with place and way out."""


@dataclass(frozen=True, slots=True)
class Goal:
    """``[goals.NAME]``: what to raise. ``what`` is an ability, an environment, environment/level or ``*``."""

    name: str
    what: str = EVERYTHING
    direction: Direction = Direction.PERFORMANCE
    target: float | None = None
    weight: float = 1.0
    by: date | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Protection:
    """One line of ``[protect]``: exactly one of margin (loss against parent and reference), floor and at_most."""

    what: str
    margin: float | None = None
    floor: float | None = None
    at_most: float | None = None
    cell_margin: float | None = None


@dataclass(frozen=True, slots=True)
class Forbidden:
    """``[forbid]``: never an objective, never practised, never used."""

    abilities: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A protection made concrete: these cells together may not fall by more, or below."""

    what: str
    cells: tuple[Cell, ...]
    margin: float | None
    floor: float | None = None
    slack: float = DEFAULT_MARGIN / 3
    """What a candidate may lose against champion and reference while the champion is below the floor."""
    own_cell_margin: float | None = None

    @property
    def cell_margin(self) -> float:
        """Return what one of its cells may lose at most."""
        if self.own_cell_margin is not None:
            return self.own_cell_margin
        return CELL_MARGIN * (self.margin if self.margin is not None else 3 * self.slack)


@dataclass(frozen=True, slots=True)
class Goals:
    """All a person said. No goal means one goal ``*``; ``* = { margin = 0.03 }`` holds unless ``*`` is said."""

    goals: tuple[Goal, ...] = ()
    protections: tuple[Protection, ...] = ()
    only_named: bool = False
    """The person wrote ``* = false``: what no line names is not protected."""
    forbidden: Forbidden = field(default_factory=Forbidden)

    @property
    def wanted(self) -> tuple[Goal, ...]:
        """Return the goals, the implied one included."""
        return self.goals or (Goal("everything", why="No goal is set: whatever is weakest."),)

    def weights(self, environments: Mapping[str, Environment]) -> dict[Cell, tuple[float, float | None]]:
        """Return for every cell that may be an objective its weight and its target (the most demanding goal's)."""
        found: dict[Cell, tuple[float, float | None]] = {}
        for goal in self.wanted:
            for cell in cells_of(goal.what, environments, f"goals.{goal.name}.raise"):
                environment = environments[cell.environment]
                if environment.ability in self.forbidden.abilities or not environment.train:
                    continue
                if environment.direction is not goal.direction:
                    continue
                weight, target = found.get(cell, (0.0, None))
                known = [t for t in (target, goal.target) if t is not None]
                found[cell] = (max(weight, goal.weight), max(known) if known else None)
        return found

    @property
    def protects_nothing(self) -> bool:
        """Return whether the person said so and named no exception."""
        return self.only_named and all(line.what in MEASURED for line in self.protections)

    def rules(self, environments: Mapping[str, Environment]) -> tuple[Rule, ...]:
        """Return what is protected, ability by ability for ``*`` and as named otherwise.

        Naming one ability takes no protection from the others: only ``* = false`` does.
        """
        rules: dict[str, Rule] = {}
        lines = list(self.protections)
        if not self.only_named and all(line.what != EVERYTHING for line in lines):
            lines.append(Protection(EVERYTHING, margin=DEFAULT_MARGIN))
        every = next((line.margin for line in lines if line.what == EVERYTHING and line.margin), DEFAULT_MARGIN)
        for line in sorted(lines, key=lambda line: line.what != EVERYTHING):  # what is named goes before `*`
            if line.what in MEASURED:
                continue
            names = sorted({e.ability for e in environments.values()}) if line.what == EVERYTHING else [line.what]
            for name in names:
                cells = tuple(sorted(cells_of(name, environments, f"protect.{line.what}")))
                slack = DEFAULT_MARGIN / 3 if line.floor is None else every / 3
                rules[name] = Rule(name, cells, line.margin, line.floor, slack, own_cell_margin=line.cell_margin)
        return tuple(rules.values())

    @property
    def answer_tokens(self) -> float | None:
        """Return how long answers may become, as a ratio to the reference generation; None without a rule."""
        return next((line.at_most for line in self.protections if line.what == "answer_tokens"), None)


def cells_of(what: str, environments: Mapping[str, Environment], place: str) -> set[Cell]:
    """Return the cells a name covers.

    Raises:
        BadGoals: Nothing of that name is measured.
    """
    if what == EVERYTHING:
        return {cell for environment in environments.values() for cell in environment.cells}
    by_ability = {cell for env in environments.values() if env.ability == what for cell in env.cells}
    if by_ability:
        return by_ability
    name, slash, level = what.partition("/")
    if name in environments:
        cells = environments[name].cells
        chosen = {cell for cell in cells if not slash or str(cell.level) == level}
        if chosen:
            return chosen
        raise BadGoals(place, "", f"{name} has levels {', '.join(str(c.level) for c in cells)}", given=repr(what))
    known = sorted({*environments, *(env.ability for env in environments.values())})
    close = difflib.get_close_matches(what, known, n=1)
    if what in ABILITIES:
        raise BadGoals(
            place, "no environment measures it", f"add one, or name one of {', '.join(known)}", given=repr(what)
        )
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    raise BadGoals(place, "no such ability or environment", hint, given=repr(what))


def check(goals: Goals, environments: Mapping[str, Environment], methods: Iterable[str]) -> None:
    """Refuse what cannot be: unknown or unmeasured names, goals against prohibitions, targets under floors.

    Raises:
        BadGoals: The first contradiction, by name.
    """
    _check_names(environments)
    for ability in goals.forbidden.abilities:
        _check_ability(ability, environments)
    _check_methods(goals.forbidden.methods, list(methods))
    for goal in goals.goals:
        _check_goal(goal, goals, environments)
    for line in goals.protections:
        _check_protection(line, environments)
    _check_floors(goals, environments)
    if not goals.weights(environments):
        raise BadGoals("goals", "every cell they name is forbidden or has train = false, so nothing can be raised")


def _check_names(environments: Mapping[str, Environment]) -> None:
    abilities = {environment.ability for environment in environments.values()}
    for name in environments:
        if name in abilities:
            raise BadGoals(f"environments.{name}", "an ability has this name", "choose another one")


def _check_ability(name: str, environments: Mapping[str, Environment]) -> None:
    """Refuse to forbid what is not an ability: an environment's name would forbid nothing."""
    used = {environment.ability for environment in environments.values()}
    if name in ABILITIES or name in used:
        return
    known = sorted({*ABILITIES, *used})
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"abilities are {', '.join(known)}"
    raise BadGoals("forbid.abilities", "no such ability", hint, given=repr(name))


def _check_goal(goal: Goal, goals: Goals, environments: Mapping[str, Environment]) -> None:
    place = f"goals.{goal.name}.raise"
    cells = cells_of(goal.what, environments, place)
    abilities = {environments[cell.environment].ability for cell in cells}
    if abilities <= set(goals.forbidden.abilities):
        raise BadGoals(
            place, f"contradicts forbid.abilities: {', '.join(sorted(abilities))}", "drop one", given=repr(goal.what)
        )
    if all(not environments[cell.environment].train for cell in cells):
        raise BadGoals(place, f"environment {goal.what} has train = false, it is only measured", given=repr(goal.what))
    if not any(environments[cell.environment].direction is goal.direction for cell in cells):
        has = ", ".join(sorted({environments[cell.environment].direction for cell in cells}))
        raise BadGoals(
            f"goals.{goal.name}.direction",
            "",
            f"{goal.what} is measured for {has} only",
            given=repr(goal.direction.value),
        )


def _check_methods(forbidden: Sequence[str], known: Sequence[str]) -> None:
    for method in forbidden:
        if method not in known and not method.startswith("generated:"):
            close = difflib.get_close_matches(method, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise BadGoals("forbid.methods", f"no recipe or module {method!r}", hint)


def _check_protection(line: Protection, environments: Mapping[str, Environment]) -> None:
    place = f"protect.{line.what}"
    given = [name for name in ("margin", "floor", "at_most") if getattr(line, name) is not None]
    if len(given) != 1:
        raise BadGoals(place, f"give exactly one of margin, floor and at_most, got {', '.join(given) or 'none'}")
    if line.what in LATER:
        raise BadGoals(place, "nothing measures it yet, it comes with a later part", "drop the line")
    if (line.what in MEASURED) != (line.at_most is not None):
        raise BadGoals(
            place, f"at_most is for {', '.join(MEASURED)}", "abilities and environments take margin or floor"
        )
    if line.what not in MEASURED:
        cells_of(line.what, environments, place)


def _check_floors(goals: Goals, environments: Mapping[str, Environment]) -> None:
    floors = {line.what: line.floor for line in goals.protections if line.floor is not None}
    for goal in goals.goals:
        floor = floors.get(goal.what)
        if floor is not None and goal.target is not None and goal.target < floor:
            said = f"lies below protect.{goal.what}.floor = {floor}"
            raise BadGoals(f"goals.{goal.name}.target", said, "raise the one or lower the other", given=goal.target)
