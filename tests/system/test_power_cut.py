"""Power cuts in the middle of pulls. Everything that berthd's disk was told, in order, is kept (cutdisk.py); what a cut at a moment leaves is
made from that, and given to a new berthd: its images are whole, what was said to be there is there, and what was half is finished.

A few cuts in check; `make soak-power` makes BERTH_CUTS of them (60) and writes a record."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

import cutdisk
import record
import registry as reg
from host import BIN, DIR, Host
from oci import Image, busybox_entries, layer

pytestmark = pytest.mark.native

PORT, SIZE = 5006, 320 << 20


def sh(*argv):
    r = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r
    return r.stdout


class Content:
    """An image of three layers, the lowest shared by all: many small files, and a large one."""

    def __init__(self, base, n, chance):
        files = {"files/%04d" % i: chance.randbytes(chance.randint(0, 12000)) for i in range(150)}
        large = chance.randbytes(2 << 20)
        self.sum = hashlib.sha256(b"".join(files[k] for k in sorted(files)) + large).hexdigest()
        self.image = Image("x", [base, layer({"files": None, **files}), layer({"large": large})], {"Cmd": ["sh"], "Env": ["PATH=/bin"]})
        self.tag = "cut/%d" % n
        self.there, self.gone = [], []      # places in the log: a pull was answered; a removal was asked for, and answered


class Rig:
    """A registry, its images, and a run of berthd on a disk that remembers."""

    def __init__(self, folder, seed, images):
        self.folder, self.chance = folder, random.Random(seed)
        base = layer(busybox_entries("/bin/busybox", os.path.join(BIN, "guest")))
        self.registry = reg.Registry(PORT)
        self.contents = [Content(base, n, self.chance) for n in range(images)]
        for c in self.contents:
            c.ref = self.registry.add(c.image, c.tag)
        self.image, self.base, self.log = (os.path.join(folder, n) for n in ("image", "base", "log"))
        with open(self.image, "wb") as f:
            f.truncate(SIZE)
        sh("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", self.image)
        sh("cp", "--sparse=always", self.image, self.base)

    def place(self):
        return os.path.getsize(self.log)

    @contextlib.contextmanager
    def berthd(self, disk, leave=False):
        """A berthd whose state lies on this disk (a file), mounted for as long."""
        state = os.path.join(self.folder, "mnt")
        os.makedirs(state, exist_ok=True)
        sh("mount", "-o", "loop,nodiscard", disk, state)
        h = Host(options=["--config", self.folder + "/berthd.conf"], state=state)
        try:
            h.start()
            yield h
        except BaseException:
            print(h.log()[-3000:])
            raise
        finally:
            h.destroy()
            for _ in range(200):
                if subprocess.run(["umount", state], capture_output=True).returncode == 0:
                    break
                time.sleep(0.05)
            else:
                sh("umount", "-l", state)

    def record(self):
        """Pulls, runs and removals, in two rounds; some pulls are broken off in the middle."""
        front = os.path.join(self.folder, "front")
        os.makedirs(front)
        server = subprocess.Popen([sys.executable, cutdisk.__file__, front, self.image, self.log])
        while not os.path.exists(front + "/disk"):
            assert server.poll() is None
            time.sleep(0.05)
        try:
            with self.berthd(front + "/disk") as h:
                self.begun = self.place()
                for round_ in range(2):
                    for n, c in enumerate(self.contents):
                        if n % 3 == 2:
                            p = h.popen("pull", "-q", c.ref)
                            time.sleep(self.chance.uniform(0.02, 0.25))
                            p.send_signal(signal.SIGINT)
                            p.communicate()
                        h.berth("pull", "-q", c.ref)
                        c.there.append(self.place())
                        assert self.sum_in(h, c) == c.sum
                        if round_ == 0 and n % 2 == 0:
                            asked = self.place()
                            h.berth("image", "rm", c.ref)
                            c.gone.append((asked, self.place()))
                self.ended = self.place()
        finally:
            subprocess.run(["umount", front], capture_output=True)
            server.wait(20)

    def sum_in(self, h, c):
        out = h.berth("run", "--rm", "--pull", "never", c.ref, "sh", "-c", "cat /files/* /large | busybox sha256sum").text
        return out.split()[0]

    # -------------------------------------------------------------- one cut

    def cut(self, n, at, reorder):
        """What it left, in words; fails if that is not sound."""
        disk = os.path.join(self.folder, "cut")
        writes, flushes, young, lost = cutdisk.state_at(self.base, self.log, at, disk, self.chance if reorder else None)
        with self.berthd(disk) as h:
            left = self.images(h)
            for c in self.contents:
                self.promised(c, at, c.ref in left)
            self.verify(h)
            for c in self.contents:
                if c.ref in left:
                    assert self.sum_in(h, c) == c.sum, "%s after a cut at %d" % (c.ref, at)
            halves = len(os.listdir(h.state + "/images/partial")) if os.path.isdir(h.state + "/images/partial") else 0
            missing = [c for c in self.contents if c.ref not in left]
            for c in missing[:2]:       # what was half is finished, and what was not begun is done
                h.berth("pull", "-q", c.ref)
                assert self.sum_in(h, c) == c.sum
            self.verify(h)
        os.unlink(disk)
        return "| %d | %d | %d | %d | %d | %s | %d | %d |" % (n, at, writes, flushes, young, lost if reorder else "–", len(left), halves)

    def images(self, h):
        return {name for image in h.ask("image_list").get("images", []) for name in image.get("names", [])}

    def promised(self, c, at, there):
        """What was answered before the cut holds; what was under way may have gone either way."""
        events = sorted([(p, True) for p in c.there] + [(done, False) for _, done in c.gone])
        before = [e for e in events if e[0] <= at]
        open_removal = any(asked <= at < done for asked, done in c.gone)
        if before and before[-1][1] and not open_removal:
            assert there, "%s was pulled at %d and is not there after a cut at %d" % (c.ref, before[-1][0], at)

    def verify(self, h):
        """By berth's own word, which unpacks each layer again; and without it: every blob is what it is called, and what an image needs is there."""
        h.berth("image", "verify", "-q", timeout=120)
        folder = h.state + "/images/blobs/sha256"
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            with open(folder + "/" + name, "rb") as f:
                assert hashlib.sha256(f.read()).hexdigest() == name
        for image in h.ask("image_list").get("images", []):
            for chain in image["layers"]:
                assert os.path.isdir(h.state + "/images/layers/" + chain[7:]), (image["names"], chain)

    def stop(self):
        self.registry.stop()


