"""One process of the grader pool: ``python -m metaevo.engines.grader_worker``. Environments' code runs only here.

It has no secrets in its environment, no torch, no network (a network namespace of its own), a memory limit, and
after the environments are loaded an audit hook that refuses processes, sockets and writing. The pool kills it
when an item takes too long.
"""

import ctypes
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypedDict, TypeVar

from metaevo.artifacts.bodies import adapter
from metaevo.engines.protocol import receive, send
from metaevo.engines.worker_life import die_with_parent
from metaevo.errors import BadInput, EngineDied, to_frame
from objectives import drawing
from objectives.door import Door
from objectives.environment import BadEnvironment, Program, messages, own_answer
from objectives.finder import Source, find
from objectives.running import NoSandbox, Ran
from objectives.splits import NEWEST, Scheme, canonical
from objectives.types import Environment, JsonValue, Split, Task, Unsaid

FLUSH_S = 0.02
REFUSED = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
    "os.symlink",
    "os.link",
    "os.chmod",
    "os.mkdir",
    "subprocess.Popen",
    "socket.",
    "shutil.",
    "ctypes.",
    "pty.",
)
PROGRAMS = 16
"""Programs that one answer may have run."""
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
T = TypeVar("T")
Told: TypeAlias = list[int | float | str | None]
"""One graded item: its place in the request, its score, what went wrong, and whose fault it is where that is known."""


class Load(TypedDict):
    """Which environments this process is to know."""

    sources: list[JsonValue]
    memory_mib: int
    scheme: int


class About(TypedDict):
    """A request about one environment."""

    environment: str


class Describe(About):
    """What is its data record? Whether it is trained on is the operator's word."""

    train: bool


class OneLevel(About):
    """What is the sample of this cell?"""

    level: int


class Draw(About):
    """Tasks of one cell and split."""

    level: int
    split: str
    seed: int
    start: int
    n: int


class Posed(TypedDict):
    """Which tasks are these texts?"""

    texts: list[str]


class Refusals(TypedDict):
    """May these rows be trained on? Each is an environment's name, the texts training would show, and its replies."""

    rows: list[tuple[str, list[str], list[str]]]


class Named(About):
    """Which known mistakes are these answers? Each is (origin, level, text, completion)."""

    items: list[tuple[str, int, str, str]]


class Grade(About):
    """Answers to grade; a completion of None is the row's own answer."""

    items: list[tuple[str, int, str, str | None]]
    singly: bool


class RewardSandbox:
    """The sandbox as one item's reward sees it (`objectives.running.Run`): the control plane holds it."""

    def __init__(self, into: BinaryIO, out: BinaryIO, item: int) -> None:
        self.into, self.out, self.item = into, out, item
        self.asked, self.verdict = 0, ""

    def __call__(self, source: str, function: str, rows: Sequence[Sequence[JsonValue]]) -> Ran:
        """Ask for one program; see `objectives.running.Run`."""
        self.asked += 1
        if self.asked > PROGRAMS:
            raise RuntimeError(f"a reward wants more than {PROGRAMS} programs run for one answer")
        wanted = {"item": self.item, "source": source, "function": function, "rows": [list(row) for row in rows]}
        send(self.out, {"run": wanted})
        said = receive(self.into)
        if "away" in said:
            raise NoSandbox(said["away"])
        if "refused" in said:
            raise ValueError(said["refused"])
        ran: Ran = adapter(Ran).validate_python(said["ran"])
        self.verdict = self.verdict or ("" if ran.verdict == "ok" else ran.verdict)
        return ran


