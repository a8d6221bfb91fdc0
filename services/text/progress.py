"""What a person sees while cycles run: one live line on a terminal, one line per phase elsewhere. On stderr."""

import time
from types import TracebackType
from typing import Any

from metaevo.evolution.outcome import Cycle


class Progress:
    """A progress display. Use as a context manager."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal
        self._began = time.monotonic()
        self._status: Any = None
        self._text = ""

    def __enter__(self) -> "Progress":
        if self.live:
            self._status = self.console.status("checking")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def starting(self) -> None:
        """Show that everything named was found right and work begins."""
        if self._status is not None:
            self._status.update("starting")
        else:
            self._say("starting")

    def phase(self, cycle: int, name: str, detail: str) -> None:
        """Show that a cycle entered a phase."""
        self._text = f"cycle {cycle}  {name:<9} {detail}"
        if self._status is not None:
            self._status.update(f"{self._clock()}  {self._text}")
        else:
            self._say(self._text)

    def count(self, done: int, most: int) -> None:
        """Show how far a phase is."""
        if self._status is not None:
            self._status.update(f"{self._clock()}  {self._text}  {done}/{most}")

    def cycle(self, made: Cycle) -> None:
        """Say what was decided."""
        from services.text.explain import sentence

        self._say(sentence(made))

    def _say(self, text: str) -> None:
        self.console.print(f"{self._clock()}  {text}", soft_wrap=True, markup=False)

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._began)
        return f"{seconds // 60:2d}:{seconds % 60:02d}"
