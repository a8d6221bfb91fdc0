"""Modules as data: the list and one module's documentation, both from its signature and its docstring."""

import difflib
import inspect
import re
from typing import Any

from metaevo.errors import BadInput, MetaevoError
from metaevo.modules import generated_files
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
        rows += _put_away(home, name_of_slot)
    return rows


def _put_away(home: Home | None, slot: str) -> list[dict[str, Any]]:
    """Return a row for every quarantined module of a slot: nothing uses it, the record stays."""
    every = generated_files.every(home.path) if home is not None else ()
    gone = [made for made in every if made.slot == slot and made.state == "quarantined"]
    return [
        {"slot": slot, "name": made.name, "from": "generated", "summary": made.doc.splitlines()[0], "state": made.state}
        for made in gone
    ]


def _row(registry: Registry, module: Module) -> dict[str, Any]:
    state = {"state": generated_files.peek(module.path).state} if module.path.suffix == ".toml" else {}
    return state | {
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
    written = generated(home, which)
    if written is not None and written["state"] == "quarantined":
        return {"from": "generated", "doc": "", "returns": "", "knobs": [], "effects": []} | written
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
    facts = {"doc": module.doc, "returns": call, "knobs": knobs, "file": str(module.path)}
    return _row(registry, module) | facts | (written or {})


def generated(home: Home | None, which: str) -> dict[str, Any] | None:
    """Return what is kept of a generated module: who wrote it, from what, its admission, its state and its source.

    None where no generated module is called ``which``, its name or ``slot.name``.
    """
    every = generated_files.every(home.path) if home is not None else ()
    made = next((made for made in every if which in (made.name, made.label)), None)
    return None if made is None else made.model_dump(exclude={"seal"}) | {"module": made.label}


def _knob(module: Module, name: str) -> dict[str, Any]:
    knob = module.space[name]
    found: dict[str, Any] = {"name": name, "default": module.knobs.model_fields[name].default, "may be": limits(knob)}
    if isinstance(knob, Knob):
        found |= {"searched": [knob.low, knob.high], "log": knob.log, "budget": knob.budget}
    return found