class GraderWorker:
    """Answers requests until the stream ends."""

    def __init__(self, into: BinaryIO, out: BinaryIO, *, alone: bool) -> None:
        self.into, self.out, self.alone = into, out, alone
        self.programs: dict[str, Program] = {}
        self.scheme = NEWEST
        self.door = Door(self.programs, self.scheme)

    def serve(self) -> None:
        """Answer one request after the other."""
        while True:
            try:
                request = receive(self.into)
            except EngineDied:
                return
            try:
                send(self.out, {"ok": getattr(self, f"do_{request['op']}")(request)})
            except BadEnvironment as error:
                send(self.out, to_frame(BadInput.of(error)))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the process boundary: other people's code
                send(self.out, {"error": "ModuleFailed", "text": f"{type(error).__name__}: {error}"[:2000]})

    def do_load(self, request: Load) -> dict[str, bool]:
        """Load environments, then close the doors; return what the control plane may know of each."""
        self.scheme = Scheme(request["scheme"])
        sources = adapter(list[Source]).validate_python(request["sources"])
        for source in sources:
            self.programs[source.name] = find(source)
        closed = frozenset(source.name for source in sources if source.options.get("train") is False)
        self.door = Door(self.programs, self.scheme, closed)
        return isolate(int(request["memory_mib"])) | {"network": self.alone}

    def do_sample(self, request: OneLevel) -> drawing.Sample:
        """Return how many texts a cell has, and what its sample is known by."""
        program = self.programs[request["environment"]]
        try:
            return drawing.sample(program, request["level"], self.scheme)
        except BadEnvironment:
            raise
        except Exception as error:  # other people's code; the control plane only hears what and where
            said = f"{type(error).__name__}: {error}"
            raise BadEnvironment(
                f"environment {program.name}", f"its tasks cannot be made ({said})", "fix make()"
            ) from error

    def do_describe(self, request: Describe) -> Environment:
        """Return the data record of one environment; what its cells' samples are is asked a level at a time."""
        program = self.programs[request["environment"]]
        return Environment(
            name=program.name,
            ability=program.ability,
            direction=program.direction,
            levels=program.levels,
            texts={},
            groups=drawing.groups(program),
            pass_mark=program.pass_mark,
            timeout_s=program.timeout_s,
            version=program.version,
            train=bool(request["train"]),
            alphabet=program.alphabet,
            reads=program.read is not None,
            judged=program.judged,
            answer_tokens=program.answer_tokens,
            runs=program.runs,
        )

    def do_draw(self, request: Draw) -> drawing.Drawn:
        """Return tasks of one cell and split."""
        program = self.programs[request["environment"]]
        place = (request["level"], Split(request["split"]), request["seed"], request["start"], request["n"])
        return drawing.draw(program, *place, self.scheme)

    def do_posed(self, request: Posed) -> list[Task | None]:
        """Return the tasks that posed texts are, None for each that is not one."""
        found = []
        for text in request["texts"]:
            tasks = (_tried(drawing.posed, program, text, self.scheme) for program in self.programs.values())
            found.append(next((task for task in tasks if task is not None), None))
        return found

    def do_refusals(self, request: Refusals) -> list[str]:
        """Return for each row why it may not be trained on, "" where it may."""
        return [self.door.refusal(*row) for row in request["rows"]]

    def do_grade(self, request: Grade) -> list[Told]:
        """Grade items one by one, telling results as they come: a silence is how the pool notices a hung one."""
        program = self.programs[request["environment"]]
        told: list[Told] = []
        last = time.monotonic()
        for index, (origin, level, text, completion) in enumerate(request["items"]):
            run = RewardSandbox(self.into, self.out, index)
            try:
                row = program.row(origin, level, text)
                said = (own_answer(row) or "") if completion is None else completion
                score = program.score(row, said, run)
                told.append([index, score, "" if score is None else run.verdict, None])
            except BadEnvironment as error:  # outside the contract: no answer can be blamed for that
                told.append([index, None, f"{error}"[:300], Unsaid.ROW])
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the pool decides whose fault it is
                told.append([index, None, f"{type(error).__name__}: {error}"[:300], None])
            if request["singly"] or time.monotonic() - last > FLUSH_S:
                send(self.out, {"progress": told})
                told, last = [], time.monotonic()
        return told

    def do_mistakes(self, request: Named) -> list[str | None]:
        """Return for each wrong answer the name of the known wrong procedure that gives it, or None."""
        program = self.programs[request["environment"]]
        names = []
        for origin, level, text, completion in request["items"]:
            row = program.row(origin, level, text)
            given = " ".join(completion.split())
            fits = (name for name, wrong in program.mistakes.items() if _tried(wrong, **row) == given)
            names.append(next(fits, None))
        return names

    def do_texts(self, request: About) -> list[str]:
        """Return the canonical texts of a whole cell's rows (data sets only), for contamination checks."""
        program = self.programs[request["environment"]]
        return [canonical(messages(row["prompt"])) for row in program.rows or ()]


def _tried(call: Callable[..., T], *given: object, **named: object) -> T | None:
    """Return what an environment's own helper says, None where it raises: it only names and reads."""
    try:
        return call(*given, **named)
    except (Exception, SystemExit):  # noqa: BLE001 - other people's code
        return None


def isolate(memory_mib: int) -> dict[str, bool]:
    """Limit this process for good; return which limits hold, by name."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = _address_space()
    limit = used + memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.addaudithook(_refuse)
    return {"memory": True, "audit": True}


def without_network() -> bool:
    """Move this process into a network namespace of its own, which has no interface; return whether it worked.

    Called before any thread is started: a user namespace can only be entered by a single-threaded process.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(CLONE_NEWNET) == 0 or libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _refuse(event: str, arguments: tuple[str | bytes | int | None, ...]) -> None:
    if event.startswith(REFUSED):
        raise PermissionError(f"{event} is not allowed in a grader")
    if event == "open":
        _, mode, flags = arguments
        written = int(flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if written or (isinstance(mode, str) and set(mode) & set("wax+")):
            raise PermissionError("a grader may not write files")


def main() -> None:
    """Take over stdin and stdout, serve."""
    alone = without_network()
    die_with_parent(int(sys.argv[1]))
    into, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    GraderWorker(into, out, alone=alone).serve()


if __name__ == "__main__":
    main()
