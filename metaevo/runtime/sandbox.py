"""`Run` as the control plane gives it: kernels of modules on a sandbox handle, and whose failure it was by its name.

Whose failure it was is decided by the sandbox; here it only gets its name: a verdict is the module's failure, all
else is infrastructure and says nothing about the module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from metaevo.errors import ModuleFailed, SandboxUnavailable
from objectives.types import Json
from sandbox.errors import BadKernel, Refused, Unavailable
from sandbox.handle import SandboxHandle
from sandbox.types import Kernel, Row, Verdict

NOTE = 300
"""Characters of a note that go into a failure."""


@dataclass(frozen=True, slots=True)
class KernelRun:
    """The effect `Run` on one handle."""

    handle: SandboxHandle

    @property
    def identity(self) -> str:
        """Return the tier and its version."""
        return self.handle.identity

    def __call__(self, kernel: Kernel, rows_R: Sequence[Row]) -> tuple[Json, ...]:
        """Return one value per row.

        Raises:
            SandboxUnavailable: Infrastructure failed, or this tier may not run kernels.
            ModuleFailed: The kernel came to no values, or cannot be sent.
        """
        try:
            result = self.handle.run(kernel, rows_R)
        except (Unavailable, Refused) as error:
            raise SandboxUnavailable(str(error)) from error
        except BadKernel as error:
            raise ModuleFailed(f"its kernel {kernel.function} cannot be sent: {error}") from error
        if result.verdict is not Verdict.OK or result.values is None:
            note = " ".join(result.note.split())[:NOTE]
            raise ModuleFailed(f"its kernel {kernel.function} ended with {result.verdict}: {note}")
        return result.values
