"""Keys whose component comes with a later part: refused at start by their name, never ignored."""

from collections.abc import Callable, Iterator
from typing import Any

from metaevo.errors import BadInput
from services.config.read import at
from services.config.tables import Config
from services.config.tables_machine import Amount

Rule = tuple[tuple[str, ...], Callable[[Config], Any], str]

RULES: tuple[Rule, ...] = (
    (("mode",), lambda c: c.mode in ("propose", "gated") and c.mode, 'use mode = "full" or "observe"'),
    (("model", "sha256"), lambda c: c.model.sha256, "leave it out"),
    (("model", "thinking"), lambda c: c.model.thinking, "leave it out"),
    (("model", "hub_token"), lambda c: c.model.hub_token, "download the model and give its folder"),
    (("schedule",), lambda c: c.schedule, "start `metaevo run` from your own timer"),
    (("budget", "day"), lambda c: c.budget.day != Amount(), "use budget.total"),
    (("budget", "month"), lambda c: c.budget.month != Amount(), "use budget.total"),
    (("budget", "disk"), lambda c: c.budget.disk, "leave it out"),
    (("budget", "price"), lambda c: c.budget.price, "leave it out"),
    (("budget", "total", "gpu_hours"), lambda c: c.budget.total.gpu_hours, "use cycles, wall_clock or tokens"),
    (("budget", "total", "promotions"), lambda c: c.budget.total.promotions, "use cycles, wall_clock or tokens"),
    (("budget", "total", "money"), lambda c: c.budget.total.money, "use cycles, wall_clock or tokens"),
    (("data", "knowledge"), lambda c: c.data.knowledge, "leave it out"),
    (("data", "labels"), lambda c: c.data.labels, "leave it out"),
    (("data", "real_share"), lambda c: c.data.real_share, "leave it out"),
    (("rollouts", "engine"), lambda c: c.rollouts.engine == "vllm" and "vllm", 'use "transformers"'),
    (("rollouts", "python"), lambda c: c.rollouts.python, "leave it out"),
    (("training", "gpus"), lambda c: c.training.gpus > 1 and c.training.gpus, "use one GPU or none"),
    (("placement", "use"), lambda c: c.placement.use == "ray" and "ray", 'use "process"'),
    (("placement", "address"), lambda c: c.placement.address, "leave it out"),
    (("placement", "rollouts"), lambda c: "rollouts" in c.placement.model_fields_set, "leave it out"),
    (("placement", "training"), lambda c: "training" in c.placement.model_fields_set, "leave it out"),
    (("serving",), lambda c: c.serving, "use `metaevo ask`, or export the champion"),
    (("notify",), lambda c: c.notify, "read `metaevo status`"),
    (("retention",), lambda c: c.retention, "leave it out: everything is kept"),
    (("backup",), lambda c: c.backup, "copy the home while nothing runs"),
    (("store",), lambda c: c.store, "leave it out: files in the home"),
    (("api",), lambda c: c.api, "use the commands"),
)


def unsupported_keys(config: Config, text: str) -> Iterator[BadInput]:
    """Yield one error per key whose component is not here yet: place, value, way out."""
    for place, found, way_out in RULES:
        value = found(config)
        if value:
            short = isinstance(value, str | int | float) and not isinstance(value, bool)
            given = repr(value) if short else None
            yield BadInput(at(text, list(place)), "comes with a later part", way_out, given)
    base = config.model.base
    if "://" in base or (not base.startswith(("builtin:", "/", ".")) and base.count("/") == 1 and base[0].isalnum()):
        where = at(text, ["model", "base"])
        yield BadInput(where, "loading from a hub or store comes with a later part", "give a folder", repr(base))
    for name, table in config.environments.items():
        if table.reward == "judge":
            place_text = at(text, ["environments", name, "reward"])
            said = "a judge's reward comes with a later part"
            yield BadInput(place_text, said, "use exact, numeric or regex", "'judge'")


def refuse(config: Config, text: str) -> None:
    """Refuse to start while a key asks for what is not here.

    Raises:
        BadInput: The first such key, by name.
    """
    for error in unsupported_keys(config, text):
        raise error
