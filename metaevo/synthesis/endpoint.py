"""An OpenAI-compatible endpoint as an author of kernels: one POST a call, within a deadline, with a cap on bytes.

Nothing follows redirects, reads proxies from the environment or retries. The key is looked up at each call and is in
no message.
"""

import http.client
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from metaevo.errors import BadInput
from metaevo.synthesis.proposals import NoProposalReason, Prompt, Unproposed
from objectives.types import JsonValue
from sandbox import frame

MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class Written:
    """What an author wrote, and the tokens it says it read and wrote: None where it cannot say."""

    text: str
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask. ``url`` ends before ``/chat/completions``; ``key`` looks the secret up where it is kept.

    Raises:
        BadInput: The address is none, holds a password, or would carry the key over an open network in the clear.
    """

    url: str
    model: str
    key: Callable[[], str] | None = field(default=None, repr=False)
    timeout_s: float = 60.0
    max_tokens: int = 1024
    temperature: float = 0.8
    response_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        try:
            parts, port = urlsplit(self.url), urlsplit(self.url).port
        except ValueError as error:
            raise BadInput("proposer.use", error, "write https://host/v1") from None
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or port == 0 or parts.query or parts.fragment:
            raise BadInput("proposer.use", "no address", "write https://host/v1", given=repr(self.url[:100]))
        if parts.username is not None or parts.password is not None:
            raise BadInput("proposer.use", "an address with a password in it", "name the secret in proposer.key")
        if self.key is not None and self.overheard:
            raise BadInput("proposer.use", f"the key would travel to {host} in the clear", "use https")

    @property
    def overheard(self) -> bool:
        """Return whether others can read what is sent: not on this machine, and not encrypted."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not _here(parts.hostname or "")

    @property
    def name(self) -> str:
        """Return endpoint."""
        return "endpoint"

    def write(self, asked: Prompt, seed: int) -> Written:
        """Return the reply to a letter.

        Raises:
            Unproposed: No key, time-out, no connection, another status, too many bytes, or no such JSON.
        """
        body: dict[str, JsonValue] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in asked.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": seed,
        }
        return _read(_Call(self, json.dumps(body).encode()).answer())


class _Call:
    """One exchange in a thread of its own: names, handshakes and slow senders all end with the deadline."""

    def __init__(self, endpoint: Endpoint, body: bytes) -> None:
        self.endpoint, self.body = endpoint, body
        self.parts = urlsplit(endpoint.url)
        self.connection = _connection(self.parts, endpoint.timeout_s)
        self.headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        if endpoint.key is not None:
            self.headers["Authorization"] = f"Bearer {_looked_up(endpoint.key)}"
        self.gone = False
        self.socket: socket.socket | None = None
        self.raw, self.failure = (
            b"",
            Unproposed(NoProposalReason.TIMEOUT, f"nothing whole within {endpoint.timeout_s:g} s"),
        )

    def answer(self) -> bytes:
        """Return the body of a good answer."""
        thread = threading.Thread(target=self._exchange, name="proposer", daemon=True)
        thread.start()
        thread.join(self.endpoint.timeout_s)
        if thread.is_alive():
            self.gone = True
            self._hang_up()
            raise Unproposed(NoProposalReason.TIMEOUT, f"nothing whole within {self.endpoint.timeout_s:g} s")
        if not self.raw:
            raise self.failure
        return self.raw

    def _exchange(self) -> None:
        try:
            self.raw = self._exchanged()
        except Unproposed as failure:
            self.failure = failure
        except TimeoutError:
            pass  # `failure` says so already
        except http.client.HTTPException as error:
            self.failure = Unproposed(NoProposalReason.BAD_RESPONSE, type(error).__name__)
        except (OSError, ValueError) as error:
            self.failure = Unproposed(NoProposalReason.UNREACHABLE, f"{self.parts.hostname}: {type(error).__name__}")
        finally:
            self.connection.close()

    def _exchanged(self) -> bytes:
        self.connection.connect()
        self.socket = self.connection.sock  # the connection forgets it once headers say that it will close
        if self.gone:
            return b""
        path = f"{self.parts.path.rstrip('/')}/chat/completions"
        self.connection.request("POST", path, self.body, self.headers)
        answer = self.connection.getresponse()
        if answer.status != http.client.OK:
            raise Unproposed(NoProposalReason.HTTP_ERROR, f"status {answer.status}")
        most = self.endpoint.response_bytes
        raw = answer.read(most + 1)
        if len(raw) > most:
            raise Unproposed(NoProposalReason.TOO_LARGE, f"more than {most} bytes")
        return raw or b" "  # an empty body is an answer too, only no JSON

    def _hang_up(self) -> None:
        if self.socket is not None:
            with suppress(OSError):  # it hung up first
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # not TLS's own: that one is not another thread's


def _connection(parts: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)


def _looked_up(key: Callable[[], str]) -> str:
    try:
        found = key().strip()
    except BadInput as error:  # it was there when the run began; the file or the credential went away since
        raise Unproposed(NoProposalReason.KEY, str(error)) from None
    if not found or not found.isascii() or not found.isprintable():
        raise Unproposed(NoProposalReason.KEY, "no single line of printable ASCII; look where it is kept")
    return found


def _here(host: str) -> bool:
    """Return whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(raw: bytes) -> Written:
    try:
        said = frame.parse(raw)
        text = said["choices"][0]["message"]["content"]
    except frame.Malformed as error:
        raise Unproposed(NoProposalReason.BAD_RESPONSE, str(error)) from None
    except (KeyError, IndexError, TypeError):
        raise Unproposed(NoProposalReason.BAD_RESPONSE, "no choices[0].message.content") from None
    if text is None:
        text = ""
    if not isinstance(text, str):
        raise Unproposed(NoProposalReason.BAD_RESPONSE, "choices[0].message.content is not text")
    usage = said.get("usage")
    used = usage.get("total_tokens") if isinstance(usage, dict) else None
    return Written(text, used if type(used) is int and 0 < used <= MOST_TOKENS else None)
