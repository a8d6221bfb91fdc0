"""A child process for tests of the process itself: it answers frames, and dies, hangs or floods when asked to."""

import os
import signal
import subprocess
import sys
import time

from metaevo.engines.protocol import receive, send
from metaevo.engines.worker_life import die_with_parent


def main() -> None:
    die_with_parent(int(sys.argv[1]))
    into, out = os.fdopen(0, "rb"), os.fdopen(1, "wb")
    while True:
        request = receive(into)
        match request["do"]:
            case "echo":
                send(out, {"ok": request["what"]})
            case "environment":
                send(out, {"ok": dict(os.environ)})
            case "say":
                print(request["what"], file=sys.stderr, flush=True)
                os._exit(3)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "child":
                made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                send(out, {"ok": made.pid})
            case "half":
                out.write(b"\0\0\0\x10half")
                out.flush()
                os._exit(0)
            case "flood":
                out.write(b"\xff\xff\xff\xff")
                out.flush()
            case "hang":
                time.sleep(600)


if __name__ == "__main__":
    main()
