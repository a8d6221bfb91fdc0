"""Modules: what a recipe can be made of."""

from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Argument, Option
from services.records.modules import (
    AdoptedModule,
    BrokenModule,
    GeneratedDetail,
    ModuleDetail,
    ModuleLine,
    PutAwayModule,
    QuarantinedModule,
)


@operation("read", "modules", name="list", home=False)
def list_(
    home: Home | None = None, *, slot: Annotated[str | None, Option("only this slot")] = None
) -> list[ModuleLine | BrokenModule | PutAwayModule]:
    """List every module of every slot: ours, the home's, installed packages'."""
    from services.reports.modules import list_modules

    return list_modules(home, slot)


@operation("read", "modules", home=False)
def show(
    module: Annotated[str, Argument("slot.name, or the name alone")], home: Home | None = None
) -> ModuleDetail | GeneratedDetail:
    """Show one module: what it does, its paper, what it asks for, every knob with its range."""
    from services.reports.modules import module_detail

    return module_detail(home, module)


@operation("operate", "modules")
def adopt(
    home: Home, module: Annotated[str, Argument("a generated module: slot.name, or the name alone")]
) -> AdoptedModule:
    """Take a generated module for good: forbidding its slot's generated modules no longer names it."""
    from services.actions.quarantine import adopt_module

    return adopt_module(home, module)


@operation("operate", "modules")
def quarantine(
    home: Home,
    module: Annotated[str, Argument("a generated module: slot.name, or the name alone")],
    *,
    reason: Annotated[str, Option("why; it is kept and shown")],
) -> QuarantinedModule:
    """Put a generated module away: nothing uses it again, and what came of it is quarantined with its descendants."""
    from services.actions.quarantine import quarantine_module

    return quarantine_module(home, module, reason)
