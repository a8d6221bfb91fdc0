"""Which files each claim and benchmark rests on: a change of one of them makes its numbers stale, nothing else does.

A path is a glob from the root. Whoever moves a file edits its line here; a glob that finds nothing is an error.
"""

from collections.abc import Mapping

MODEL = (
    "metaevo/engines/*.py",
    "metaevo/learning/*.py",
    "metaevo/tiny/*.py",
    "metaevo/tiny/**/*.json",
    "metaevo/prompts/*",
)
"""What answers and trains."""
EVOLUTION = (
    "metaevo/evolution/autonomy.py",
    "metaevo/evolution/cycle.py",
    "metaevo/diagnose.py",
    "metaevo/effects.py",
    "metaevo/evolution/loop.py",
    "metaevo/evolution/commit.py",
    "metaevo/evolution/bootstrap.py",
    "metaevo/history.py",
    "metaevo/evolution/objective_history.py",
    "metaevo/evolution/trial_data.py",
    "metaevo/evolution/context.py",
    "metaevo/trial.py",
    "metaevo/types.py",
    "metaevo/artifacts/*.py",
    "metaevo/gate/**/*.py",
    "metaevo/ledger/*.py",
    "metaevo/runtime/*.py",
    "metaevo/modules/**/*.py",
    "metaevo/registry/*.py",
    "metaevo/recipes/*",
    "metaevo/search/*.py",
    "objectives/**/*.py",
)
"""What a cycle decides by."""
KERNELS = (
    "metaevo/kernels.py",
    "metaevo/synthesis/*.py",
    "metaevo/registry/generated.py",
    "metaevo/registry/generated_files.py",
    "metaevo/registry/generated_rows.py",
    "sandbox/monty.py",
    "sandbox/judge.py",
)
"""What writes, admits and runs kernels."""
HOME = ("services/home/open.py", "services/config/tables.py", "services/actions/run.py")
"""What puts a home together and drives it."""

CLAIMS: Mapping[str, tuple[str, ...]] = {
    "demo": (
        *MODEL,
        *EVOLUTION,
        *HOME,
        "deploy/examples/demo.toml",
        "tests/evidence/demo.py",
        "tests/evidence/sealed.py",
    ),
    "null": (*MODEL, *EVOLUTION, *HOME, "tests/evidence/null.py", "tests/recipes.py"),
    "protection": (
        "metaevo/gate/protection.py",
        "metaevo/gate/lines.py",
        "metaevo/gate/rounds.py",
        "objectives/betting.py",
        "tests/evidence/protection.py",
        "tests/metaevo/gate/drawn.py",
    ),
    "planted": (*MODEL, *EVOLUTION, *HOME, "tests/evidence/planted.py"),
    "years": (
        "metaevo/gate/stopping.py",
        "metaevo/gate/settings.py",
        "objectives/betting.py",
        "objectives/statistics.py",
        "tests/evidence/years.py",
    ),
    "writer": (
        *MODEL,
        *KERNELS,
        "tests/evidence/writer.py",
        "tests/stranger/writer.py",
    ),
    "kernels": (
        *MODEL,
        *EVOLUTION,
        *KERNELS,
        *HOME,
        "tests/evidence/kernels.py",
        "tests/evidence/sealed.py",
    ),
}
"""The claims of `tests/evidence/<claim>.json`."""

BENCHMARKS: Mapping[str, tuple[str, ...]] = {
    "durable_step": (
        "metaevo/artifacts/bodies.py",
        "metaevo/artifacts/store.py",
        "metaevo/ledger/journal.py",
        "metaevo/ledger/ledger.py",
        "metaevo/ledger/tables.py",
        "tests/benchmarks/durable_step.py",
        "tests/benchmarks/measure.py",
    ),
    "rollout": (
        *MODEL,
        "tests/benchmarks/rollout.py",
        "tests/benchmarks/peer.py",
        "tests/benchmarks/plain.py",
        "tests/benchmarks/measure.py",
    ),
    "model_compute": (
        *MODEL,
        *EVOLUTION,
        *HOME,
        "tests/benchmarks/model_compute.py",
        "tests/recipes.py",
        "tests/benchmarks/metered.py",
        "tests/benchmarks/peer.py",
        "tests/benchmarks/plain.py",
        "tests/benchmarks/measure.py",
    ),
    "many_cycles": (
        *EVOLUTION,
        *HOME,
        "metaevo/testing/*.py",
        "tests/benchmarks/many_cycles.py",
        "tests/benchmarks/metered.py",
        "tests/benchmarks/measure.py",
    ),
    "history": (
        *EVOLUTION,
        *HOME,
        "metaevo/testing/*.py",
        "services/**/*.py",
        "tests/benchmarks/aged.py",
        "tests/benchmarks/history.py",
        "tests/benchmarks/metered.py",
        "tests/benchmarks/measure.py",
    ),
    "sandbox_calls": (
        "sandbox/*.py",
        "metaevo/runtime/sandbox.py",
        "tests/benchmarks/sandbox_calls.py",
        "tests/benchmarks/measure.py",
    ),
}
"""The benchmarks of `tests/benchmarks/results/<benchmark>.json`."""
