"""Whether a call leaves anything: a writer marks whatever it can, a reader reads whatever it can, before and after.

The writer's mark is in its log, its reply, its memory, and in everything of the system that a process can set. The
reader compares every getter, descriptor, lock, clock's setting, device and file with what it read before the writer,
and searches the whole of its memory for the mark, in the same kernel and in the harness's next ones.
"""

import json
import secrets

from sandbox.types import Json, Kernel, Result, Sandbox

MARK = "metaevo-mark-"
OTHERS = 3
"""So many other kernels look for the mark too: they bind a container in which the writer was."""
WALL_S = 30.0
LOOKS = r"""
import ctypes, fcntl, os, re, resource, signal, socket, sys, time
def said(call, *given):
    try:
        return repr(call(*given))[:300]
    except BaseException as error:
        return type(error).__name__ + str(getattr(error, 'errno', ''))
def read(path):
    with open(path, 'rb') as file:
        return file.read(4000)
def status(path):
    kept = ('Umask', 'SigPnd', 'ShdPnd', 'SigBlk', 'SigIgn', 'SigCgt', 'NoNewPrivs', 'Seccomp', 'Threads', 'Cap')
    return sorted(line for line in open(path) if line.startswith(kept))
def look():
    libc, seen = ctypes.CDLL(None, use_errno=True), {}
    for name in ('getcwd', 'getuid', 'getgid', 'getgroups', 'getsid', 'getpgrp', 'getppid', 'uname', 'getloadavg',
                 'cpu_count', 'getresuid', 'getlogin', 'ctermid'):
        seen[name] = said(getattr(os, name), *((0,) if name == 'getsid' else ()))
    seen['umask'] = said(os.umask, 0o22)
    seen['nice'] = [said(os.getpriority, kind, 0) for kind in (0, 1, 2)]
    seen['scheduler'] = [said(f, 0) for f in (os.sched_getscheduler, os.sched_getaffinity, os.sched_getparam)]
    seen['limits'] = [said(resource.getrlimit, number) for number in range(16)]
    seen['children'] = said(resource.getrusage, resource.RUSAGE_CHILDREN)
    seen['timers'] = [said(signal.getitimer, kind) for kind in (0, 1, 2)]
    seen['signals'] = [said(signal.getsignal, number) for number in range(1, 65)]
    seen['mask'] = said(signal.pthread_sigmask, signal.SIG_BLOCK, [])
    seen['pending'] = said(signal.sigpending)
    seen['prctl'] = [libc.prctl(option, 0, 0, 0, 0) for option in (3, 21, 23, 30, 39)]
    seen['clocks'] = [said(time.clock_getres, clock) for clock in range(12)]
    seen['environment'] = sorted(os.environ.items())
    seen['modules'] = sorted(sys.modules)[:400]
    for fd in range(32):
        try:
            stat = os.fstat(fd)
        except OSError:
            continue
        found = [oct(stat.st_mode), stat.st_rdev, said(os.lseek, fd, 0, 1), os.get_inheritable(fd)]
        found += [said(fcntl.fcntl, fd, command) for command in (1, 3, 9, 11, 1025, 1032, 1034, 1035, 1037)]
        found += [said(fcntl.fcntl, fd, 5, bytes(32)), said(fcntl.ioctl, fd, 0x541B, bytes(8))]
        seen['descriptor %d' % fd] = found
    for path in ('/', '/tmp', '/dev', '/dev/shm', '/dev/mqueue', '/dev/pts', '/run', '/var', '/var/tmp', '/etc',
                 '/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty', '/dev/ptmx',
                 '/harness.py', sys.executable):
        stat = said(lambda: tuple(os.stat(path, follow_symlinks=False)))
        seen['file ' + path] = [stat, said(lambda: sorted(os.listdir(path)))]
        fd = -1
        try:
            fd = os.open(path, os.O_RDONLY)
            locks = ((fcntl.flock, 5), (fcntl.lockf, 5), (fcntl.fcntl, 1025))
            seen['lock ' + path] = [said(call, fd, kind) for call, kind in locks]
            os.close(fd)
        except OSError as error:
            seen['lock ' + path] = error.errno
    for name in ('limits', 'oom_score_adj', 'oom_adj', 'timerslack_ns', 'coredump_filter', 'personality', 'comm',
                 'cgroup', 'attr/current', 'loginuid', 'sessionid', 'uid_map', 'gid_map', 'setgroups', 'mountinfo'):
        for who in ('self', '1'):
            seen['proc %s/%s' % (who, name)] = said(read, '/proc/%s/%s' % (who, name))
    for who in ('self', '1'):
        seen['status ' + who] = said(status, '/proc/%s/status' % who)
    for path in ('/proc/sysvipc/shm', '/proc/sysvipc/sem', '/proc/sysvipc/msg', '/proc/locks', '/proc/keys',
                 '/proc/key-users', '/proc/sys/kernel/hostname', '/proc/sys/kernel/domainname',
                 '/proc/sys/kernel/core_pattern', '/proc/net/unix'):
        seen[path] = said(read, path)
    seen['processes'] = sorted(p for p in os.listdir('/proc') if p.isdigit() and p != str(os.getpid()))
    for number in (29, 30, 64, 68, 240):
        seen['shared %d' % number] = os.uname().machine == 'x86_64' and libc.syscall(number, 0x4d45, 64, 0o600, 0, 0)
    import json
    return json.dumps(seen, sort_keys=True, default=str)
"""
"""Everything a process can ask for, but what changes by itself: process numbers, times that run, addresses."""

