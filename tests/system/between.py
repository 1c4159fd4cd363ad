"""A berth-net that dies of what the test says, is late with it, or fails in it: a program that stands between berthd and the real one and hands on
records, as they are, but for one; one at a time, so that it dies of that one. Or it takes all that come, and keeps what is answered."""

import os
import stat

from host import BIN

PROGRAM = r'''#!/usr/bin/python3
import os, select, signal, socket, sys, time

REAL, DEADLY, DEATHS, LATE, WAITS = %(real)r, %(deadly)r, %(deaths)r, %(late)r, %(waits)r
KEEPS, FAILS, SEEN = %(keeps)r, %(fails)r, %(seen)r
KINDS = {0x52: "state", 0x6a: "attach", 0x72: "detach", 0xaa: "SlotPut"}
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


def body(record):
    """Where it begins, behind the id (varint); 0: it has none."""
    at = 1
    while record[:1] == b"\x08" and record[at] & 0x80:
        at += 1
    return at + 1 if record[:1] == b"\x08" else 0


def is_named(record, path):
    """An Attach in which one of these bytes stands, or a SlotPut where one of them is its name."""
    kind = KINDS.get(record[body(record)]) if body(record) else None
    if kind not in ("attach", "SlotPut") or not os.path.exists(path):
        return False
    with open(path, "rb") as f:
        return any(word == kind.encode() if kind == "SlotPut" else word in record for word in f.read().split())


def hand(to, record, fds=()):
    socket.send_fds(to, [record], fds)
    for fd in fds:
        os.close(fd)


open_calls, kept = 0, []
while True:
    keeps = os.path.exists(KEEPS)
    while kept and not keeps:
        hand(berthd, *kept.pop(0))
        open_calls -= 1
    for s in select.select([mine] + [berthd] * (keeps or not open_calls), [], [], 0.02 if keeps else None)[0]:
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
        if s is berthd:
            open_calls += 1
            kind = KINDS.get(record[body(record)], "other")
            with open(SEEN, "a") as f:
                f.write(kind + "\n" if kind != "SlotPut" else "")    # that may come at any time
        if s is berthd and is_named(record, FAILS):
            os.unlink(FAILS)
            kept.append((record[:body(record)] + b"\xf2\x01\x0c\x08\x02\x12\x08nftables",))
        elif s is mine and body(record) and keeps:
            kept.append((record, fds))
        else:
            open_calls -= s is mine and body(record) > 0
            hand(mine if s is berthd else berthd, record, fds)
'''


class Between:
    """Who attaches what has one of deadly's words in it kills berth-net, each time; one of late's, waits until there is none; one of fails', hears
    once that there is no table. The word SlotPut is for each slot that is made."""

    def __init__(self, host, folder):
        self.host, self.deadly, self.deaths_path = host, str(folder / "deadly"), str(folder / "deaths")
        self.late, self.waits_path = str(folder / "late"), str(folder / "waits")
        self.keeps, self.fails, self.seen_path = str(folder / "keeps"), str(folder / "fails"), str(folder / "seen")
        self.settings = host.options[host.options.index("--config") + 1]
        program = str(folder / "berth-net")
        with open(program, "w") as f:
            f.write(PROGRAM % {"real": os.path.join(BIN, "berth-net"), "deadly": self.deadly, "deaths": self.deaths_path,
                               "late": self.late, "waits": self.waits_path, "keeps": self.keeps, "fails": self.fails, "seen": self.seen_path})
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

    def fail_at(self, *words):
        with open(self.fails, "w") as f:
            f.write(" ".join(words))

    def keep(self):
        """From now on all is asked and nothing answered."""
        open(self.keeps, "w").close()
        open(self.seen_path, "w").close()

    def answer(self):
        os.unlink(self.keeps)

    def seen(self):
        """The calls since then, in order: "state", "attach", "detach", "other"."""
        with open(self.seen_path) as f:
            return f.read().split()
