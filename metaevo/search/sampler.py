"""Optuna in a process of its own: ``python -m metaevo.search.sampler``. One request, one answer, no state.

Every ask builds a fresh in-memory study from the rows it is given and a seed, so that a resumed search repeats its
decisions and nothing but the ledger is the truth. Retention and cost are constraints, never penalties.
"""

import os
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from metaevo.engines.protocol import receive, send
from metaevo.engines.worker_life import die_with_parent
from metaevo.errors import EngineDied

if TYPE_CHECKING:  # this process stays small: it needs Optuna and nothing of ours
    import optuna

    from metaevo.search.space import Params, Space, TrialEvidence


class NextTrial(TypedDict):
    """A seed, how many trials are drawn before the evidence counts, the evidence, and what may be tried."""

    seed: int
    startup: int
    rows: "list[TrialEvidence]"
    spaces: "dict[str, Space]"


def propose(request: NextTrial) -> "Params":
    """Return the parameters of the next trial: {"skeleton": id, "slot.module.knob": value, ...}."""
    import optuna

    sampler = optuna.samplers.TPESampler(seed=request["seed"], n_startup_trials=request["startup"])
    study = optuna.create_study(direction="maximize", sampler=sampler)
    spaces = request["spaces"]
    for row in request["rows"]:
        if not is_possible(row["params"], spaces):
            continue
        study.enqueue_trial(row["params"])
        trial = study.ask()
        suggest(trial, spaces)
        if row["score"] is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        for name, value in row["constraints"].items():
            trial.set_constraint(name, value)
        study.tell(trial, row["score"])
    trial = study.ask()
    return suggest(trial, spaces)


def is_possible(params: "Params", spaces: "Mapping[str, Space]") -> bool:
    """Return whether a trial's values can still be had: of a knob that was edited since, old ones are no evidence."""
    space = spaces.get(str(params.get("skeleton")))
    if space is None:
        return False
    known = [(entry, params[name]) for name, entry in space.items() if name in params]
    return all(
        value in entry["choices"]
        if entry["kind"] == "choice"
        else not isinstance(value, str) and entry["low"] <= value <= entry["high"]
        for entry, value in known
    )


def suggest(trial: "optuna.Trial", spaces: "Mapping[str, Space]") -> "Params":
    """Ask the trial for a skeleton, then for that skeleton's knobs; return all of them."""
    skeleton = trial.suggest_categorical("skeleton", sorted(spaces))
    for name, entry in spaces[skeleton].items():
        if entry["kind"] == "choice":
            trial.suggest_categorical(name, entry["choices"])
        elif entry["kind"] == "int":
            trial.suggest_int(name, int(entry["low"]), int(entry["high"]), log=entry["log"])
        else:
            trial.suggest_float(name, entry["low"], entry["high"], log=entry["log"])
    return dict(trial.params)


def main() -> None:
    """Take over stdin and stdout, answer requests."""
    die_with_parent(int(sys.argv[1]))
    into, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    while True:
        try:
            request = receive(into)
        except EngineDied:
            return
        try:
            send(out, {"ok": propose(request)})
        except Exception as error:  # noqa: BLE001 - the process boundary
            send(out, {"error": "EngineError", "text": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