@pytest.fixture
def rig():
    reg.loopback_up()
    seed = int(os.environ.get("BERTH_SEED") or time.time())
    print("seed %d" % seed)
    folder = os.path.join(DIR, "power")
    os.makedirs(folder)
    with open(folder + "/berthd.conf", "w") as f:
        f.write('plain_http = "localhost:%d"\nspare_shims = 0\n' % PORT)
    r = Rig(folder, seed, int(os.environ.get("BERTH_CUT_IMAGES") or 3))
    r.seed = seed
    yield r
    r.stop()
    shutil.rmtree(folder, ignore_errors=True)


def places(rig, n):
    return sorted(rig.chance.randint(rig.begun, rig.ended) for _ in range(n))


def test_a_power_cut_in_mid_pull_leaves_no_half_image(rig):
    rig.record()
    for n, at in enumerate(places(rig, 4)):
        print(rig.cut(n, at, n % 2))


test_a_power_cut_in_mid_pull_leaves_no_half_image.limit_s = 180


def test_soak_power_cuts(rig):
    cuts = int(os.environ.get("BERTH_CUTS", "60"))
    begun = time.monotonic()
    rig.record()
    lines = record.head(
        "Power cuts in mid-pull: %d" % cuts, "seed: %d" % rig.seed,
        "the disk: ext4 on a loop device, whose every write and flush was kept in order (tests/system/cutdisk.py): %.0f MB of them, while %d images of\n"
        "three layers were pulled, run, removed and pulled again, one pull in three broken off in between" % ((rig.ended - rig.begun) / 1e6, len(rig.contents)),
        "each cut: at a random byte of what was written. In every second one, of the blocks written since the last flush each is lost by chance: as a\n"
        "disk with a volatile cache may do it. Then ext4 is mounted, a new berthd started on it, and looked at:\n"
        "`berth image verify` calls the store sound, every blob has its digest, every image in the list has all of its layers and the content that was pushed, what had been answered as pulled is\n"
        "there; pulls of what is missing go on and end well; then all of that once more.")
    lines += ["", "| cut | at byte | writes before | flushes | blocks since the last | lost of them | images there | half blobs |", "|" + " --- |" * 8]
    for n, at in enumerate(places(rig, cuts)):
        lines.append(rig.cut(n, at, n % 2))
        print(lines[-1], flush=True)
    lines += ["", "All sound. It took %.0f s." % (time.monotonic() - begun)]
    record.write(lines)


test_soak_power_cuts.limit_s = 7200
