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
import os, time
def act():
    until = time.monotonic() + 1.0
    for _ in range(4):
        if os.fork() == 0:
            while time.monotonic() < until:
                pass
            os._exit(0)
    for _ in range(4):
        os.wait()
    return 1
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
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
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

CALLS = """
import ctypes, errno, os
NUMBERS = {'bpf': 321, 'perf_event_open': 298, 'userfaultfd': 323, 'keyctl': 250, 'add_key': 248, 'init_module': 175,
           'kexec_load': 246, 'open_by_handle_at': 304, 'mount': 165, 'swapon': 167, 'reboot': 169, 'settimeofday': 164,
           'io_uring_setup': 425}
SHARED = {'memfd_create': 319, 'mq_open': 240, 'unshare': 272, 'ptrace': 101, 'shmget': 29, 'process_vm_readv': 310}
REFUSALS = [errno.EPERM, errno.ENOSYS, errno.EACCES]
def act(own):
    if os.uname().machine != 'x86_64':
        return []
    libc, reached = ctypes.CDLL(None, use_errno=True), []
    if own:
        # The call ends in gVisor, which has no such thing: what is asked for here must not be there.
        for name, number in NUMBERS.items():
            said, why = libc.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno()
            if said != -1 or why not in (*REFUSALS, errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP):
                reached.append(name)
        return reached
    for name, number in {**NUMBERS, **SHARED}.items():
        child = os.fork()
        if child == 0:
            refused = libc.syscall(number, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() in REFUSALS
            os._exit(0 if refused else 1)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
            reached.append(name)
    return reached
"""

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
