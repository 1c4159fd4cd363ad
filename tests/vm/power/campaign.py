"""Power cuts in mid-pull, of a whole virtual machine: `make soak-power-vm CUTS=60 SEED=n`.

The machine (init: berthd and nothing else) pulls from a registry here, and removes, while its disk (disk.py) waits for a byte that was
drawn by lot: then its power is gone, QEMU is killed, and so is whatever the guest had in memory. Of what the disk was given since the
last flush that it answered, in every second cut each block is lost by chance, as in a disk with a volatile cache; in the others all is
kept. The machine is booted again from what is left, on and on from one cut to the next, and judged: see `Campaign.judge`."""

import glob
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path[:0] = [HERE, os.path.join(TOP, "tests", "system")]

import cutdisk  # noqa: E402
import disk  # noqa: E402
import record  # noqa: E402
import registry as reg  # noqa: E402
from oci import Image, busybox_entries, layer  # noqa: E402

BIN = os.path.abspath(os.environ.get("BERTH_BIN") or os.path.join(TOP, "build"))
CACHE = os.path.join(TOP, "tests", "vm", "cache")
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "overlay")
SIZE = 320 << 20
SLOW = float(os.environ.get("BERTH_SLOW", "1"))


def sh(*argv, **kw):
    r = subprocess.run(argv, capture_output=True, text=True, timeout=600, **kw)
    assert r.returncode == 0, r
    return r.stdout


# ---------------------------------------------------------------- what the machine is made of

def make_root(folder, port):
    """Debian with berth, read-only; and an initrd that finds it."""
    root, initrd = folder + "/root", folder + "/initrd"
    os.makedirs(root)
    sh("tar", "-C", root, "-xf", CACHE + "/base.tar", "--numeric-owner", "--exclude=./dev/*")
    sh("make", "-s", "-C", TOP, "--no-print-directory", "B=" + BIN, "DESTDIR=" + root, "install")
    for where, _, names in os.walk(root + "/usr"):
        for name in names:
            if name.startswith("berth") and os.access(where + "/" + name, os.X_OK):
                subprocess.run(["strip", where + "/" + name], capture_output=True)      # those that are programs
    os.makedirs(root + "/opt/power")
    os.makedirs(root + "/var/lib/berth", exist_ok=True)
    shutil.copy(HERE + "/init", root + "/opt/power/init")
    with open(root + "/opt/power/berthd.conf", "w") as f:
        f.write('plain_http = "10.0.2.2:%d"\nspare_shims = 0\n' % port)
    os.makedirs(initrd + "/modules")
    for name in ("bin", "dev", "root"):
        os.makedirs(initrd + "/" + name)
    shutil.copy(root + "/bin/busybox", initrd + "/bin/busybox")
    shutil.copy(HERE + "/initrd-init", initrd + "/init")
    (modules,) = glob.glob(root + "/usr/lib/modules/*/modules.dep")
    needs = {}
    with open(modules) as f:
        for line in f:
            path, deps = line.split(":")
            needs[os.path.basename(path)] = [path, *deps.split()]
    order = []
    for name in MODULES:
        order += [m for m in reversed(needs[name + ".ko"]) if m not in order]
    for m in order:
        shutil.copy(os.path.dirname(modules) + "/" + m, initrd + "/modules/")
    with open(initrd + "/modules/order", "w") as f:
        f.write("".join(os.path.basename(m) + "\n" for m in order))
    sh("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", root, folder + "/root.img", "1500M")
    sh("sh", "-c", "cd %s && find . | busybox cpio -o -H newc >%s/initrd.img" % (initrd, folder))
    shutil.rmtree(root)


class Content:
    """An image of three layers, the lowest shared by all: many small files, and a large one."""

    def __init__(self, base, n, chance):
        files = {"files/%04d" % i: chance.randbytes(chance.randint(0, 12000)) for i in range(60)}
        large = chance.randbytes(1 << 19)
        self.sum = hashlib.sha256(b"".join(files[k] for k in sorted(files)) + large).hexdigest()
        self.image = Image("x", [base, layer({"files": None, **files}), layer({"large": large})], {"Cmd": ["sh"], "Env": ["PATH=/bin"]})
        self.tag = "cut/%d" % n
        self.sure = False       # True: pulled, and that was said; False: not there; None: either


# ---------------------------------------------------------------- the machine

class PowerCut(Exception):
    pass