WRITES = r"""
def attempt(call, *given):
    try:
        return call(*given)
    except BaseException:
        return None
def write(number):
    mark = 'metaevo-' + 'mark-' + '%032x' % number
    data, libc = mark.encode(), ctypes.CDLL(None)
    for fd in range(6):
        for command, value in ((10, 34), (8, os.getpid()), (15, bytes(8)), (4, 0o6000 | 0o20000), (1024, 1), (1026, 31),
                               (1031, 1 << 16), (1033, 1), (1036, bytes(8)), (1038, bytes(8)), (6, bytes(32))):
            attempt(fcntl.fcntl, fd, command, value)
        attempt(os.lseek, fd, 7, 0)
        attempt(fcntl.ioctl, fd, 0x5414, bytes(8))
        attempt(fcntl.flock, fd, 2 | 4)
    for folder in ('/', '/tmp', '/dev', '/dev/shm', '/dev/mqueue', '/run', '/var/tmp', '/etc', '/proc/self', '/proc/1'):
        attempt(lambda: open(folder + '/' + mark, 'w').write(mark))
        attempt(os.mkdir, folder + '/' + mark)
        attempt(os.symlink, mark, folder + '/' + mark)
        attempt(os.mkfifo, folder + '/' + mark)
    for path in ('/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty', '/dev/ptmx',
                 '/tmp', '/dev/shm'):
        attempt(os.utime, path, (1, 1))
        attempt(os.utime, path)
        attempt(os.chmod, path, 0o700)
        attempt(os.setxattr, path, 'user.mark', data)
        attempt(lambda: os.write(os.open(path, os.O_RDWR), data))
        attempt(lambda: fcntl.lockf(os.open(path, os.O_RDWR), 2 | 4))
    for name, text in (('oom_score_adj', '900'), ('timerslack_ns', '777'), ('coredump_filter', '1'),
                       ('comm', mark[:15]), ('attr/current', mark), ('loginuid', '7'), ('clear_refs', '1'),
                       ('sched', '0'), ('autogroup', '9')):
        for who in ('self', '1', str(os.getppid())):
            attempt(lambda: open('/proc/%s/%s' % (who, name), 'w').write(text))
    attempt(libc.shmget, 0x4d45, 64, 0o1600)
    attempt(libc.semget, 0x4d45, 1, 0o1600)
    attempt(libc.msgget, 0x4d45, 0o1600)
    if os.uname().machine == 'x86_64':
        for other, given in ((240, (b'mark', 0o102, 0o600, 0)), (319, (b'mark', 0)), (135, (0x0400000,)),
                             (141, (0, 0, 7)), (203, (0, 8, b'\1' + bytes(7))), (238, (1, 0, 0)),
                             (251, (0, 0, 0x6000))):
            attempt(libc.syscall, other, *given)
    for option in ((1, 9), (4, 1), (7, 1), (8, 1), (13, 1), (15, data[:15]), (25, 1), (26, 1), (29, 777), (36, 1),
                   (41, 1)):
        attempt(libc.prctl, *option, 0, 0, 0)
    for address in ('\0' + mark, '/tmp/' + mark):
        attempt(lambda: socket.socket(socket.AF_UNIX).bind(address))
    attempt(os.nice, 5); attempt(os.setpriority, 1, 0, 9); attempt(os.setsid); attempt(os.setpgid, 0, 0)
    attempt(os.umask, 0o777); attempt(os.chdir, '/dev')
    for kind in range(16):
        attempt(resource.setrlimit, kind, (1 << 30, 1 << 30))
        attempt(resource.prlimit, 1, kind, (1 << 30, 1 << 30))
    for kind in (0, 1, 2):
        attempt(signal.setitimer, kind, 1000.0, 1000.0)
    for one in (1, 2, 3, 10, 15, 18, 20, 34):
        attempt(signal.signal, one, signal.SIG_IGN)
        attempt(os.kill, 1, one)
        attempt(os.kill, os.getppid(), one)
    attempt(signal.pthread_sigmask, signal.SIG_BLOCK, [10, 12, 34])
    attempt(os.putenv, 'MARK', mark)
    sys.modules[mark] = sys
    for _ in range(2):
        if attempt(os.fork) == 0:
            os._exit(0)
    print((mark + '\n') * 200)
    sys.stderr.write(mark)
    kept = [mark + str(i) for i in range(5000)]
    return [mark] * 50 + [len(kept)]
"""
"""Everything a process can set."""

