"""How long a child process lives: as long as the pipe that only its parent holds is open."""

import os
import signal
import threading


def die_with_parent(handle: int) -> None:
    """End this process as soon as the pipe closes: the control plane is gone, also when it was killed.

    Not `PR_SET_PDEATHSIG`: it fires when the *thread* that started the child ends, and trials start engines in threads.
    """

    def watch() -> None:
        os.read(handle, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
