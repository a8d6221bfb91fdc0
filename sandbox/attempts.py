"""The programs of the self-check: each tries to pass one limit and says how far it came (`checks.py` judges)."""

BAD_NUMBERS = "def act():\n    return [float('nan')]\n"
SAME = "def act():\n    return 6 * 7\n"
SPIN = "def act():\n    while True:\n        pass\n"
PRINTS = "def act():\n    while True:\n        print('x' * 4096)\n"
LONG = "def act():\n    return 'x' * (64 << 20)\n"
DEEP = "def act():\n    return act()\n"

HOARD = """
def act():
    held = []
    for _ in range({steps}):
        held.append('x' * (1 << 20) + str(len(held)))
    print(len(held))
    return len(held)
"""

HOARD_CHILDREN = """
import os, time
def act():
    count = 4
    for _ in range(count):
        if os.fork() == 0:
            held = [bytearray(b'x' * (1 << 20)) for _ in range({steps} // 4)]
            time.sleep(0.5)
            os._exit(0)
    alive = [os.WEXITSTATUS(s) == 0 and not os.WIFSIGNALED(s) for _, s in (os.wait() for _ in range(count))]
    return sum(alive) * ({steps} // 4)
"""

FORKS = """
import os, time
def act():
    made = 0
    try:
        for _ in range({count}):
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            made += 1
    except OSError:
        pass
    return made
"""

THREADS = """
import threading, time
def act():
    made = 0
    try:
        for _ in range({count}):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            made += 1
    except RuntimeError:
        pass
    return made
"""

BURN = """
import os, threading, time
def spin(until):
    while time.monotonic() < until:
        pass
def act():
    begun, used = time.monotonic(), time.process_time()
    for _ in range(3):
        try:
            threading.Thread(target=spin, args=(begun + 0.5,), daemon=True).start()
        except RuntimeError:
            pass
    spin(begun + 0.5)
    return (time.process_time() - used) / (time.monotonic() - begun)
"""

NETWORK = """
import os, socket
def act():
    reached = []
    for host, port in (('1.1.1.1', 53), ('169.254.169.254', 80), ('172.17.0.1', 2375), ('8.8.8.8', 443)):
        try:
            socket.create_connection((host, port), 0.3).close()
            reached.append(host)
        except OSError:
            pass
    try:
        reached.append(socket.getaddrinfo('example.com', 80)[0][4][0])
    except OSError:
        pass
    net = '/sys/class/net'
    return reached + [name for name in (os.listdir(net) if os.path.isdir(net) else ()) if name != 'lo']
"""

WRITES = """
import os
def act():
    wrote = []
    for place in ('/', '/usr', '/etc', '/dev', '/dev/shm', '/dev/mqueue', '/run', '/proc/sys/kernel', '/sys', '/var'):
        try:
            with open(place + '/metaevo-probe', 'w') as file:
                file.write('x')
            wrote.append(place)
        except OSError:
            pass
    for path in ('/harness.py', '/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern', '/proc/1/oom_score_adj'):
        try:
            with open(path, 'a') as file:
                file.write('\\n')
            wrote.append(path)
        except OSError:
            pass
    return wrote
"""

SCRATCH = """
import os
def act():
    wrote = []
    for folder, _, _ in os.walk('/'):
        if folder.startswith(('/proc', '/sys')):
            continue
        try:
            os.close(os.open(folder + '/probe', os.O_CREAT | os.O_WRONLY))
            wrote.append(folder)
        except OSError:
            pass
    for folder in ('/dev/shm', '/dev/mqueue', '/tmp', '/var/tmp', '/run'):
        if os.access(folder, os.W_OK):
            wrote.append(folder)
    return wrote
"""

LEFT = """
import os, time
def act():
    others = [int(p) for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid())]
    files = [f for d in ('/tmp', '/dev/shm', '/dev/mqueue') if os.path.isdir(d) for f in os.listdir(d)]
    try:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
    except OSError:
        pass
    for folder in ('/tmp', '/dev/shm', '/dev/mqueue'):
        try:
            open(folder + '/left', 'w').close()
        except OSError:
            pass
    return [len(others), files]
"""

SEES = """
import os
def act():
    known = ('HOME', 'HOSTNAME', 'PATH', 'LC_ALL', 'LC_CTYPE', 'PYTHONHASHSEED', 'PWD')
    seen = [k for k in os.environ if k not in known]
    try:
        words = open('/proc/1/environ').read().split('\\0')
        seen += [w.split('=')[0] for w in words if w and w.split('=')[0] not in known]
    except OSError:
        pass
    for path in ('/proc/1/mem', '/etc/shadow', '/run/secrets', '/var/run/docker.sock', '/dev/kvm',
                 '/dev/mem', '/dev/nvidia0', '/dev/nvidiactl', '/dev/dri', '/proc/kcore', '/proc/config.gz'):
        try:
            fd = os.open(path, os.O_RDONLY)
            if os.fstat(fd).st_mode & 0o170000 == 0o040000:
                seen += [path] if os.listdir(path) else []
            elif path.startswith('/dev/') or os.read(fd, 1):
                seen.append(path)
            os.close(fd)
        except OSError:
            pass
    return seen
"""

