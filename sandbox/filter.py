"""The filter of system calls that the harness puts on every kernel's process, the same on every tier.

Two classic BPF programs, made here as bytes and sent to the harness. It puts the large one on itself at its start, so
that a child has it for nothing, and the small one, which takes what only the harness needs, on each forked child before
a line of the candidate runs. They need no runtime: `seccomp.json` is the daemon's own layer around them where there is
one, gVisor without a profile has this one alone. What a kernel needs is allowed, a few calls by an argument; all else
is refused, further processes and threads among it: one process has one memory limit, uses one CPU, and draws no
number that the next could read. So there is no lock, no signal, no time of a file, no shared memory and no setting of
a pipe in which a call could leave something for the next one. Numbers: name:x86_64:aarch64.
"""

import struct
from collections.abc import Callable

ALLOWED = """
read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 pwrite64:18:68 preadv:295:69 pwritev:296:70
close:3:57 close_range:436:436 fstat:5:80 stat:4: lstat:6: newfstatat:262:79 statx:332:291 lseek:8:62 mmap:9:222
mprotect:10:226 munmap:11:215 brk:12:214 mremap:25:216 madvise:28:233 rt_sigaction:13:134 rt_sigprocmask:14:135
rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigtimedwait:128:137 rt_sigsuspend:130:133 sigaltstack:131:132
access:21: faccessat:269:48 faccessat2:439:439 pipe:22: pipe2:293:59 select:23: pselect6:270:72 poll:7:
ppoll:271:73 sched_yield:24:124 dup:32:23 dup2:33: dup3:292:24 pause:34: nanosleep:35:101
clock_nanosleep:230:115 clock_gettime:228:113 clock_getres:229:114 gettimeofday:96:169 time:201: times:100:153
getitimer:36:102 setitimer:38:103 alarm:37: getpid:39:172 getppid:110:173 gettid:186:178 getuid:102:174
geteuid:107:175 getgid:104:176 getegid:108:177 getresuid:118:148 getresgid:120:150 getgroups:115:158
getpgrp:111: getpgid:121:155 getsid:124:156 exit:60:93 exit_group:231:94 futex:202:98 set_robust_list:273:99
rseq:334:293 set_tid_address:218:96 getrandom:318:278 getcwd:79:17 chdir:80:49 open:2: openat:257:56
getdents:78: getdents64:217:61 readlink:89: readlinkat:267:78 umask:95:166 uname:63:160 getrlimit:97:163
setrlimit:160:164 getrusage:98:165 wait4:61:260 waitid:247:95 arch_prctl:158: epoll_create:213:
epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232: epoll_pwait:281:22 eventfd:284: eventfd2:290:19
restart_syscall:219:128 membarrier:324:283 getpriority:140:141 capget:125:90
"""
"""What Python needs to compute: it reads what it sees and asks for memory, time and its own limits."""

HARNESS = "kill:62:129 fork:57: vfork:58:"
"""What process 1 alone may do: make a child, by `clone` too, and end what is left of a call."""
HARNESS_PRCTL = (22, 38)  # SET_SECCOMP, SET_NO_NEW_PRIVS
JUDGED = """
fcntl:72:25 ioctl:16:29 prctl:157:167 prlimit64:302:261 clone:56:220 clone3:435:435
"""
"""Looked at by an argument, below."""

