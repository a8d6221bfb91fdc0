"""Programs of our own, beside those of THREATS.md 1.3."""

from sandbox.types import Verdict
from tests.hostile.listed import BAD, GONE, LIMITED, MEMORY, TIME
from tests.hostile.program import Program, Shows

V = Verdict
NOT_OK = frozenset(LIMITED - {V.OK})
RAW = """
import os
def act(given):
    frame = {0}
    for fd in ([1] if BARE else range(3, 8)):
        try:
            os.write(fd, frame)
        except OSError:
            pass
    if not BARE:
        {1}
    return True
"""

OURS = (
    Program(
        "O01 kills process 1",
        """
import os, time
def act(given):
    if BARE:
        child = os.fork()
        if child == 0:
            time.sleep(60)
        os.kill(child, 9)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    os.kill(1, 9)
    return False
""",
        expect=frozenset({V.OK, V.CRASH}),
    ),
    Program(
        "O02 stops process 1",
        """
import os, signal, time
def act(given):
    target = os.fork() if BARE else 1
    if target == 0:
        time.sleep(60)
    os.kill(target, signal.SIGSTOP)
    if BARE:
        came = os.WIFSTOPPED(os.waitpid(target, os.WUNTRACED)[1])
        os.kill(target, 9)
        return came
    return False
""",
        expect=frozenset({V.OK, V.TIMEOUT, V.CRASH}),
    ),
    Program(
        "O03 speaks into process 1's stream",
        """
import os
def act(given):
    forged = b'\\0\\0\\0\\x12' + b'x' * 32 + b'{"how":"returned"}' + b'\\0\\0\\0\\6[true]'
    came = False
    for pid in ([os.getpid()] if BARE else [1, os.getppid()]):
        for fd in range(0, 12):
            try:
                with open('/proc/%d/fd/%d' % (pid, fd), 'wb', buffering=0) as out:
                    came = bool(out.write(forged)) or came
                if BARE:
                    return True
            except OSError:
                pass
    return False
""",
        expect=frozenset({V.OK, V.PROTOCOL_VIOLATION, V.CRASH}),
    ),
    Program(
        "O04 reads the next request",
        """
import os, select
def act(given):
    path = '/proc/%d/fd/0' % (os.getpid() if BARE else 1)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        return BARE or len(os.read(fd, 32)) == 32
    except OSError:
        return False
""",
    ),
    Program(
        "O05 takes process 1's limits away",
        """
import os, resource, time
def act(given):
    target = os.fork() if BARE else 1
    if target == 0:
        time.sleep(60)
    try:
        resource.prlimit(target, resource.RLIMIT_NOFILE, (1, 1))
        came = True
    except OSError:
        came = False
    if BARE:
        os.kill(target, 9)
    return came
""",
        expect=LIMITED,
    ),
    Program(
        "O06 raises its own limits",
        """
import resource
def act(given):
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        return True
    except (OSError, ValueError):
        return False
""",
    ),
    Program(
        "O07 signals everybody",
        """
import os, signal, time
def act(given):
    if BARE:
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            time.sleep(60)
        time.sleep(0.2)
        os.killpg(child, 9)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    os.kill(-1, signal.SIGKILL)
    return False
""",
        expect=LIMITED,
    ),
    Program(
        "O09 a frame nested deep",
        RAW.format("b'\\0\\x03\\x0d\\x41R' + b'[' * 100000 + b']' * 100000", "os._exit(0)"),
        expect=BAD,
    ),
    Program(
        "O10 a frame with a key twice", RAW.format('b\'\\0\\0\\0\\x10R[{"a":1,"a":2}]\'', "os._exit(0)"), expect=BAD
    ),
    Program(
        "O11 a frame of four gigabytes", RAW.format("b'\\xff\\xff\\xff\\xffR[1'", "os._exit(0)"), expect=BAD | GONE
    ),
    Program(
        "O12 half a frame and silence", RAW.format("b'\\0\\0\\1\\0R[1'", "import time; time.sleep(1e6)"), expect=TIME
    ),
    Program("O13 a frame of no kind", RAW.format("b'\\0\\0\\0\\4X[1]'", "os._exit(0)"), expect=BAD),
    Program("O14 more values than rows", RAW.format("b'\\0\\0\\0\\x08R[1,2,3]'", "os._exit(0)"), expect=BAD),
    Program(
        "O15 closes every descriptor",
        """
import os
def act(given):
    if BARE:
        os.close(2)
        return True
    os.closerange(0, 256)
    return True
""",
        expect=GONE,
    ),
    Program(
        "O16 opens until there is none",
        """
import os
def act(given):
    made = []
    try:
        while len(made) < 200 or not BARE:
            made.append(os.open('/dev/null', os.O_RDONLY))
    except OSError:
        pass
    return len(made) > 128
""",
    ),
    Program(
        "O17 memory in pipes",
        """
import os
def act(given):
    held = 0
    try:
        for _ in range(20 if BARE else 100000):
            r, w = os.pipe()
            os.set_blocking(w, False)
            try:
                held += os.write(w, b'x' * (1 << 20))
            except BlockingIOError:
                pass
    except OSError:
        pass
    return held >= (1 << 20) and (BARE or held > 128 << 20)
""",
    ),
    Program(
        "O18 runs another program",
        """
import os, sys
def act(given):
    child = os.fork()
    if child == 0:
        try:
            os.execv('/bin/sh', ['sh', '-c', 'exit 7'])
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
""",
    ),
    Program(
        "O19 execs itself for ever",
        """
import os, sys
def act(given):
    if BARE:
        os.execv(sys.executable, [sys.executable, '-c', 'while True: pass'])
    os.execv('/usr/bin/python3', ['python3', '-c', 'while True: pass'])
""",
        Shows.ENDLESS,
        TIME | GONE,
    ),
    Program(
        "O20 zombies",
        """
import os
def act(given):
    made = 0
    try:
        while made < 100 or not BARE:
            if os.fork() == 0:
                os._exit(0)
            made += 1
    except OSError:
        pass
    return made > 64
""",
    ),
    Program(
        "O21 a storm of alarms",
        """
import signal
def act(given):
    signal.signal(signal.SIGALRM, lambda *a: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    while True:
        pass
""",
        Shows.ENDLESS,
        TIME,
    ),
    Program("O22 source nested deep", f"def act(given):\n    return {'(' * 5000}1{')' * 5000}\n", Shows.DEAD, GONE),
    Program(
        "O23 a power at compile time",
        """
def act(given):
    value = 7
    for _ in range(30):
        value = value ** 7
    return True
""",
        Shows.ENDLESS,
        frozenset({V.TIMEOUT, V.OOM, V.CRASH}),
    ),
    Program("O24 a null byte in the source", "def act(given):\n    return 1\0\n", Shows.DEAD, GONE),
    Program("O25 a cookie of encoding", "# -*- coding: rot13 -*-\nqrs npg(tvira):\n    erghea 1\n", Shows.DEAD, GONE),
    Program(
        "O26 namespaces by clone",
        """
import ctypes, os
def act(given):
    came = ctypes.CDLL(None).syscall(56, (0x20000 if BARE else 0x10000000) | 17, 0, 0, 0, 0)
    if came == 0:
        os._exit(0)
    return came > 0
""",
    ),
    Program(
        "O27 shared memory of System V",
        """
import ctypes
def act(given):
    libc = ctypes.CDLL(None)
    key = libc.shmget(0, 4096, 0o1600)
    if BARE and key >= 0:
        libc.shmctl(key, 0, None)
    return BARE and key >= 0
""",
    ),
    Program(
        "O28 makes process 1 the one to be killed",
        """
def act(given):
    try:
        with open('/proc/self/oom_score_adj' if BARE else '/proc/1/oom_score_adj', 'w') as file:
            file.write('900')
        return True
    except OSError:
        return False
""",
    ),
    Program(
        "O29 links to the host's files",
        """
import os
def act(given):
    try:
        os.symlink('/etc/passwd', (given['folder'] if BARE else '/tmp') + '/link')
        return True
    except OSError:
        return False
""",
    ),
    Program("O30 answers with the wrong function", "def other(given):\n    return 1\n", Shows.DEAD, GONE),
    Program(
        "O31 memory of many children",
        """
import os, time
def act(given):
    for _ in range(4 if BARE else 40):
        if os.fork() == 0:
            held = 'x' * ((40 << 20) if BARE else (60 << 20))
            time.sleep(0.3 if BARE else 60)
            os._exit(0)
    if BARE:
        return all(os.wait()[1] == 0 for _ in range(4))
    time.sleep(60)
    return True
""",
        expect=frozenset({V.OOM, V.TIMEOUT, V.CRASH}),
    ),
    Program(
        "O32 imitates the harness's errors",
        """
import sys
def act(given):
    print('Unavailable: sandbox: the daemon did not say how the call ended', file=sys.stderr)
    raise ConnectionError('Error response from daemon: infra_unavailable')
""",
        Shows.DEAD,
        GONE,
    ),
    Program(
        "O33 hoards while it ends",
        """
import sys
class Late:
    def __del__(self):
        held = []
        while len(held) < 200 or not BARE:
            held.append('x' * (1 << 20))
kept = Late()
def act(given):
    global kept
    del kept
    return True
""",
        expect=MEMORY,
    ),
)
