"""One trial is a straight line, one cycle is one decision, evolution is a fold over cycles.

Everything the author of a module imports is here:

    from metaevo import Experience, Experiences, Knob, Policy, Random
"""

from random import Random

from metaevo.effects import (
    Archive,
    Exam,
    Fitness,
    Past,
    Policies,
    Policy,
    Prompts,
    Reference,
    Reward,
    Start,
    Weights,
)
from metaevo.history import History
from metaevo.traits import Trait
from metaevo.types import (
    Attempt,
    Attempts,
    Completion,
    Experience,
    Experiences,
    Feedback,
    Generation,
    Knob,
    Lora,
    Solution,
    Tasks,
    TrainSpec,
    Turn,
    answered,
    passing,
    solved,
)
from objectives.types import Cell, Message, Messages, Objective, Report, Task

__all__ = [
    "Archive",
    "Attempt",
    "Attempts",
    "Cell",
    "Completion",
    "Exam",
    "Experience",
    "Experiences",
    "Feedback",
    "Fitness",
    "Generation",
    "History",
    "Knob",
    "Lora",
    "Message",
    "Messages",
    "Objective",
    "Past",
    "Policies",
    "Policy",
    "Prompts",
    "Random",
    "Reference",
    "Report",
    "Reward",
    "Solution",
    "Start",
    "Task",
    "Tasks",
    "TrainSpec",
    "Trait",
    "Turn",
    "Weights",
    "answered",
    "passing",
    "solved",
]
