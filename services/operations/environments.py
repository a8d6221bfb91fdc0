"""Environments: what is there, and whether one can be trusted."""

from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Argument, Option
from services.records.environments import EnvironmentAudit, EnvironmentName, UsedEnvironment


@operation("read", "environments", name="list", home=False)
def list_(home: Home | None = None) -> list[EnvironmentName | UsedEnvironment]:
    """List the environments that can be used by name, and those of the home's configuration."""
    from services.reports.environments import list_environments

    return list_environments(home)


@operation("read", "environments", home=False)
def check(
    environment: Annotated[str, Argument("a configured name, a .py or .jsonl file, a built-in, reasoning_gym:NAME")],
    home: Home | None = None,
    *,
    items: Annotated[int, Option("tasks looked at per level")] = 40,
) -> EnvironmentAudit:
    """Audit an environment's reward; print its splits, the model's score and the smallest provable gain."""
    from services.reports.environments import check_environment

    return check_environment(environment, home, items)
