"""Every error metaevo raises on purpose.

    MetaevoError
      BadInput          what a person gave is wrong: one line with place, value and way out; nothing ran (exit 2)
        UnknownModule   a step names a module that is not installed
      Busy              somebody else holds the home (exit 3)
      ModuleFailed      a module broke its slot's contract or raised
        NothingToLearn  no row was left to train on
      CodeChanged       a module was edited while a cycle ran: the cycle ends as void, the next one runs
      ReplayError       the journal and the code disagree about a decided cycle
      StoreError        an artifact is missing or does not match its digest
        Unwritable      the disk is full, read-only or broken: what was finished is kept (exit 3)
      EngineError       infrastructure, never a candidate's score
        EngineDied      the process is gone
        EngineTimeout   no answer within the deadline
        SandboxUnavailable  the sandbox did not judge: no daemon, no image, a limit that is not kept
        OutOfMemory     memory did not suffice, also after the batch was halved
        NotFinite       a loss or a weight became NaN or infinite: the recipe failed, nothing was published
      Refused           the gate or a rule says no (exit 4)

One `except` per process boundary turns any other exception into one of these.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from objectives.errors import WrongInput


class MetaevoError(Exception):
    """Catch this to catch everything metaevo raises on purpose."""


class BadInput(MetaevoError, WrongInput):
    """What a person gave is wrong; nothing ran."""

    @classmethod
    def of(cls, error: WrongInput) -> "BadInput":
        """Return what another package said of a goal or an environment."""
        return cls(error.place, error.value, error.way_out, error.given)


class UnknownModule(BadInput):
    """A step names a module that is not installed."""


class Busy(MetaevoError):
    """Somebody else holds the home."""


class ModuleFailed(MetaevoError):
    """A module broke its slot's contract or raised."""


class NothingToLearn(ModuleFailed):
    """No row was left to train on."""


class CodeChanged(MetaevoError):
    """A module was edited while a cycle ran."""


class ReplayError(MetaevoError):
    """The journal and the code disagree about a decided cycle."""


class StoreError(MetaevoError):
    """An artifact is missing or does not match its digest."""


class Unwritable(StoreError):
    """The disk is full, read-only or broken: infrastructure, never a candidate's score; what was finished is kept."""


class EngineError(MetaevoError):
    """The model, the trainer or their process failed: infrastructure, never a candidate's score."""


class EngineDied(EngineError):
    """The engine's process is gone."""


class EngineTimeout(EngineError):
    """The engine did not answer within the deadline."""


class SandboxUnavailable(EngineError):
    """The sandbox did not judge a kernel: no daemon, no image, a tier whose limits are not kept."""


class OutOfMemory(EngineError):
    """Memory did not suffice, also after the batch was halved."""


class NotFinite(EngineError):
    """A loss or a weight became NaN or infinite; nothing was published."""


class Refused(MetaevoError):
    """The gate or a rule says no."""


KINDS: dict[str, type[MetaevoError]] = {
    kind.__name__: kind
    for kind in (
        BadInput,
        Busy,
        ModuleFailed,
        NothingToLearn,
        StoreError,
        Unwritable,
        EngineError,
        EngineDied,
        EngineTimeout,
        OutOfMemory,
        NotFinite,
    )
}
"""The errors that may cross from a child process, by name."""


def to_frame(error: MetaevoError) -> dict[str, object]:
    """Return an error as it crosses a pipe."""
    parts = error.args if isinstance(error, BadInput) else None
    return {"error": type(error).__name__, "text": str(error), "parts": parts}


def from_frame(frame: Mapping[str, Any]) -> MetaevoError:
    """Return the error that the other side of a pipe raised."""
    kind = KINDS.get(frame["error"], EngineError)
    if issubclass(kind, BadInput):
        return kind(*(frame.get("parts") or ("", frame["text"], "")))
    return kind(frame["text"])


WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EFBIG)
"""What the system says where a file cannot be written."""


def cannot_write(error: BaseException) -> bool:
    """Return whether an error says that the disk is full, read-only or broken. Rust libraries say so in text only."""
    known = isinstance(error, OSError) and error.errno in WRITING
    return known or any(os.strerror(code) in str(error) for code in WRITING[:4])


@contextmanager
def writing(place: object) -> Iterator[None]:
    """Turn a failed write in the block into one error.

    Raises:
        Unwritable: The disk is full, read-only or broken.
    """
    try:
        yield
    except OSError as error:
        if not cannot_write(error):
            raise
        raise Unwritable(
            f"{place}: {error.strerror}; make room or make it writable, then run the command again"
        ) from error