class Machine:
    def __init__(self, folder, n):
        self.folder = folder
        self.disk = disk.Disk(folder + "/disk.sock", folder + "/disk.img", folder + "/log")
        self.console = folder + "/console.%d" % n
        commands = socket.socket(socket.AF_UNIX)
        commands.bind(folder + "/commands")
        commands.listen(1)
        self.begun = time.monotonic()
        with open(self.console, "wb") as log:
            self.qemu = subprocess.Popen(
                ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "Nehalem", "-M", "q35", "-m", "512", "-smp", "1", "-display", "none",
                 "-no-reboot", "-nodefaults", "-kernel", CACHE + "/vmlinuz", "-initrd", folder + "/initrd.img",
                 "-append", "console=ttyS0 panic=-1 loglevel=5 tsc=reliable tsc_early_khz=%s clocksource=tsc no_timer_check mitigations=off cgroup_no_v1=all"
                 % sh(BIN + "/guest", "tsc-khz").strip(),
                 "-drive", "file=nbd:unix:%s/disk.sock,format=raw,if=virtio,cache=writeback" % folder,
                 "-drive", "file=%s/root.img,format=raw,if=virtio,readonly=on" % folder,
                 "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,romfile=", "-device", "virtio-rng-pci",
                 "-chardev", "file,id=console,path=" + self.console, "-serial", "chardev:console",
                 "-chardev", "socket,id=commands,path=%s/commands" % folder, "-serial", "chardev:commands"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        commands.settimeout(30 * SLOW)
        self.peer, _ = commands.accept()
        commands.close()
        self.buffer = b""
        try:
            self.uptime = float(self.line(120).split()[1])
        except BaseException:
            self.kill()
            raise

    def line(self, seconds):
        """The next line that the guest says. PowerCut: the disk has lost its power first."""
        end = time.monotonic() + seconds * SLOW
        self.peer.settimeout(0.02)
        while b"\n" not in self.buffer:
            if self.disk.cut.is_set():
                raise PowerCut
            try:
                more = self.peer.recv(65536)
            except TimeoutError:
                assert time.monotonic() < end, "the machine says nothing for %g s:\n%s" % (seconds * SLOW, self.tail())
                continue
            assert more, "the machine has ended:\n" + self.tail()
            self.buffer += more
        text, self.buffer = self.buffer.split(b"\n", 1)
        text = text.decode(errors="replace").strip("\r")
        assert not text.startswith("FATAL"), text + "\n" + self.tail()
        return text

    def do(self, command, seconds=120):
        """(exit status, what it printed)"""
        self.peer.settimeout(30)
        self.peer.sendall(command.encode() + b"\n")
        lines = []
        while True:
            text = self.line(seconds)
            if text.startswith("DONE "):
                return int(text[5:]), "\n".join(lines)
            lines.append(text)

    def done(self, command, seconds=120):
        status, text = self.do(command, seconds)
        assert status == 0, "%s: exit status %d\n%s\n%s" % (command, status, text, self.tail())
        return text

    def tail(self):
        with open(self.console, errors="replace") as f:
            return f.read()[-4000:]

    def kill(self):
        """As if its plug were pulled: nothing that it has in memory is written any more."""
        self.disk.cut.set()
        self.qemu.kill()
        self.qemu.wait()
        self.peer.close()
        self.disk.close()
        for name in ("disk.sock", "commands"):
            os.unlink(self.folder + "/" + name)


# ---------------------------------------------------------------- the campaign

class Campaign:
    def __init__(self, folder, seed, images):
        self.folder, self.chance, self.boots = folder, random.Random(seed), 0
        self.registry = reg.Registry(0)
        self.port = self.registry.server.server_address[1]
        self.registry.host = "10.0.2.2:%d" % self.port
        base = layer(busybox_entries("/bin/busybox", os.path.join(BIN, "guest")))
        self.contents = [Content(base, n, self.chance) for n in range(images)]
        for c in self.contents:
            c.ref = self.registry.add(c.image, c.tag)
        make_root(folder, self.port)
        with open(folder + "/disk.img", "wb") as f:
            f.truncate(SIZE)
        sh("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", folder + "/disk.img")

    def boot(self):
        sh("cp", "--sparse=always", self.folder + "/disk.img", self.folder + "/before.img")
        self.boots += 1
        self.m = Machine(self.folder, self.boots)

    def pull(self, *contents):
        """At once. What becomes of them is open until it is said."""
        for c in contents:
            c.sure = c.sure or None
        self.m.done("rm -f /tmp/failed; for i in %s; do (berth pull -q $i || echo status $? >>/tmp/failed) & done; wait; ! cat /tmp/failed 2>/dev/null"
                    % " ".join(c.ref for c in contents))
        for c in contents:
            c.sure = True

    def work(self):
        """Removals and pulls of all, some of them two at a time."""
        todo = self.contents[:]
        self.chance.shuffle(todo)
        while todo:
            now = [todo.pop() for _ in range(min(len(todo), self.chance.choice((1, 1, 2))))]
            self.pulling = []
            for c in now:
                if c.sure:
                    c.sure = None
                    self.m.done("berth image rm " + c.ref)
                    c.sure = False
            self.pulling = now
            self.pull(*now)

    def names(self):
        images = json.loads(self.m.done("berth image ls --format json") or "[]")
        return {name for image in images for name in image.get("names", [])}

    def judge(self):
        """What was said to be pulled is there, what was said to be removed is not, and all that is there is whole: by `berth image verify`,
        and by running it. The half blobs and images that are there, for the record."""
        console = self.m.tail()
        for word in ("EXT4-fs error", "corrupt", "Call Trace"):
            assert word not in console, console
        there = self.names()
        for c in self.contents:
            assert c.sure is None or c.sure == (c.ref in there), "%s: %s, but %s" % (
                c.ref, "its pull was answered" if c.sure else "its removal was answered", "there" if c.ref in there else "not there")
            c.sure = c.ref in there
        assert there <= {c.ref for c in self.contents}, there
        self.m.done("berth image verify -q", 300)
        for c in self.contents:
            if c.sure:
                out = self.m.done("berth run --rm --pull never %s sh -c 'cat /files/* /large | busybox sha256sum'" % c.ref)
                assert out.split()[0] == c.sum, (c.ref, out)
        halves = self.m.done("ls /var/lib/berth/images/partial 2>/dev/null | wc -l")
        return len(there), int(halves)

    def cut(self, n, reorder):
        """A run that ends in a cut, and what the next one finds."""
        bytes_ = self.chance.randint(1, self.typical)
        begun, self.pulling = self.m.disk.place, []
        self.m.disk.arm(bytes_)
        try:
            self.work()
            while True:         # less was written than usual: then in the next round
                self.work()
        except PowerCut:
            pass
        self.m.kill()
        place = os.path.getsize(self.folder + "/log")
        writes, flushes, young, lost = cutdisk.state_at(self.folder + "/before.img", self.folder + "/log", place, self.folder + "/disk.img",
                                                        self.chance if reorder else None)
        self.boot()
        there, halves = self.judge()
        return "| %d | %s | %d | %d | %d | %d | %s | %.1f | %d | %d |" % (
            n, " ".join(c.tag for c in self.pulling) or "–", place - begun, writes, flushes, young, lost if reorder else "–", self.m.uptime, there, halves)

    def finish(self):
        """All is pulled, and all is removed: nothing stays."""
        self.pull(*[c for c in self.contents if not c.sure])
        self.judge()
        for c in self.contents:
            self.m.done("berth image rm " + c.ref)
        self.m.done("i=0; until [ -z \"$(find /var/lib/berth/images/blobs/*/* /var/lib/berth/images/layers/* /var/lib/berth/images/partial/* -maxdepth 0 2>/dev/null)\" ]; do "
                    "i=$((i + 1)); [ $i -lt 300 ] || { find /var/lib/berth/images -maxdepth 3; exit 1; }; sleep 0.2; done", 200)
        self.m.kill()


def main():
    cuts, seed = int(os.environ.get("BERTH_CUTS") or 60), int(os.environ.get("BERTH_SEED") or time.time())
    images = 4
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="berth-power.", dir=os.environ.get("TMPDIR") or "/var/tmp")
    print("seed %d" % seed, flush=True)
    begun = time.monotonic()
    load = []
    c = Campaign(folder, seed, images)
    try:
        c.boot()
        place = c.m.disk.place
        c.work()                                # how much a round writes
        c.typical = c.m.disk.place - place
        rows = []
        for n in range(cuts):
            rows.append(c.cut(n, n % 2))
            load.append(os.getloadavg()[0])
            print(rows[-1], flush=True)
        c.finish()
    finally:
        if getattr(c, "m", None) and c.m.qemu.poll() is None:
            c.m.kill()
        c.registry.stop()
        if os.environ.get("BERTH_VM_KEEP"):
            print("left in " + folder)
        else:
            shutil.rmtree(folder)
    tell(cuts, seed, rows, c, load, time.monotonic() - begun)


