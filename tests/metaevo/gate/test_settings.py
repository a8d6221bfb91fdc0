"""The gate's settings have one hash, and nothing else changes it."""

from dataclasses import replace
from typing import Any

from metaevo.gate.settings import GateRules


def test_no_setting_but_the_gate_s_own_changes_its_hash() -> None:
    one = GateRules()
    assert one.hash == GateRules().hash
    fields: dict[str, Any] = {name: getattr(one, name) for name in one.__dataclass_fields__}
    changed = {replace(one, **{name: 7 if value is None else value * 2}).hash for name, value in fields.items()}
    assert len({one.hash, *changed}) == len(fields) + 1
