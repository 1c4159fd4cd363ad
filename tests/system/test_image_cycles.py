"""Pull, run, rm, rmi, again and again: nothing grows. Every tenth pull fails half way.

20 cycles in check; `make soak-images` does BERTH_CYCLES of them (1,000) and writes a record."""

import os
import time

import pytest

import record
from host import eventually
from test_pull import bad, bad_server, host, image, last_layer, place, pulls, working  # noqa: F401 (fixtures)

pytestmark = pytest.mark.native


def backing_file(device):
    try:
        with open("/sys/block/%s/loop/backing_file" % device) as f:
            return f.read()
    except FileNotFoundError:
        return ""


class Size:
    """What berthd and the host hold."""

    def __init__(self, host):
        with open("/proc/%d/status" % host.daemon.pid) as f:
            status = dict(line.split(":", 1) for line in f)
        with open("/proc/meminfo") as f:
            memory = dict(line.split(":", 1) for line in f)
        kib = [int(status["VmRSS"].split()[0]), int(memory["Slab"].split()[0]), int(memory["SUnreclaim"].split()[0])]
        self.rss_kib, self.slab_kib, self.unreclaimable_kib = kib
        waiting = host.spares()      # as many as there happen to be: they are no growth
        self.fds = len(host.fds()) - 3 * len(waiting)
        spares = tuple("%s/%s" % (place, uuid) for uuid in waiting for place in (host.state + "/containers", host.cgroup_dir + "/shared"))
        found = (os.path.join(root, f) for root, dirs, files in os.walk(host.state) for f in dirs + files)
        self.files = sorted(f for f in found if not f.startswith(spares))
        self.bytes = sum(os.lstat(f).st_blocks * 512 for f in self.files if "/berth.db" not in f)
        self.db_bytes = sum(os.lstat(f).st_blocks * 512 for f in self.files if "/berth.db" in f)
        self.loops = sum(host.state in backing_file(d) for d in os.listdir("/sys/block") if d.startswith("loop"))
        self.groups = sum(not os.path.join(root, d).startswith(spares) for root, dirs, _ in os.walk(host.cgroup_dir) for d in dirs)

    def row(self, n):
        return "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d |" % (
            n, self.rss_kib, self.fds, len(self.files), self.bytes >> 10, self.db_bytes >> 10, self.loops, self.groups, self.slab_kib, self.unreclaimable_kib)


HEAD = ["| cycles | RSS KiB | descriptors | files in state | KiB in state | KiB store | its loops | groups | slab KiB (host) | unreclaimable |", "|" + " --- |" * 10]


def settled(host):
    """When everything that was begun has ended, the last sweep (of what was too new for the one before) and spare shims too."""
    time.sleep(2.5)
    eventually(lambda: not working(), working)
    host.assert_clean()
    eventually(lambda: not working() and len(host.spares()) == host.ask("info").get("spare_shims", 0), "the spares are made")
    return Size(host)


class Cycles:
    def __init__(self, host, bad):
        self.host, self.bad = host, bad
        self.names = [bad.add(image(1 << 16), "cycles/%d" % i) for i in range(3)]
        gone, forged = image(300000), image(300000)
        bad.on("blobs/" + last_layer(gone), lambda h: h.error(404, "BLOB_UNKNOWN", "gone"))
        bad.on("blobs/" + last_layer(forged), lambda h: h.answer(200, forged.blobs[last_layer(forged)][:-1] + b"?"))
        self.broken = [bad.add(gone, "cycles/gone"), bad.add(forged, "cycles/forged")]
        for i in range(2):      # what they leave for the next try is there from now on
            self.one(10 * i + 9)

    def one(self, n):
        host, name = self.host, self.names[n % len(self.names)]
        if n % 10 == 9:
            host.refused("run", "--rm", self.broken[n // 10 % 2], "true", text="has not got|damaged", code=125)
        host.berth("pull", "-q", name)
        host.berth("run", "-d", "--name", "cycle", name, "true")
        host.berth("wait", "cycle")
        host.berth("rm", "-v", "cycle")
        host.berth("image", "rm", name)
        self.bad.asked.clear()


def grown(before, after):
    """What is more than before, and should not be. Events and answers are kept in memory by design, until there are some thousands: less than 2 MiB. A
    descriptor or two come and go (a client that is just leaving)."""
    more = []
    new = [f for f in after.files if f not in set(before.files) and "/berth.db" not in f and "/mountpoints/" not in f]
    old = [f for f in before.files if f not in set(after.files)]
    if len(new) > len(old):
        more.append("files: %s" % new[:10])
    for what, least in (("fds", 2), ("loops", 0), ("groups", 0), ("rss_kib", 2048), ("bytes", 65536)):
        if getattr(after, what) > getattr(before, what) + least:
            more.append("%s: %d, were %d" % (what, getattr(after, what), getattr(before, what)))
    return more


def test_nothing_grows_in_twenty_cycles(host, bad):
    cycles = Cycles(host, bad)
    before = settled(host)
    for n in range(20):
        cycles.one(n)
    assert not grown(before, settled(host))


test_nothing_grows_in_twenty_cycles.limit_s = 120     # so it is among the first (turns.py): the others should not wait for it


def test_soak_images(host, bad):
    count, every = int(os.environ.get("BERTH_CYCLES", "1000")), 100
    cycles = Cycles(host, bad)
    began = time.monotonic()
    sizes = [settled(host)]
    lines = record.head(
        "Pull, run, rm, rmi: %d cycles" % count,
        "each: `berth pull`, `run -d`, `wait`, `rm -v`, `image rm` of one of three images of two layers; every tenth one before that a `run` whose pull fails\n"
        "half way (a layer that is gone, or has another digest)")
    lines += ["", *HEAD, sizes[0].row(0)]
    for n in range(count):
        cycles.one(n)
        if n % every == every - 1:
            sizes.append(settled(host))
            lines.append(sizes[-1].row(n + 1))
            print(lines[-1], flush=True)
    lines += ["", "%d cycles in %.0f s. Slab is the whole host's, where others work too." % (count, time.monotonic() - began)]
    record.write(lines)
    assert not grown(sizes[len(sizes) // 2], sizes[-1])


test_soak_images.limit_s = 7200
