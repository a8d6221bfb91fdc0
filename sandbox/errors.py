"""What the sandbox itself raises. Nothing a kernel does can raise one of these: a kernel's failure is a `Result`.

SandboxError
  Unavailable   infrastructure: no verdict on the kernel, never a score; ask again later
  Refused       a tier, image or address that may not run kernels, with the reason by name
  BadKernel     what the caller gave cannot be sent: too large, no name, rows that are no JSON
"""

WHOLE = ("sandbox", "sandbox build")
"""Places that name no part."""


def _tail(parts: tuple[object, ...]) -> str:
    return "; ".join(str(part) for part in parts[1:3] if part)


class SandboxError(Exception):
    """Catch this to catch everything the sandbox raises on purpose. As text one line: ``place: what; way out``."""

    def __init__(self, place: object, what: object = "", way_out: str = "", given: object = None) -> None:
        super().__init__(str(place), str(what), way_out, given)

    @property
    def place(self) -> str:
        """Return the key, file or part; ``sandbox`` where it is the whole."""
        return str(self.args[0])

    @property
    def plain(self) -> str:
        """Return the line for whoever says the place himself: without it where it is the sandbox as a whole."""
        return _tail(self.args) if self.place in WHOLE else str(self)

    def __str__(self) -> str:
        given = self.args[3]
        head = self.place if given is None else f"{self.place} = {given}"
        return ": ".join(part for part in (head, _tail(self.args)) if part)


class Unavailable(SandboxError):
    """Infrastructure failed: daemon, image, container or stream. The kernel was not judged."""


class Refused(SandboxError):
    """A tier, an image or an address may not run kernels; the message names what is missing and the way out."""


class BadKernel(SandboxError, ValueError):
    """The caller's own request cannot be sent; nothing ran."""
