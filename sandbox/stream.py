"""One harness's two ends: bytes to its standard input, and of its output only what a cap allows.

A daemon multiplexes: each piece has a header of eight bytes, stream number first, length last; a local harness speaks
plainly. Standard error is process 1's own last words, kept short, shown in infrastructure errors only.
"""

import contextlib
import socket
import ssl
import struct
import time
from typing import Any

HEADER = struct.Struct(">BxxxI")
OUT = 1
WORDS = 2000


class Ended(Exception):
    """The stream is closed."""


class Late(Exception):
    """The deadline passed."""


class Flood(Exception):
    """More came than the cap allows, or pieces that no daemon sends."""


class Stream:
    """Not for several threads at once."""

    def __init__(self, sock: socket.socket, *keep: Any, plain: bool = False) -> None:
        self.sock, self.keep, self.plain = sock, keep, plain
        self.raw, self.out, self.words = bytearray(), bytearray(), bytearray()
        self.left = 0

    def allow(self, most: int) -> None:
        """Set how many more bytes may come before it is a flood; the daemon's own headers count too."""
        self.left = most

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it by a moment of the monotonic clock.

        Raises:
            Ended: The other side is gone.
            Late: It did not take everything in time.
        """
        self._limit(deadline)
        try:
            self.sock.sendall(data)
        except TimeoutError:
            raise Late from None
        except OSError as error:
            raise Ended(str(error)) from None

    def take(self, count: int, deadline: float) -> bytes:
        """Return exactly so many bytes of process 1's output.

        Raises:
            Ended: The stream closed before.
            Late: The deadline passed before.
            Flood: The cap was passed.
        """
        while len(self.out) < count:
            self._pull(deadline)
        taken = bytes(self.out[:count])
        del self.out[:count]
        return taken

    def idle(self) -> bool:
        """Return whether nothing has come that was not asked for.

        Raises:
            Ended: The stream closed meanwhile.
        """
        self.sock.settimeout(0)
        try:
            self._receive()
        except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
            return not (self.out or self.raw)
        except Flood:
            return False
        except OSError as error:
            raise Ended(str(error)) from None
        return False

    def _limit(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Late
        self.sock.settimeout(left)

    def _pull(self, deadline: float) -> None:
        self._limit(deadline)
        try:
            self._receive()
        except TimeoutError:
            raise Late from None
        except OSError as error:
            raise Ended(str(error)) from None

    def _receive(self) -> None:
        part = self.sock.recv(65536)
        if not part:
            raise Ended("closed")
        self.left -= len(part)
        if self.left < 0:
            raise Flood
        if self.plain:
            self.out += part
            return
        self.raw += part
        while len(self.raw) >= HEADER.size:
            number, length = HEADER.unpack_from(self.raw)
            if number not in (1, 2):
                raise Flood
            if len(self.raw) < HEADER.size + length:
                break
            piece = self.raw[HEADER.size : HEADER.size + length]
            del self.raw[: HEADER.size + length]
            if number == OUT:
                self.out += piece
            else:
                self.words = (self.words + piece)[-WORDS:]

    def close(self) -> None:
        """Hang up. Process 1 then ends by itself."""
        for thing in (self.sock, *self.keep):
            with contextlib.suppress(Exception):
                thing.close()
