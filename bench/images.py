"""The part `images` of bench/run: images pulled from a registry on this host, imported and committed, beside podman and skopeo with umoci.

Each time each tool gets a file system that was just made, in a file behind a loop device, and everything that it writes (store, state,
temporary files) is there and nowhere else: what making a hundred thousand files costs hangs on what a file system has been through, and
on one that all share everybody would be slower than who came before. The same once more in memory, where no disk has a part in it.

Processor time is what the kernel charges to the group that a tool runs in (for berth that of berthd, its jobs and the tool), memory
the highest sum of resident sets in it, looked at every 50 ms. None of the others waits for the disk: what is written is written
when the kernel likes. berth does, before it says that an image is there; so each is shown also with the `sync` that it then owes."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../tests/system")
import registry  # noqa: E402

PORT = 5055
DEBIAN_BYTES, DEBIAN_FILE_MAX, SMALL_FILES = 120 << 20, 4 << 20, 50000
DISK_MIB = 2048
KINDS = (("debian", "Debian-sized"), ("small", "many small files"))


def sh(*argv, **kw):
    r = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600, **kw)
    if r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(map(str, argv)), r.stderr.strip()[-500:]))
    return r.stdout.strip()


# ---------------------------------------------------------------- what is pulled

def tree_debian(folder, scale):
    """As much as Debian's own image, of this host's /usr: files as they come, in an order that has nothing to do with their names."""
    found = []
    for root, _, files in os.walk("/usr"):
        for f in files:
            path = os.path.join(root, f)
            if not os.path.islink(path) and os.path.getsize(path) <= DEBIAN_FILE_MAX:
                found.append(path)
    found.sort(key=lambda p: hashlib.sha1(p.encode(errors="surrogateescape")).digest())
    left = DEBIAN_BYTES
    for path in found:
        size = os.path.getsize(path)
        if size > left:
            continue
        left -= size
        os.makedirs(folder + os.path.dirname(path), exist_ok=True)
        shutil.copy2(path, folder + path)
        if left < 4096:
            break


def tree_small(folder, scale):
    random.seed(1)
    words = [bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9))) for _ in range(2000)]
    for i in range(int(SMALL_FILES * min(1, scale))):
        if i % 100 == 0:
            os.makedirs("%s/srv/%03d" % (folder, i // 100))
        with open("%s/srv/%03d/%05d.txt" % (folder, i // 100, i), "wb") as f:
            f.write(b" ".join(random.choices(words, k=random.randint(1, 300))))


def digest(path):
    with open(path, "rb") as f:
        return "sha256:" + hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else \
            "sha256:" + hashlib.sha256(f.read()).hexdigest()


def layout(tree, out):
    """The tree as an OCI layout of one gzip layer, as docker makes them. Its entries, bytes and compressed bytes."""
    blobs = out + "/blobs/sha256"
    os.makedirs(blobs)
    sh("tar", "--sort=name", "--numeric-owner", "-cf", out + "/l.tar", "-C", tree, ".")
    diff = digest(out + "/l.tar")
    size = os.path.getsize(out + "/l.tar")
    sh("gzip", "-6", "-n", out + "/l.tar")

    def put(data, media, path=None):
        name = digest(path) if path else "sha256:" + hashlib.sha256(data).hexdigest()
        target = blobs + "/" + name[7:]
        if path:
            os.rename(path, target)
        else:
            with open(target, "wb") as f:
                f.write(data)
        return {"mediaType": "application/vnd.oci.image." + media, "digest": name, "size": os.path.getsize(target)}
    layer = put(None, "layer.v1.tar+gzip", out + "/l.tar.gz")
    config = put(json.dumps({"architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux", "config": {"Cmd": ["true"]},
                             "rootfs": {"type": "layers", "diff_ids": [diff]}}).encode(), "config.v1+json")
    manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                               "layers": [layer]}).encode(), "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    with open(out + "/index.json", "w") as f:
        json.dump({"schemaVersion": 2, "manifests": [manifest]}, f)
    with open(out + "/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion": "1.0.0"}')
    return {"entries": sum(len(d) + len(f) for _, d, f in os.walk(tree)), "bytes": size, "packed": layer["size"]}


# ---------------------------------------------------------------- a file system for one tool, once

def disk_file(path):
    """What all of them are made in, one after the other: written once, so that the file system below has nothing to allocate any more."""
    sh("dd", "if=/dev/zero", "of=" + path, "bs=4M", "count=%d" % (DISK_MIB // 4), "conv=fsync")


@contextlib.contextmanager
def disk(b, where, image):
    """The folder of a file system that nobody has used: where "ext4" (with a journal, as mkfs.ext4 makes it, in the file image) or "memory"."""
    folder = b.dir + "/disk"
    os.makedirs(folder)
    if where == "memory":
        sh("mount", "-t", "tmpfs", "none", folder)
    else:
        # All of it is made now: a kernel thread that does the rest later would do it beside what is measured.
        sh("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", image)
        # Past the page cache of the file system below, or a sync would have everything to write twice. The device goes with the mount.
        device = sh("losetup", "--find", "--show", "--direct-io=on", image)
        try:
            sh("mount", device, folder)
        finally:
            sh("losetup", "-d", device)
    try:
        os.mkdir(folder + "/tmp")
        yield folder
    finally:
        for _ in range(100):        # whoever has just ended may not be gone
            if subprocess.call(["umount", folder], stderr=subprocess.DEVNULL) == 0:
                break
            time.sleep(0.1)
        else:
            sh("umount", "-l", folder)
        os.rmdir(folder)


# ---------------------------------------------------------------- measuring

def cpu_us(group):
    with open(group + "/cpu.stat") as f:
        return int(next(line.split()[1] for line in f if line.startswith("usage_usec")))


def pids(group):
    for root, _, files in os.walk(group):
        try:
            with open(root + "/cgroup.procs") as f:
                yield from map(int, f)
        except OSError:
            pass


def rss_kib(group):
    total = 0
    for pid in set(pids(group)):
        try:
            with open("/proc/%d/statm" % pid) as f:
                total += int(f.read().split()[1]) * 4
        except OSError:
            pass
    return total


class Peak(threading.Thread):
    def __init__(self, groups):
        super().__init__(daemon=True)
        self.groups, self.kib, self.stop = groups, 0, threading.Event()

    def run(self):
        while not self.stop.wait(0.05):
            self.kib = max(self.kib, sum(map(rss_kib, self.groups)))


def measure(tool, argv):
    """Runs it in a group of its own. Wall, processor, memory, and what a sync takes after it."""
    group = "/sys/fs/cgroup/berth-bench-%d-tool" % os.stat(tool.b.dir).st_ino
    os.makedirs(group, exist_ok=True)
    groups = [group] + tool.groups
    subprocess.run(["sync"], check=True)
    before = sum(map(cpu_us, groups))
    peak = Peak(groups)
    peak.start()
    begun = time.monotonic()
    r = subprocess.run([str(a) for a in argv], env=tool.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                       timeout=600, preexec_fn=lambda: open(group + "/cgroup.procs", "w").write("0"))
    took = time.monotonic() - begun
    used = sum(map(cpu_us, groups)) - before
    peak.stop.set()
    peak.join()
    synced = time.monotonic()
    subprocess.run(["sync", "-f", tool.folder], check=True)
    synced = took + time.monotonic() - synced
    if r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(map(str, argv)), r.stderr.strip()[-500:]))
    return {"s": round(took, 2), "synced_s": round(synced, 2), "cpu_s": round(used / 1e6, 2), "mib": round(peak.kib / 1024)}


# ---------------------------------------------------------------- the tools

class Tool:
    """One tool with all of its files in one folder. `groups`: whose work is for it, beside what is started."""

    def __init__(self, b, folder):
        self.b, self.folder, self.groups = b, folder, []
        self.env = dict(os.environ, TMPDIR=folder + "/tmp")

    def end(self):
        pass


class Berth(Tool):
    name = "berth"

    def __init__(self, b, folder):
        super().__init__(b, folder)
        cgroup = "/berth-bench-%d-images" % os.stat(b.dir).st_ino
        self.groups = ["/sys/fs/cgroup" + cgroup]
        self.env["BERTH_SOCKET"] = "/run/bi/control.sock"
        os.makedirs("/run/bi", exist_ok=True)
        with open(b.dir + "/berthd.log", "ab") as log:
            self.daemon = subprocess.Popen([b.build + "/berthd", "--state", folder + "/state", "--run", "/run/bi", "--cgroup", cgroup],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(200):
            if subprocess.run([b.build + "/berth", "ps"], env=self.env, capture_output=True).returncode == 0:
                return
            time.sleep(0.02)
        raise RuntimeError("berthd does not answer")

    def argv(self, *args):
        return [self.b.build + "/berth", *args]

    def pull(self, ref):
        return self.argv("pull", "-q", "--tls-verify=false", ref)

    def load(self, archive):
        return self.argv("image", "import", archive)

    def change(self, source):
        sh(*self.argv("image", "import", self.b.dir + "/image"), env=self.env)
        sh(*self.argv("run", "--name", "changed", "-v", source + ":/src:ro", "bench", "cp", "-a", "/src", "/data"), env=self.env)

    def commit(self):
        return self.argv("commit", "changed", "committed:1")

    def end(self):
        self.daemon.terminate()
        self.daemon.wait()
        for _ in range(100):        # its shims hold what is mounted
            if not any(pids(self.groups[0])):
                break
            for pid in set(pids(self.groups[0])):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            time.sleep(0.05)


class Podman(Tool):
    name = "podman"

    def argv(self, *args):
        return ["podman", "--root", self.folder + "/root", "--runroot", "/run/podman-images", "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs",
                *args]

    def pull(self, ref):
        return self.argv("pull", "-q", "--tls-verify=false", ref)

    def load(self, archive):
        return self.argv("load", "-q", "-i", archive)

    def change(self, source):
        sh(*self.argv("load", "-q", "-i", self.b.dir + "/archive.tar"), env=self.env)
        sh(*self.argv("run", "--pids-limit=-1", "--network", "none", "--cgroups=disabled", "--name", "changed", "-v", source + ":/src:ro", "bench",
                      "cp", "-a", "/src", "/data"), env=self.env)

    def commit(self):
        return self.argv("commit", "-q", "changed", "committed:1")

    def end(self):
        subprocess.call(self.argv("rm", "-f", "-t", "0", "-a"), env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.call(["umount", "-l", self.folder + "/root/overlay"], stderr=subprocess.DEVNULL)     # it binds this on itself
        shutil.rmtree("/run/podman-images", ignore_errors=True)


class Skopeo(Tool):
    """With umoci, which unpacks what skopeo has brought."""
    name = "skopeo"

    def both(self, *source):
        return ["sh", "-ec", "to=$1; shift; skopeo copy -q \"$@\" oci:$to/o:1; umoci unpack --image $to/o:1 $to/bundle", "sh", self.folder, *source]

    def pull(self, ref):
        return self.both("--src-tls-verify=false", "docker://" + ref)

    def load(self, archive):
        return self.both("docker-archive:" + archive)


# ---------------------------------------------------------------- the figures

class Images:
    def __init__(self, b, scale):
        self.b, self.scale, self.facts = b, scale, {}
        self.dir = b.dir + "/images"        # trees, archives and the registry
        self.tools = [Berth] + [t for t, needs in ((Podman, ["podman"]), (Skopeo, ["skopeo", "umoci"])) if all(map(shutil.which, needs))]
        self.where, self.disk = ["ext4", "memory"], self.dir + "/disk.ext4"
        os.makedirs(self.dir)

    def one(self, tool, where, what, argv_of, before=lambda tool: None, content=None):
        """One tool once, on a disk of its own."""
        with disk(self.b, where, self.disk) as folder:
            it = tool(self.b, folder)
            try:
                before(it)
                got = measure(it, argv_of(it))
            finally:
                it.end()
        if content:
            got["mb_s"] = round(content / got["synced_s"] / 1e6)
        self.b.put("images", what, tool.name, got)

    def pulls(self, kind, rounds):
        ref = "localhost:%d/bench/%s:1" % (PORT, kind)
        for where in self.where:
            for _ in range(rounds):
                for tool in self.tools:
                    self.one(tool, where, "pull, %s, %s" % (kind, where), lambda it: it.pull(ref))

    def imports(self, kind, rounds):
        archive = self.dir + "/archive-%s.tar" % kind
        sh("skopeo", "copy", "-q", "oci:%s/layout-%s:1" % (self.dir, kind), "docker-archive:%s:bench/%s:1" % (archive, kind))
        for _ in range(rounds):
            for tool in self.tools:
                self.one(tool, self.where[0], "import, " + kind, lambda it: it.load(archive), content=self.facts[kind]["bytes"])

    def commits(self, kind, rounds):
        for _ in range(rounds):
            for tool in self.tools:
                if hasattr(tool, "commit") and (tool is Berth or tool.name in self.b.peers):
                    self.one(tool, self.where[0], "commit, " + kind, lambda it: it.commit(), lambda it: it.change(self.dir + "/tree-" + kind),
                             self.facts[kind]["bytes"])

    def sources(self):
        for kind, make in (("debian", tree_debian), ("small", tree_small)):
            tree, out = self.dir + "/tree-" + kind, self.dir + "/layout-" + kind
            make(tree, self.scale)
            self.facts[kind] = layout(tree, out)
            self.b.put("images", "facts, " + kind, "berth", self.facts[kind])
            sh("skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:%s:1" % out, "docker://localhost:%d/bench/%s:1" % (PORT, kind))

    def disks(self):
        try:
            disk_file(self.disk)
            with disk(self.b, "ext4", self.disk):
                pass
        except RuntimeError as e:
            self.b.notes.append("images: no file system on a loop device here (%s): all of it in memory." % str(e)[-160:])
            self.where.remove("ext4")

    def run(self, rounds):
        self.disks()
        registry.loopback_up()
        server = registry.DockerRegistry(self.dir + "/registry", PORT)
        took = []

        def part(name, fn, *args):
            at = time.monotonic()
            fn(*args)
            took.append("%s %d s" % (name, time.monotonic() - at))
        try:
            part("what is pulled", self.sources)
            for kind, label in KINDS:
                part("pulls, " + label, self.pulls, kind, rounds)
                part("imports, " + label, self.imports, kind, rounds)
                part("commits, " + label, self.commits, kind, rounds)
        finally:
            server.stop()
            shutil.rmtree(self.dir, ignore_errors=True)
        self.b.notes.append("Images took: " + ", ".join(took) + ".")


def missing():
    return [t for t in ("docker-registry", "skopeo", "umoci", "mkfs.ext4", "losetup") if not shutil.which(t)]
