"""What a person decides about a generated module: take it for good, or put it away with all that came of it."""

from metaevo.errors import BadInput, Refused
from metaevo.ledger.cycles import close_open_cycle
from metaevo.ledger.lineage import quarantine
from metaevo.ledger.provenance import generations_using
from metaevo.registry import generated_files
from metaevo.registry.generated_files import Generated
from metaevo.registry.slots import SLOTS
from metaevo.types import CycleEnd
from services.actions.rollback import verify_parts
from services.home.home import Home
from services.records.modules import AdoptedModule, QuarantinedModule


def find_generated(home: Home, which: str) -> Generated:
    """Return a home's generated module by ``slot.name`` or name, quarantined ones too.

    Raises:
        BadInput: There is none of that name, or several.
        ModuleFailed: Its file is broken.
    """
    slot, dot, name = which.rpartition(".")
    slots = [slot] if dot else list(SLOTS)
    paths = [path for s in slots if (path := generated_files.paths(home.path, s).get(name)) is not None]
    if not paths:
        known = ", ".join(made.label for made in generated_files.every_module(home.path)) or "none"
        raise BadInput("", f"no generated module {which!r}", f"there are {known}")
    if len(paths) > 1:
        each = ", ".join(f"{path.parent.parent.name}.{name}" for path in paths)
        raise BadInput(f"{which!r} is in several slots", each, "name one")
    return generated_files.peek(paths[0])


def adopt_module(home: Home, which: str) -> AdoptedModule:
    """Take a generated module for good: `forbid.methods = ["generated:SLOT"]` no longer names it.

    Raises:
        Refused: It is quarantined.
    """
    with home.held():
        made = find_generated(home, which)
        if made.state == "quarantined":
            raise Refused(f"{made.label} is quarantined ({made.reason}); have it admitted anew under another name")
        generated_files.load(generated_files.path_of(home.path, made.slot, made.name))  # what was admitted, unchanged
        generated_files.save(home.path, made.model_copy(update={"state": "adopted"}))
        if home.founded:
            ledger = home.ledger(read_only=False)
            try:
                ledger.event("module_adopted", f"{made.label} was adopted")
            finally:
                ledger.close()
    return AdoptedModule(module=made.label, state="adopted")


def quarantine_module(home: Home, which: str, reason: str) -> QuarantinedModule:
    """Put a generated module away: nothing may use it, and what came of it is quarantined with its descendants.

    The file is written last: a command that is interrupted is simply given again.

    Raises:
        BadInput: There is no such module.
    """
    with home.held():
        made = find_generated(home, which)
        marked, champion = _line_marked(home, made, reason) if home.founded else ([], None)
        generated_files.save(home.path, made.model_copy(update={"state": "quarantined", "reason": reason}))
    return QuarantinedModule(
        module=made.label, state="quarantined", reason=reason, marked=tuple(marked), champion=champion
    )


def _line_marked(home: Home, made: Generated, reason: str) -> tuple[list[str], str | None]:
    """Quarantine the generations of a module; return them, and the champion after it."""
    ledger = home.ledger(read_only=False)
    try:
        why = f"{made.label} is quarantined: {reason}"
        ids = generations_using(ledger, made.label)
        marked, champion = quarantine(ledger, ids, who="operator", why=why, check=lambda row: verify_parts(home, row))
        close_open_cycle(ledger, "void", CycleEnd.QUARANTINED, why)
        ledger.event("module_quarantined", f"{why}; {len(marked)} generations with it")
    finally:
        ledger.close()
    return marked, champion
