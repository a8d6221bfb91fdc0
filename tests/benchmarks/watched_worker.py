"""The product's engine process, watched: ``python -m tests.benchmarks.watched_worker PIPE FILE``."""

import sys
from pathlib import Path

from metaevo.runtime import engine_worker
from tests.benchmarks.watch import Watch

if __name__ == "__main__":
    Watch(Path(sys.argv[2])).start()
    engine_worker.main()