RIGHTS = """
import os
def act():
    said = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)
    found = [k for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb') if int(said.get(k, '0').strip() or '0', 16)]
    if os.getuid() == 0 or os.getgid() == 0:
        found.append('root')
    if said.get('NoNewPrivs', '1').strip() != '1':
        found.append('new privileges')
    return found
"""

FACTS = """
import os
def act():
    seen = []
    for path in ('/proc/buddyinfo', '/proc/cmdline', '/proc/config.gz', '/proc/cpuinfo', '/proc/diskstats',
                 '/proc/interrupts', '/proc/iomem', '/proc/ioports', '/proc/loadavg', '/proc/locks', '/proc/meminfo',
                 '/proc/modules', '/proc/partitions', '/proc/softirqs', '/proc/stat', '/proc/swaps', '/proc/uptime',
                 '/proc/version', '/proc/vmstat', '/proc/zoneinfo', '/proc/sys/kernel/random/boot_id',
                 '/proc/sys/kernel/version', '/proc/sys/fs/file-nr', '/sys/devices/system/cpu/online'):
        try:
            with open(path, 'rb') as file:
                if file.read(1):
                    seen.append(path)
        except OSError:
            pass
    for ask in (lambda: os.sched_getaffinity(0), lambda: os.statvfs('/'), os.getloadavg):
        try:
            seen.append(str(ask()))
        except OSError:
            pass
    return seen
"""

FILTER = """
import ctypes, os
def act():
    mode = [line.split()[1] for line in open('/proc/self/status') if line.startswith('Seccomp:')]
    return mode + [str(ctypes.CDLL(None).prctl(21, 0, 0, 0, 0))]
"""

CALLS = """
import ctypes, errno, os
def act(numbers):
    libc, reached = ctypes.CDLL(None, use_errno=True), []
    for number in numbers.get(os.uname().machine, ()):
        said = libc.syscall(number, 0, 0, 0, 0, 0)
        if said != -1 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
            reached.append(number)
    return reached
"""

ENDS = """
import ctypes, os
def act(numbers):
    number = numbers.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, 0, 0, 0, 0, 0)
        return number
    return -1
"""
"""One call a row: -1 where the machine has no such call."""

ARGUMENTS = """
import ctypes, fcntl, os, resource
def act():
    libc, reached = ctypes.CDLL(None, use_errno=True), []
    tries = {
        'a signal of a descriptor': lambda: fcntl.fcntl(1, 10, 34),
        'an owner of a descriptor': lambda: fcntl.fcntl(1, 8, 1),
        'a lock': lambda: fcntl.fcntl(0, 6, bytes(32)),
        'a lease': lambda: fcntl.fcntl(0, 1024, 0),
        'a notice': lambda: fcntl.fcntl(0, 1026, 31),
        "a pipe's size": lambda: fcntl.fcntl(1, 1031, 4096),
        'a hint': lambda: fcntl.fcntl(0, 1038, bytes(8)),
        'a terminal': lambda: fcntl.ioctl(0, 0x5412, b'x'),
        'a signal of a socket': lambda: fcntl.ioctl(1, 0x8902, bytes(4)),
        'limits of process 1': lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (1, 1)),
    }
    for name, attempt in tries.items():
        try:
            attempt()
            reached.append(name)
        except PermissionError:
            pass
        except OSError as error:
            reached.append(name + ': ' + str(error))
    for option in (1, 4, 8, 22, 24, 28, 29, 36, 38, 41, 59):
        if libc.prctl(option, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1:
            reached.append('prctl %d' % option)
    return reached
"""
"""Calls that are allowed by an argument, with others."""

SPEAKS = """
import os
def act():
    for fd in range(3, 20):
        for path in ('/proc/1/fd/1', '/proc/%d/fd/1' % os.getppid()):
            try:
                with open(path, 'wb', buffering=0) as out:
                    out.write(b'\\0\\0\\0\\x12' + b'x' * 32 + b'{"how":"returned"}' + b'\\0\\0\\0\\x04[[]]')
            except OSError:
                pass
    return 'unheard'
"""

KEEPS = """
import collections, json, math, random, re
kept = []
def act():
    found = ['global' for _ in kept]
    kept.append(1)
    for module in (collections, json, math, random, re):
        try:
            if module.mark:
                found.append('module')
        except AttributeError:
            pass
        try:
            module.mark = 1
        except Exception:
            pass
    drawn = random.random()
    random.seed(drawn)
    try:
        found.append(held)
    except NameError:
        pass
    print('metaevo-mark-' + str(drawn))
    return [found, drawn]
held = 'text' if kept else ''
"""
"""What a kernel of the embedded interpreter can mark: its globals, modules, the random generator."""
