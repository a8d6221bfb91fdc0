"""Modules as data: the list and one module's documentation, both from its signature and its docstring."""

import difflib
import inspect
import re
from typing import Any

from metaevo.errors import BadInput, MetaevoError
from metaevo.modules.contracts import unlawful
from metaevo.modules.registry import Registry
from metaevo.modules.slots import SLOTS, Module, limits
from metaevo.types import Knob
from services.home import Home


def listed(home: Home | None, slot: str | None = None) -> list[dict[str, Any]]:
    """Return a row for every module; one that does not load or breaks a law says why."""
    registry = Registry(home.path if home else None)
    if slot is not None and slot not in SLOTS:
        raise BadInput(f"--slot {slot!r}: slots are {', '.join(SLOTS)}")
    lawless, rows = unlawful(registry), []
    for name_of_slot in (slot,) if slot else SLOTS:
        for name in registry.names(name_of_slot):
            try:
                module = registry.get(name_of_slot, name)
            except MetaevoError as error:
                rows.append({"slot": name_of_slot, "name": name, "from": "?", "broken": str(error)})
                continue
            said = lawless.get((name_of_slot, name))
            rows.append(_row(registry, module) | ({"broken": said} if said else {}))
    return rows


def _row(registry: Registry, module: Module) -> dict[str, Any]:
    return {
        "slot": module.slot,
        "name": module.name,
        "from": registry.where(module.slot, module.name),
        "summary": module.doc.strip().splitlines()[0] if module.doc.strip() else "",
        "papers": re.findall(r"arXiv:(\d{4}\.\d{4,5})", module.doc),
        "effects": sorted(kind.__name__ for kind in module.effects.values()),
        "knobs": sorted(module.space),
    }


def detail(home: Home | None, which: str) -> dict[str, Any]:
    """Return everything about one module.

    Raises:
        BadInput: There is none of that name, or several.
    """
    registry = Registry(home.path if home else None)
    slot, dot, name = which.rpartition(".")
    slots = [slot] if dot else [s for s in SLOTS if which in registry.names(s)]
    if not slots:
        known = sorted({known for s in SLOTS for known in registry.names(s)})
        close = difflib.get_close_matches(which, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`metaevo modules list` names them"
        raise BadInput(f"modules show: no module {which!r}; {hint}")
    if len(slots) > 1:
        raise BadInput(f"{which!r} is in several slots: {', '.join(f'{s}.{which}' for s in slots)}; name one")
    module = registry.get(slots[0], name if dot else which, "modules show")
    knobs = [_knob(module, name_) for name_ in module.space]
    call = inspect.getdoc(module.call) or ""
    return _row(registry, module) | {"doc": module.doc, "returns": call, "knobs": knobs, "file": str(module.path)}


def _knob(module: Module, name: str) -> dict[str, Any]:
    knob = module.space[name]
    found: dict[str, Any] = {"name": name, "default": module.knobs.model_fields[name].default, "may be": limits(knob)}
    if isinstance(knob, Knob):
        found |= {"searched": [knob.low, knob.high], "log": knob.log, "budget": knob.budget}
    return found
