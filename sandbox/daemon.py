"""The docker daemon: the few requests we make of it, each with a deadline, each failure `Unavailable`.

The library `docker` (7.2) is imported here alone and only when a daemon is opened. Its low-level client is used
because it passes `MaskedPaths` and a digest through untouched, and because no call of it pulls an image.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sandbox.address import Address, reachable
from sandbox.errors import Refused, Unavailable
from sandbox.judge import State
from sandbox.policy import LABEL, Policy
from sandbox.stream import Stream

T = TypeVar("T")
REQUEST_S = 10.0
GONE = (404, 409)
OLDEST = "1.41"


@contextlib.contextmanager
def boundary(what: str) -> Iterator[None]:
    """Turn every failure of the client, the transport or the daemon into `Unavailable`."""
    import docker.errors
    import requests
    import urllib3

    try:
        yield
    except (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable("sandbox", f"{what}: {str(error)[:300]}") from None


class Daemon:
    """One daemon, opened. Any number of threads may use it."""

    def __init__(self, address: Address, *, request_s: float = REQUEST_S) -> None:
        import docker
        import docker.tls

        address.must_be_ours()
        address.must_be_open()
        self.address = address
        self._stack = contextlib.ExitStack()
        tls: Any = False
        if address.tls:
            pair = (str(address.tls.cert), str(address.tls.key))
            tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=str(address.tls.ca), verify=True)
        try:
            with boundary(f"{address.url} does not answer"):
                url = self._stack.enter_context(reachable(address))
                self.client = docker.APIClient(base_url=url, version=OLDEST, timeout=request_s, tls=tls)
                self._stack.callback(self.client.close)
                # Else REQUESTS_CA_BUNDLE would replace the given CA, and a proxy's variable the way to the daemon.
                self.client.trust_env = False
                # What version="auto" does, but only after the line above.
                self.client._version = self.client.version(api_version=False)["ApiVersion"]
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._stack.close()

    def ask(self, what: str, call: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Return what a request of the client gave.

        Raises:
            Unavailable: The daemon refused, failed or did not answer.
        """
        with boundary(what):
            return call(*args, **kwargs)

    def info(self) -> dict[str, Any]:
        """Return the daemon's account of itself."""
        return dict(self.ask("info", self.client.info))

    def must_have(self, image: str, runtime: str) -> None:
        """Raise where the daemon lacks the image or the runtime.

        Raises:
            Refused: It lacks it; nothing is pulled.
            Unavailable: It does not answer.
        """
        runtimes = self.info().get("Runtimes") or {}
        if runtime not in runtimes:
            raise Refused("[sandbox] runtime", "", f"the daemon has {', '.join(sorted(runtimes))}", given=repr(runtime))
        found = self.ask("images", self.client.images, all=True)
        if image not in {entry["Id"] for entry in found}:
            raise Refused("sandbox", f"no image {image[:19]}… in this daemon", "build it: metaevo sandbox build")

    def create(self, policy: Policy) -> str:
        """Return the id of a container that equals the policy, created and not yet started."""
        data = {**policy.config(), "HostConfig": policy.host_config()}
        made = self.ask("create", self.client.create_container_from_config, data)
        return str(made["Id"])

    def attach(self, container: str) -> Stream:
        """Return a stream to a container's standard input and output."""
        params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        raw = self.ask("attach", self.client.attach_socket, container, params)
        # Over unix the client gives a reader around the socket, over TLS the socket itself.
        return Stream(getattr(raw, "_sock", raw) if not hasattr(raw, "sendall") else raw, raw)

    def start(self, container: str) -> None:
        """Start it."""
        self.ask("start", self.client.start, container)

    def inspect(self, container: str) -> dict[str, Any]:
        """Return everything the daemon says of a container."""
        return dict(self.ask("inspect", self.client.inspect_container, container))

    def state(self, container: str) -> State | None:
        """Return a container's state, or None where the daemon does not say."""
        import docker.errors

        try:
            said = self.client.inspect_container(container)["State"]
        except docker.errors.NotFound:
            return State(known=False)
        except Exception:  # noqa: BLE001 (whatever keeps the daemon from saying it: it did not say)
            return None
        return State(
            running=bool(said.get("Running")) and not said.get("Dead"),
            paused=bool(said.get("Paused")),
            oom=bool(said.get("OOMKilled")),
            exit_code=int(said.get("ExitCode", 0)),
        )

    def kill(self, container: str) -> None:
        """Send SIGKILL by id and wait for the end. A container that has ended or gone is none to kill."""
        import docker.errors

        with contextlib.suppress(docker.errors.APIError):
            self.ask_raw("kill", self.client.kill, container)
            self.ask_raw("wait", self.client.wait, container, timeout=REQUEST_S)

    def remove(self, container: str) -> None:
        """Remove it, running or not. One that is gone is not a failure."""
        import docker.errors

        try:
            self.ask_raw("remove", self.client.remove_container, container, force=True, v=True)
        except docker.errors.APIError as error:
            if error.status_code not in GONE:
                raise Unavailable("sandbox", f"remove: {str(error)[:300]}") from None

    def ask_raw(self, what: str, call: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Return what a request gave; the daemon's own refusals pass, transport failures are `Unavailable`."""
        import docker.errors

        refusal: docker.errors.APIError
        with boundary(what):
            try:
                return call(*args, **kwargs)
            except docker.errors.APIError as error:
                refusal = error
        raise refusal

    def owned(self, owner: str) -> list[dict[str, Any]]:
        """Return the containers that carry this owner's label."""
        return list(self.ask("list", self.client.containers, all=True, filters={"label": f"{LABEL}={owner}"}))

    def cpu_s(self, container: str) -> float:
        """Return the CPU seconds that a container's cgroup has used."""
        said = self.ask("stats", self.client.stats, container, stream=False, one_shot=True)
        return float(said["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9