def tell(cuts, seed, rows, c, load, took):
    qemu = sh("qemu-system-x86_64", "--version").splitlines()[0]
    lines = record.head(
        "Power cuts of a virtual machine in mid-pull: %d" % cuts,
        "%s (TCG), guest: Debian's cloud kernel, ext4 on virtio; seed %d" % (qemu, seed),
        "the work: %d images of three layers (the lowest shared) are removed and pulled from a registry on the host, one or two at a time" % len(c.contents),
        "the cut: at a byte of what the guest gives to its disk, drawn by lot from what a round of that work writes (%.1f MB); QEMU is killed (SIGKILL),\n"
        "with all that the guest has in memory. The disk has a volatile cache: what was flushed is kept; of what came after the last flush, in every second\n"
        "cut each block of 4 KiB is lost by chance, in the others all is kept. What is left is booted, and is where the next cut begins" % (c.typical / 1e6),
        "the judge, after each boot: ext4 mounts without an error; berthd starts; what was answered as pulled is there, what was answered as removed is not;\n"
        "`berth image verify` calls the store sound; each image that is listed runs, and all of its files have the content that was pushed. At the end all\n"
        "are pulled, checked once more and removed: no blob, layer or half download stays", load="%.1f to %.1f" % (min(load), max(load)))
    record.write([*lines, "",
        "| cut | in the pull of | bytes given to the disk since the last judgement | writes since boot | flushes | blocks since the last | lost of them | up again after s (guest) "
        "| images there | half blobs |", "|" + " --- |" * 10, *rows, "", "All sound. It took %.0f s." % took])


if __name__ == "__main__":
    main()
