"""A docker daemon of the test's own, which it may kill, stop and start again without hurting any other."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path


class OwnDaemon:
    """`dockerd` in a folder. Only the process started here is ever signalled."""

    def __init__(self, folder: Path, **more: object) -> None:
        self.folder, self.process = folder, None
        settings = {
            "data-root": f"{folder}/data",
            "exec-root": f"{folder}/exec",
            "pidfile": f"{folder}/dockerd.pid",
            "hosts": [self.url],
            "bridge": "none",
            "iptables": False,
            "ip-forward": False,
            "log-driver": "none",
            **more,
        }
        (folder / "daemon.json").write_text(json.dumps(settings))

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> None:
        """Start it and wait until it answers. On a busy machine its containerd may be too slow: tried three times."""
        for _ in range(3):
            if self._started():
                return
        raise AssertionError((self.folder / "dockerd.log").read_text()[-800:])

    def _started(self) -> bool:
        for stale in (self.folder / "dockerd.pid", self.folder / "exec/containerd/containerd.pid"):
            stale.unlink(missing_ok=True)
        command = ["dockerd", "--config-file", str(self.folder / "daemon.json")]
        with (self.folder / "dockerd.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            if self.answers():
                return True
            time.sleep(0.1)
        if self.process.poll() is None:
            self.kill()
        return False

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(2)
            try:
                s.connect(f"{self.folder}/docker.sock")
                s.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"OK" in s.recv(4096)
            except OSError:
                return False

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Start it if it is dead, so that it ends its containers, then stop it and forget its data."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)
        for pid_file in self.folder.glob("exec/containerd/containerd.pid"):
            _end(int(pid_file.read_text()), str(self.folder))
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def _end(pid: int, mark: str) -> None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return
    if mark in command:
        os.kill(pid, signal.SIGKILL)


class Proxy:
    """A socket before a daemon's, which can hang (take and say nothing), break, or go on."""

    def __init__(self, path: Path, behind: str) -> None:
        self.path, self.behind, self.hangs = path, behind, threading.Event()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.behind)
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a: socket.socket, b: socket.socket) -> None:
        while True:
            try:
                data = a.recv(65536)
                while self.hangs.is_set():
                    time.sleep(0.05)
                if data:
                    b.sendall(data)
                else:
                    b.shutdown(socket.SHUT_WR)
                    return
            except OSError:
                return

    def break_all(self) -> None:
        """Cut every connection."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                _cut(end)

    def close(self) -> None:
        self.server.close()
        self.hangs.clear()
        self.break_all()


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
