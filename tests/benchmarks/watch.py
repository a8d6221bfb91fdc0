"""What a process spends its time on, seen from a thread that looks at the main thread's stack every few milliseconds.

Nothing of what is watched is changed for it. The sums lie in a small file that another process reads.
"""

import mmap
import struct
import sys
import threading
import time
from pathlib import Path
from types import FrameType

KINDS = ("generate", "train", "forward", "else", "idle")
"""``generate``: transformers' generate; ``train``: a trainer's own loop; ``forward``: any other model call."""
EVERY_S = 0.01
_LAYOUT = struct.Struct(f"={len(KINDS)}d")
_MARKS = {
    ("generation/utils.py", "generate"): "generate",
    ("transformers/trainer.py", "_inner_training_loop"): "train",
    ("nn/modules/module.py", "_call_impl"): "forward",
    ("engines/protocol.py", "receive"): "idle",
}


class Watch(threading.Thread):
    """Adds up the main thread's seconds by kind, into a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._sums = [0.0] * len(KINDS)
        self._main = threading.main_thread().ident or 0

    def run(self) -> None:
        """Look until the process ends."""
        last = time.monotonic()
        while True:
            time.sleep(EVERY_S)
            frame = sys._current_frames().get(self._main)
            now = time.monotonic()
            self._sums[KINDS.index(kind_of(frame))] += now - last
            last = now
            _LAYOUT.pack_into(self._shared, 0, *self._sums)


def kind_of(frame: FrameType | None) -> str:
    """Return what a stack is busy with: the outermost frame that says so."""
    found = "else"
    while frame is not None:
        code = frame.f_code
        for (file, name), kind in _MARKS.items():
            if code.co_name == name and code.co_filename.endswith(file):
                found = kind
        frame = frame.f_back
    return found


def seconds(path: Path) -> dict[str, float]:
    """Return the sums so far."""
    data = path.read_bytes() if path.is_file() else b""
    values = _LAYOUT.unpack(data) if len(data) == _LAYOUT.size else (0.0,) * len(KINDS)
    return dict(zip(KINDS, values, strict=True))


def since(path: Path, before: dict[str, float]) -> dict[str, float]:
    """Return what was added since."""
    return {kind: value - before[kind] for kind, value in seconds(path).items()}
