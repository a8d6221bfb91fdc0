"""What the sandbox itself raises. Nothing a kernel does can raise one of these: a kernel's failure is a `Result`.

SandboxError
  Unavailable   infrastructure: no verdict on the kernel, never a score; ask again later
  Refused       a tier, image or address that may not run kernels, with the reason by name
  BadKernel     what the caller gave cannot be sent: too large, no name, rows that are no JSON
"""


class SandboxError(Exception):
    """Catch this to catch everything the sandbox raises on purpose."""


class Unavailable(SandboxError):
    """Infrastructure failed: daemon, image, container or stream. The kernel was not judged."""


class Refused(SandboxError):
    """A tier, an image or an address may not run kernels; the message names what is missing and the way out."""


class BadKernel(SandboxError, ValueError):
    """The caller's own request cannot be sent; nothing ran."""