KILLED = """
acct:163:89 add_key:248:217 adjtimex:159:171 bpf:321:280 chroot:161:51 clock_adjtime:305:266
clock_settime:227:112 delete_module:176:106 fanotify_init:300:262 finit_module:313:273 fsconfig:431:431
fsmount:432:432 fsopen:430:430 fspick:433:433 init_module:175:105 io_uring_enter:426:426
io_uring_register:427:427 io_uring_setup:425:425 ioperm:173: iopl:172: kcmp:312:272 kexec_file_load:320:294
kexec_load:246:104 keyctl:250:219 lookup_dcookie:212:18 modify_ldt:154: mount:165:40 mount_setattr:442:442
move_mount:429:429 name_to_handle_at:303:264 nfsservctl:180:42 open_by_handle_at:304:265 open_tree:428:428
perf_event_open:298:241 pidfd_getfd:438:438 pivot_root:155:41 process_madvise:440:440 process_mrelease:448:448
process_vm_readv:310:270 process_vm_writev:311:271 ptrace:101:117 quotactl:179:60 quotactl_fd:443:443
reboot:169:142 request_key:249:218 setdomainname:171:162 sethostname:170:161 setns:308:268 settimeofday:164:170
swapoff:168:225 swapon:167:224 syslog:103:116 umount2:166:39 unshare:272:97 userfaultfd:323:282 vhangup:153:58
"""
"""No computation asks for these: the process ends, the verdict is policy_violation. Everything else is refused."""

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LAST = 470
"""The highest number that the proof tries (`self_check.py`)."""
TRAMPOLINES = (335, 336)  # of x86_64: the kernel asks no filter, and ends whoever is not its own probe
BY_ARGUMENT = {
    "fcntl": (1, (0, 1, 2, 3, 4, 1030)),  # DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC: no lock, lease or signal
    "ioctl": (1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIO(N)CLEX
    "prctl": (
        0,
        (3, 15, 16, 21, 23, 39),
    ),  # GET_DUMPABLE, SET_NAME, GET_NAME, GET_SECCOMP, CAPBSET_READ, GET_NO_NEW_PRIVS
    "prlimit64": (0, (0,)),  # one's own
}
"""The place of the argument, and the values that pass."""
NAMESPACES, EPERM, ENOSYS = 0x7E020000, 1, 38
LOAD, EQUAL, AT_LEAST, ABOVE, MASKED, JUMP, RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x05, 0x06
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16


def _numbers(table: str, machine: str) -> dict[str, int]:
    """Return the numbers of a table's calls that this machine has."""
    place = 1 + list(ARCHITECTURES).index(machine)
    words = [word.split(":") for word in table.split()]
    return {word[0]: int(word[place]) for word in words if word[place]}


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _returns(numbers: list[int], action: int) -> bytes:
    """Return steps that end with an action where the number, already loaded, is one of these."""
    said, left = b"", sorted(numbers)
    while left:
        low = high = left.pop(0)
        while left and left[0] == high + 1:
            high = left.pop(0)
        if low == high:
            said += _step(EQUAL, low, 0, 1) + _step(RETURN, action)
        else:
            said += _step(AT_LEAST, low, 0, 2) + _step(ABOVE, high, 1, 0) + _step(RETURN, action)
    return said


def _judged(number: int, place: int, values: tuple[int, ...]) -> bytes:
    """Return steps that allow a call where one of its arguments is one of these, and refuse it else."""
    inner = _step(LOAD, ARGUMENTS + 8 * place)
    inner += b"".join(_step(EQUAL, value, 0, 1) + _step(RETURN, ALLOW) for value in values)
    inner += _step(RETURN, ERRNO | EPERM)
    return _step(EQUAL, number, 0, len(inner) // 8) + inner


def _outer(machine: str) -> bytes:
    judged = _numbers(JUDGED, machine)
    allowed = _numbers(ALLOWED, machine) | _numbers(HARNESS, machine)
    said = _step(LOAD, NUMBER) + _returns(list(allowed.values()), ALLOW)
    said += _returns(list(_numbers(KILLED, machine).values()), KILL)
    said += _returns([judged["clone3"]], ERRNO | ENOSYS)  # its flags cannot be seen: the C library falls back to clone
    for name, (place, values) in BY_ARGUMENT.items():
        said += _judged(judged[name], place, values + (HARNESS_PRCTL if name == "prctl" else ()))
    flags = _step(LOAD, ARGUMENTS) + _step(MASKED, NAMESPACES, 1, 0) + _step(RETURN, ALLOW)
    said += _step(EQUAL, judged["clone"], 0, len(flags) // 8) + flags
    return said + _step(RETURN, ERRNO | EPERM)


def _inner(machine: str) -> bytes:
    judged = _numbers(JUDGED, machine)
    said = _step(LOAD, NUMBER) + _returns([*_numbers(HARNESS, machine).values(), judged["clone"]], ERRNO | EPERM)
    return said + _judged(judged["prctl"], *BY_ARGUMENT["prctl"]) + _step(RETURN, ALLOW)


def _for_each(one: Callable[[str], bytes]) -> bytes:
    said = _step(LOAD, ARCHITECTURE)
    for machine, mark in ARCHITECTURES.items():
        program = one(machine)
        said += _step(EQUAL, mark, 1, 0) + _step(JUMP, len(program) // 8) + program
    return said + _step(RETURN, KILL)


def programs() -> tuple[bytes, bytes]:
    """Return the filter for the harness, and what a child gets beside it."""
    return _for_each(_outer), _for_each(_inner)


def refused() -> dict[str, list[int]]:
    """Return for each machine the numbers that a kernel may not call, whatever the arguments, and lives on."""
    said = {}
    for machine in ARCHITECTURES:
        judged = {name: n for name, n in _numbers(JUDGED, machine).items() if name in BY_ARGUMENT}
        other = {
            *_numbers(ALLOWED, machine).values(),
            *judged.values(),
            *_numbers(KILLED, machine).values(),
            *TRAMPOLINES,
        }
        said[machine] = [number for number in range(LAST + 1) if number not in other]
    return said


def ended() -> list[dict[str, int]]:
    """Return the calls that end a kernel's process: for each the number on each machine."""
    return [
        {m: int(n) for m, n in zip(ARCHITECTURES, word.split(":")[1:], strict=True) if n} for word in KILLED.split()
    ]
