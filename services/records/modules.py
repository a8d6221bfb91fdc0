"""Modules as a person sees them: what each does and can be set to, and who wrote the generated ones."""

from collections.abc import Mapping

from services.records import Scalar, record, spaced


@record
class ModuleLine:
    """A module in the list: its first sentence, what it asks for, its knobs' names."""

    slot: str
    name: str
    from_: str
    summary: str
    papers: tuple[str, ...]
    effects: tuple[str, ...]
    knobs: tuple[str, ...]
    state: str | None = None
    """What became of a generated one."""
    broken: str | None = None
    """The law that it breaks."""


@record
class BrokenModule:
    """A module that does not load, and why."""

    slot: str
    name: str
    from_: str
    broken: str


@record
class PutAwayModule:
    """A quarantined module: nothing uses it, the record stays."""

    slot: str
    name: str
    from_: str
    summary: str
    state: str


@spaced
class ModuleKnob:
    """A knob: its default, what a recipe may say, and for numbers what is searched."""

    name: str
    default: Scalar
    may_be: str
    searched: tuple[int | float, int | float] | None = None
    log: bool | None = None
    budget: bool | None = None


@record
class ModuleDetail:
    """One module of a person: its documentation, what it returns, every knob."""

    slot: str
    name: str
    from_: str
    summary: str
    papers: tuple[str, ...]
    effects: tuple[str, ...]
    doc: str
    returns: str
    knobs: tuple[ModuleKnob, ...]
    file: str


@record
class WrittenModule:
    """What is kept of a generated module but for its source: who wrote it, from what, its admission, its state."""

    name: str
    slot: str
    kind: str
    state: str
    about: str
    proposer: str
    model: str
    prompt: str
    parents: tuple[str, ...]
    cycle: int | None
    tier: str
    numbers: Mapping[str, float]
    reason: str
    module: str
    """``slot.name``."""


@record
class GeneratedDetail:
    """One generated module whole; of a quarantined one nothing but its record is there."""

    from_: str
    doc: str
    returns: str
    knobs: tuple[ModuleKnob, ...]
    effects: tuple[str, ...]
    name: str
    slot: str
    kind: str
    state: str
    about: str
    proposer: str
    model: str
    prompt: str
    parents: tuple[str, ...]
    cycle: int | None
    tier: str
    numbers: Mapping[str, float]
    reason: str
    module: str
    source: str
    summary: str | None = None
    papers: tuple[str, ...] | None = None
    file: str | None = None


@record
class AdoptedModule:
    """A module that a person took for good."""

    module: str
    state: str


@record
class QuarantinedModule:
    """A module that was put away, what was quarantined with it, and the champion where that changed."""

    module: str
    state: str
    reason: str
    marked: tuple[str, ...]
    champion: str | None
