"""Small real stand-ins, shipped so that authors of modules and environments can test without a model."""

from metaevo.testing.effects import (
    OTHER,
    TASK,
    EchoPolicy,
    FewRows,
    KnownReference,
    KnownReward,
    SmallStart,
    attempt,
    chance,
    experience,
)
from metaevo.testing.scripted import ScriptedEngine, Skills

__all__ = [
    "OTHER",
    "TASK",
    "EchoPolicy",
    "FewRows",
    "KnownReference",
    "KnownReward",
    "ScriptedEngine",
    "Skills",
    "SmallStart",
    "attempt",
    "chance",
    "experience",
]
