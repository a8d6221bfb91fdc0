"""The Python that bubblewrap shows inside: one on this machine, its standard library and the C libraries they need.

Nothing else of the machine's files is there. This program's own Python is taken; where whoever runs inside could not
read it (root's own, in a closed folder), the system's.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.errors import Refused

OLDEST = (3, 11)
SYSTEM = Path("/usr/bin/python3")
INSIDE, LIBRARIES = "/python", "/python/lib"
FACTS = "import sys, sysconfig; print(sys.base_prefix, sysconfig.get_path('stdlib'), *sys.version_info[:2], sep='\\n')"
EXTENSIONS = ("_bz2", "_ctypes", "_decimal", "_hashlib", "_lzma", "_uuid", "math", "pyexpat", "zlib")
"""Whose C libraries are shown; what needs others (windows, sockets with TLS, databases) does not load."""
HIDDEN = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Where it is outside: the program, its standard library, and the libraries of C by the path they are asked for."""

    program: Path
    library: Path
    version: tuple[int, int]
    needs: tuple[str, ...]

    @property
    def inside(self) -> str:
        """Return the program's path inside."""
        return f"{INSIDE}/bin/python3"

    def words(self) -> Iterator[str]:
        """Yield bubblewrap's words that show it, read-only."""
        library = f"{INSIDE}/lib/{self.library.name}"
        yield from ("--ro-bind", str(self.program), self.inside, "--ro-bind", str(self.library), library)
        for name in HIDDEN:
            if (self.library / name).is_dir():
                yield from ("--tmpfs", f"{library}/{name}", "--remount-ro", f"{library}/{name}")
        for path in self.needs:
            loader = Path(path).name.startswith("ld-")  # the program names it with its whole path
            yield from ("--ro-bind", os.path.realpath(path), path if loader else f"{LIBRARIES}/{Path(path).name}")


@cache
def interpreter(uid: int) -> Interpreter:
    """Return the Python for whoever has a user id.

    Raises:
        Refused: There is none that he may read.
    """
    own = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    candidates = (own if own.exists() else Path(os.path.realpath(sys.executable)), SYSTEM)
    for program in candidates:
        if readable(program, uid):
            found = _looked_at(program)
            if found and readable(found.library, uid):
                return found
    raise Refused("sandbox", f"no Python of {'.'.join(map(str, OLDEST))} that the sandbox may read", "install python3")


def readable(path: Path, uid: int) -> bool:
    """Return whether a user reaches a file: every folder on the way is open to him."""
    if uid == os.geteuid():
        return path.exists()
    real = Path(os.path.realpath(path))
    try:
        return all(place.stat().st_mode & 0o005 == 0o005 for place in (real, *real.parents))
    except OSError:
        return False


def _looked_at(program: Path) -> Interpreter | None:
    try:
        said = subprocess.run([str(program), "-I", "-S", "-c", FACTS], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    _, library, major, minor = said.stdout.splitlines()
    version = (int(major), int(minor))
    return Interpreter(program, Path(library), version, _needs(program, Path(library))) if version >= OLDEST else None


def _needs(program: Path, library: Path) -> tuple[str, ...]:
    """Return the libraries of C that the program and its extension modules load, by the paths the loader looks at."""
    loaded = sorted(file for name in EXTENSIONS for file in (library / "lib-dynload").glob(f"{name}.*so"))
    files = [str(program), *map(str, loaded)]
    ldd = shutil.which("ldd", path=os.pathsep.join((os.environ.get("PATH", ""), os.defpath)))
    if ldd is None:
        raise Refused("sandbox", "no ldd on this machine", "install the C library's programs")
    said = subprocess.run([ldd, *files], capture_output=True, text=True, check=False).stdout
    found = set()
    for line in said.splitlines():
        words = line.split()
        path = words[2] if "=>" in words and len(words) > 2 else words[0] if words else ""
        if path.startswith("/") and not path.endswith(":"):
            found.add(path)
    return tuple(sorted(found))
