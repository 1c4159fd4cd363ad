"""A berth-net that dies of what the test says, or is late with it: a program that stands between berthd and the real one and hands on records, as
they are, but for one."""

import os
import stat

from host import BIN

PROGRAM = r'''#!/usr/bin/python3
import os, select, signal, socket, sys, time

REAL, DEADLY, DEATHS, LATE, WAITS = %(real)r, %(deadly)r, %(deaths)r, %(late)r, %(waits)r
if len(sys.argv) > 1:
    os.execv(REAL, sys.argv)
berthd = socket.socket(fileno=3)
mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
child = os.fork()
if child == 0:
    os.dup2(theirs.fileno(), 3)
    os.closerange(4, 64)
    os.execv(REAL, ["berth-net"])
theirs.close()


def is_named(record, path):
    """An Attach (NetMessage.attach, behind the id) in which one of these bytes stands."""
    at = 1
    while record[:1] == b"\x08" and record[at] & 0x80:
        at += 1
    if record[:1] != b"\x08" or record[at + 1:at + 2] != b"\x6a" or not os.path.exists(path):
        return False
    with open(path, "rb") as f:
        return any(word in record for word in f.read().split())


while True:
    for s in select.select([berthd, mine], [], [])[0]:
        record, fds, _, _ = socket.recv_fds(s, 70000, 4)
        while s is berthd and is_named(record, LATE):
            open(WAITS, "w").close()
            time.sleep(0.01)
        if s is berthd and is_named(record, DEADLY):
            with open(DEATHS, "a") as f:
                f.write("x")
            record = b""
        if not record:
            os.kill(child, signal.SIGKILL)
            sys.exit(1)
        socket.send_fds(mine if s is berthd else berthd, [record], fds)
        for fd in fds:
            os.close(fd)
'''


class Between:
    """Who attaches what has one of deadly's words in it kills berth-net, each time; one of late's, waits until there is none."""

    def __init__(self, host, folder):
        self.host, self.deadly, self.deaths_path = host, str(folder / "deadly"), str(folder / "deaths")
        self.late, self.waits_path = str(folder / "late"), str(folder / "waits")
        self.settings = host.options[host.options.index("--config") + 1]
        program = str(folder / "berth-net")
        with open(program, "w") as f:
            f.write(PROGRAM % {"real": os.path.join(BIN, "berth-net"), "deadly": self.deadly, "deaths": self.deaths_path,
                               "late": self.late, "waits": self.waits_path})
        os.chmod(program, os.stat(program).st_mode | stat.S_IXUSR)
        with open(self.settings) as f:
            self.before = f.read()
        self.restart(self.before + "net_path = %s\n" % program)

    def restart(self, settings):
        with open(self.settings, "w") as f:
            f.write(settings)
        self.host.restart()

    def end(self):
        self.restart(self.before)

    def kill_at(self, *words):
        with open(self.deadly, "w") as f:
            f.write(" ".join(words))

    def hold_at(self, *words):
        with open(self.late, "w") as f:
            f.write(" ".join(words))

    def holds(self):
        return os.path.exists(self.waits_path)

    def go_on(self):
        os.unlink(self.late)

    def deaths(self):
        return os.path.getsize(self.deaths_path) if os.path.exists(self.deaths_path) else 0
