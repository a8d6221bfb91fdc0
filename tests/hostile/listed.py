"""The programs of THREATS.md 1.3 up to H22: limits and ends."""

from sandbox.types import Shape, Verdict
from tests.hostile.program import Program, Shows

V = Verdict
LIMITED = frozenset({V.OK, V.CRASH, V.TIMEOUT, V.OOM, V.OVERFLOW, V.PROTOCOL_VIOLATION, V.POLICY_VIOLATION})
MEMORY = frozenset({V.OOM, V.CRASH})
TIME = frozenset({V.TIMEOUT})
FLOOD = frozenset({V.OVERFLOW, V.TIMEOUT})
BAD = frozenset({V.PROTOCOL_VIOLATION, V.CRASH})
GONE = frozenset({V.CRASH, V.OOM})

LISTED = (
    Program(
        "H01 fork bomb",
        """
import os, time
def act(given):
    made = 0
    try:
        while made < 100 or not BARE:
            if os.fork() == 0:
                time.sleep(0.5 if BARE else 60)
                os._exit(0)
            made += 1
    except OSError:
        pass
    return made > 64
""",
    ),
    Program(
        "H01 fork bomb that forks in its children",
        """
import os, time
def act(given):
    if BARE:
        pids = [os.fork() for _ in range(6)]
        if 0 in pids:
            time.sleep(0.3)
            os._exit(0)
        return True
    while True:
        try:
            os.fork()
        except OSError:
            pass
""",
        expect=frozenset(LIMITED - {V.OK}),
    ),
    Program(
        "H02 thread bomb",
        """
import threading, time
def act(given):
    made = 0
    try:
        while made < 100 or not BARE:
            threading.Thread(target=time.sleep, args=(0.5 if BARE else 60,), daemon=True).start()
            made += 1
    except RuntimeError:
        pass
    return made > 64
""",
    ),
    Program(
        "H03 memory bomb",
        """
def act(given):
    held = []
    while len(held) < 160 or not BARE:
        held.append('x' * (1 << 20) + str(len(held)))
    return True
""",
        expect=MEMORY,
    ),
    Program(
        "H04 sparse map",
        """
import mmap
def act(given):
    size = 1 << 30 if BARE else 1 << 40
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    for at in range(0, (160 << 20) if BARE else size, 4096):
        area[at] = 1
    return True
""",
        expect=MEMORY,
    ),
    Program(
        "H05 disk fill",
        """
import os
def act(given):
    wrote = 0
    for folder in ([given['folder']] if BARE else ['/tmp', '/dev/shm', '/var/tmp', '/run', '/', '.']):
        try:
            with open(folder + '/fill', 'wb', buffering=0) as file:
                while wrote < (4 << 20) or not BARE:
                    wrote += file.write(b'x' * (1 << 20))
        except OSError:
            pass
    return wrote > 1 << 20
""",
    ),
    Program(
        "H06 inode bomb",
        """
import os
def act(given):
    made = 0
    for folder in ([given['folder']] if BARE else ['/tmp', '/dev/shm', '/var/tmp', '/run', '/']):
        try:
            while made < 1500 or not BARE:
                open(folder + '/i%d' % made, 'w').close()
                made += 1
        except OSError:
            pass
    return made > 1000
""",
    ),
    Program(
        "H07 stdout flood",
        """
def act(given):
    sent = 0
    while sent < (1 << 20) or not BARE:
        print('y' * 4095)
        sent += 4096
    return True
""",
        expect=FLOOD,
    ),
    Program(
        "H08 stderr flood",
        """
import sys
def act(given):
    sent = 0
    while sent < (1 << 20) or not BARE:
        sys.stderr.write('y' * 4096)
        sent += 4096
    return True
""",
        expect=FLOOD,
    ),
    Program("H10 infinite loop", "def act(given):\n    while True:\n        pass\n", Shows.ENDLESS, TIME),
    Program(
        "H11 catastrophic regex",
        "import re\ndef act(given):\n    return re.match('(a+)+$', 'a' * 48 + 'b') is None\n",
        Shows.ENDLESS,
        TIME,
    ),
    Program("H12 sleep", "import time\ndef act(given):\n    time.sleep(1e6)\n", Shows.ENDLESS, TIME),
    Program(
        "H13 ignores every signal",
        """
import signal
def act(given):
    for number in range(1, 64):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
    while True:
        pass
""",
        Shows.ENDLESS,
        TIME,
    ),
    Program(
        "H14 double-forked daemon",
        """
import os, time
def act(given):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.5)
            try:
                open(given['folder'] + '/late', 'w').close()
            except OSError:
                pass
            time.sleep(0 if BARE else 60)
        os._exit(0)
    return False
""",
        Shows.LATE,
    ),
    Program(
        "H15 a child keeps the pipe",
        """
import os, time
def act(given):
    if os.fork() == 0:
        time.sleep(6 if BARE else 3600)
        os._exit(0)
    if not BARE:
        os._exit(0)
    return True
""",
        Shows.ENDLESS,
        GONE,
    ),
    Program(
        "H17 two frames",
        """
import os
def act(given):
    frame = b'\\0\\0\\0\\4R[1]'
    for fd in ([1] if BARE else range(3, 8)):
        try:
            os.write(fd, frame)
        except OSError:
            pass
    return BARE
""",
        expect=frozenset({V.PROTOCOL_VIOLATION}),
    ),
    Program(
        "H17 a frame after the end",
        """
import os, time
def act(given):
    if os.fork() == 0:
        for _ in range(2000):
            for fd in ([1] if BARE else range(3, 8)):
                try:
                    os.write(fd, b'\\0\\0\\0\\4R[1]')
                except OSError:
                    pass
            if BARE:
                os._exit(0)
        os._exit(0)
    return BARE
""",
        expect=frozenset({V.PROTOCOL_VIOLATION, V.OVERFLOW, V.OK, V.CRASH}),
    ),
    Program("H18 exit 0", "import os\ndef act(given):\n    os._exit(0)\n", Shows.DEAD, GONE),
    Program("H18 sys.exit", "import sys\ndef act(given):\n    sys.exit(0)\n", Shows.DEAD, GONE),
    Program("H18 abort", "import os\ndef act(given):\n    os.abort()\n", Shows.DEAD, GONE),
    Program("H18 segfault", "import ctypes\ndef act(given):\n    ctypes.string_at(0)\n", Shows.DEAD, GONE),
    Program("H18 SIGKILL to itself", "import os\ndef act(given):\n    os.kill(os.getpid(), 9)\n", Shows.DEAD, GONE),
    Program("H19 loop at import", "while True:\n    pass\ndef act(given):\n    return 1\n", Shows.ENDLESS, TIME),
    Program(
        "H19 flood at import",
        """
import time
for _ in range(64 if BARE else 10 ** 9):
    print('z' * 4096)
def act(given):
    return True
""",
        expect=FLOOD,
    ),
    Program("H20 an error of 50 MB", "def act(given):\n    raise ValueError('E' * 50_000_000)\n", Shows.DEAD, GONE),
    Program(
        "H21 recursion bomb",
        """
import sys
def act(given):
    sys.setrecursionlimit(10 ** 5 if BARE else 10 ** 9)
    def down(n):
        return down(n + 1)
    return down(0)
""",
        Shows.DEAD,
        GONE,
    ),
    *(
        Program(f"H22 {name}", f"def act(given):\n    return {value}\n", Shows.VALUE, BAD, Shape.NUMBER)
        for name, value in (
            ("NaN", "float('nan')"),
            ("infinity", "float('inf')"),
            ("a huge integer", "10 ** 400"),
            ("an integer of 65 bits", "2 ** 64"),
            ("a bool for a number", "True"),
            ("a text for a number", "'0.9'"),
        )
    ),
)
