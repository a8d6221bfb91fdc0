"""Where one harness runs: what a tier must be able to do with the place, and the place that is a daemon's container."""

from typing import Protocol

from sandbox.daemon import Daemon
from sandbox.errors import Refused
from sandbox.judge import State
from sandbox.policy import Policy
from sandbox.stream import Stream


class Cell(Protocol):
    """A started place with process 1 inside and a stream to it."""

    id: str
    stream: Stream

    def words(self) -> bytes:
        """Return the last that process 1 said on its standard error."""

    def verify(self) -> None:
        """Raise Refused where the place is another than was asked for."""

    def state(self) -> State | None:
        """Return how process 1 fares, or None where nobody says."""

    def kill(self) -> None:
        """End everything inside, and wait for it."""

    def remove(self) -> None:
        """Hang up and leave nothing of it. Raises Unavailable where that is not confirmed."""


class DockerCell:
    """A container, created and started."""

    def __init__(self, daemon: Daemon, policy: Policy) -> None:
        self.daemon, self.policy = daemon, policy
        self.id = daemon.create(policy)
        try:
            self.stream = daemon.attach(self.id)
            daemon.start(self.id)
        except BaseException:
            self.remove()
            raise

    def words(self) -> bytes:
        """Return the last that process 1 said on its standard error."""
        return bytes(self.stream.words)

    def verify(self) -> None:
        """Compare the container with the policy.

        Raises:
            Refused: It differs.
        """
        said = self.policy.differences(self.daemon.inspect(self.id))
        if said:
            raise Refused("sandbox", f"the container differs from the policy: {'; '.join(said[:5])}")

    def state(self) -> State | None:
        """Return the container's state, or None where the daemon does not say."""
        return self.daemon.state(self.id)

    def kill(self) -> None:
        """Send SIGKILL by id and wait for the end."""
        self.daemon.kill(self.id)

    def remove(self) -> None:
        """Hang up and remove the container, whatever it is doing.

        Raises:
            Unavailable: The daemon did not confirm it.
        """
        if hasattr(self, "stream"):
            self.stream.close()
        self.daemon.remove(self.id)