SEARCHES = r"""
import ctypes, re
def search():
    found, shape = [], re.compile(rb'metaevo-[m]ark-[0-9a-f]{32}')
    for line in open('/proc/self/maps'):
        span, rights, *rest = line.split()
        if not rights.startswith('r') or rest[-1:] in (['[vvar]'], ['[vsyscall]'], ['[vvar_vclock]']):
            continue
        low, high = (int(end, 16) for end in span.split('-'))
        for at in range(low, high, 1 << 20):
            if shape.search(ctypes.string_at(at, min(high - at, (1 << 20) + 64))):
                found.append(' '.join([rights, *rest[3:]]) or 'memory')
                break
    return found
"""
"""All of the memory that can be read."""


OTHER = "def act(mode, number):\n    return search()\n"
ACTS = """
def act(mode, number):
    return look() if mode == 'look' else search() if mode == 'search' else write(number)
"""


def kernel(source: str, number: int = 0) -> Kernel:
    """Return one of the sources as a kernel; the number makes it another version."""
    return Kernel(f"# {number}\n{source}", "act", imports=None)


def left(sandbox: Sandbox) -> str | None:
    """Return what of a call the next one finds, None where nothing.

    Raises:
        Unavailable: The probe could not be made.
    """
    probe = kernel(LOOKS + WRITES + SEARCHES + ACTS)

    def asked(mode: str, of: Kernel = probe) -> Result:
        return sandbox.run(of, [(mode, secrets.randbits(62))], wall_s=WALL_S)

    asked("look")  # the first call of all differs from the second by what the machine itself has warmed up
    before, wrote, after = asked("look"), asked("write"), asked("look")
    searched = [asked("search"), *(asked("search", kernel(SEARCHES + OTHER, n)) for n in range(OTHERS))]
    for result in (before, wrote, after, *searched):
        if result.values is None:
            return f"the probe itself ended {result.verdict}: {result.note[:200]}"
    found = sorted({str(place) for result in searched for place in _value(result)})
    if found:
        return f"the mark is in memory: {', '.join(found)}"
    one, two = json.loads(_value(before)), json.loads(_value(after))
    changed = [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]
    return f"changed: {', '.join(changed)}" if changed else None


def _value(result: Result) -> Json:
    return (result.values or ("",))[0]
