"""Modules as data: the list and one module's documentation, both from its signature and its docstring."""

import difflib
import inspect
import re

from metaevo.errors import BadInput, MetaevoError
from metaevo.registry import generated_files
from metaevo.registry.generated_files import Generated
from metaevo.registry.laws import unlawful_modules
from metaevo.registry.registry import Registry
from metaevo.registry.slots import SLOTS, Module, limits
from metaevo.types import Knob
from services.home.home import Home
from services.records.modules import (
    BrokenModule,
    GeneratedDetail,
    ModuleDetail,
    ModuleKnob,
    ModuleLine,
    PutAwayModule,
)

Line = ModuleLine | BrokenModule | PutAwayModule


def list_modules(home: Home | None, slot: str | None = None) -> list[Line]:
    """Return a row for every module; one that does not load or breaks a law says why."""
    registry = Registry(home.path if home else None)
    if slot is not None and slot not in SLOTS:
        raise BadInput("--slot", "", f"slots are {', '.join(SLOTS)}", given=f"{slot!r}")
    lawless = unlawful_modules(registry)
    rows: list[Line] = []
    for name_of_slot in (slot,) if slot else SLOTS:
        for name in registry.names(name_of_slot):
            try:
                module = registry.get(name_of_slot, name)
            except MetaevoError as error:
                rows.append(BrokenModule(slot=name_of_slot, name=name, from_="?", broken=str(error)))
                continue
            rows.append(_line(registry, module, lawless.get((name_of_slot, name))))
        rows += _put_away(home, name_of_slot)
    return rows


def _put_away(home: Home | None, slot: str) -> list[PutAwayModule]:
    """Return a row for every quarantined module of a slot: nothing uses it, the record stays."""
    every = generated_files.every_module(home.path) if home is not None else ()
    gone = [made for made in every if made.slot == slot and made.state == "quarantined"]
    return [
        PutAwayModule(slot=slot, name=made.name, from_="generated", summary=made.doc.splitlines()[0], state=made.state)
        for made in gone
    ]


def _line(registry: Registry, module: Module, broken: str | None = None) -> ModuleLine:
    return ModuleLine(
        slot=module.slot,
        name=module.name,
        from_=registry.where(module.slot, module.name),
        summary=module.doc.strip().splitlines()[0] if module.doc.strip() else "",
        papers=tuple(re.findall(r"arXiv:(\d{4}\.\d{4,5})", module.doc)),
        effects=tuple(sorted(kind.__name__ for kind in module.effects.values())),
        knobs=tuple(sorted(module.space)),
        state=generated_files.peek(module.path).state if module.path.suffix == ".toml" else None,
        broken=broken or None,
    )


def module_detail(home: Home | None, which: str) -> ModuleDetail | GeneratedDetail:
    """Return everything about one module.

    Raises:
        BadInput: There is none of that name, or several.
    """
    registry = Registry(home.path if home else None)
    slot, dot, name = which.rpartition(".")
    made = generated(home, which)
    if made is not None and made.state == "quarantined":
        return GeneratedDetail(
            **made.model_dump(exclude={"seal"}),
            module=made.label,
            from_="generated",
            doc="",
            returns="",
            knobs=(),
            effects=(),
        )
    slots = [slot] if dot else [s for s in SLOTS if which in registry.names(s)]
    if not slots:
        known = sorted({known for s in SLOTS for known in registry.names(s)})
        close = difflib.get_close_matches(which, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`metaevo modules list` names them"
        raise BadInput("modules show", f"no module {which!r}", hint)
    if len(slots) > 1:
        raise BadInput(f"{which!r} is in several slots", f"{', '.join(f'{s}.{which}' for s in slots)}", "name one")
    module = registry.get(slots[0], name if dot else which, "modules show")
    line, knobs = _line(registry, module), tuple(_knob(module, name_) for name_ in module.space)
    if made is not None:
        return GeneratedDetail(
            **made.model_dump(exclude={"seal"}),
            module=made.label,
            from_=line.from_,
            doc=module.doc,
            returns=inspect.getdoc(module.call) or "",
            knobs=knobs,
            effects=line.effects,
            summary=line.summary,
            papers=line.papers,
            file=str(module.path),
        )
    return ModuleDetail(
        slot=line.slot,
        name=line.name,
        from_=line.from_,
        summary=line.summary,
        papers=line.papers,
        effects=line.effects,
        doc=module.doc,
        returns=inspect.getdoc(module.call) or "",
        knobs=knobs,
        file=str(module.path),
    )


def generated(home: Home | None, which: str) -> Generated | None:
    """Return the generated module of that name or ``slot.name``, None where there is none."""
    every = generated_files.every_module(home.path) if home is not None else ()
    return next((made for made in every if which in (made.name, made.label)), None)


def _knob(module: Module, name: str) -> ModuleKnob:
    knob, default = module.space[name], module.knobs.model_fields[name].default
    if not isinstance(knob, Knob):
        return ModuleKnob(name=name, default=default, may_be=limits(knob))
    return ModuleKnob(
        name=name,
        default=default,
        may_be=limits(knob),
        searched=(knob.low, knob.high),
        log=knob.log,
        budget=knob.budget,
    )
