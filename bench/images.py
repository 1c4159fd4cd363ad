"""The part `images` of bench/run: images pulled from a registry on this host, imported and committed, beside podman and skopeo with umoci.

Processor time is what the kernel charges to the group that a tool runs in (for berth that of berthd, its jobs and the tool), memory
the highest sum of resident sets in it, looked at every 50 ms. None of the others waits for the disk: what is written is written
when the kernel likes. berth does, before it says that an image is there; so each is shown also with the `sync` that it then owes."""

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


def sh(*argv, **kw):
    r = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600, **kw)
    if r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(map(str, argv)), r.stderr.strip()[-500:]))
    return r.stdout.strip()


# ---------------------------------------------------------------- what is pulled

def tree_debian(folder):
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


def tree_small(folder):
    random.seed(1)
    words = [bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9))) for _ in range(2000)]
    for i in range(SMALL_FILES):
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


def measure(b, argv, also=None):
    """Runs it in a group of its own. also: another group whose work is for it. Wall, processor, memory, and what a sync takes after it."""
    group = "/sys/fs/cgroup/berth-bench-%d-tool" % os.stat(b.dir).st_ino
    os.makedirs(group, exist_ok=True)
    groups = [group] + ([also] if also else [])
    subprocess.run(["sync"], check=True)
    before = sum(map(cpu_us, groups))
    peak = Peak(groups)
    peak.start()
    begun = time.monotonic()
    r = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=600,
                       preexec_fn=lambda: open(group + "/cgroup.procs", "w").write("0"))
    took = time.monotonic() - begun
    used = sum(map(cpu_us, groups)) - before
    peak.stop.set()
    peak.join()
    subprocess.run(["sync", "-f", b.dir], check=True)
    synced = time.monotonic() - begun
    if r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(map(str, argv)), r.stderr.strip()[-500:]))
    return {"s": round(took, 2), "synced_s": round(synced, 2), "cpu_s": round(used / 1e6, 2), "mib": round(peak.kib / 1024)}


class Images:
    def __init__(self, b):
        self.b, self.dir = b, b.dir + "/images"
        self.group = "/sys/fs/cgroup" + b.cgroup
        self.peers = [p for p, needs in (("podman", ["podman"]), ("skopeo", ["skopeo", "umoci"])) if all(map(shutil.which, needs))]
        os.makedirs(self.dir)

    def berth(self, *argv):
        return measure(self.b, [self.b.build + "/berth", *argv], also=self.group)

    def peer(self, who, ref):
        """How it gets an image and unpacks it."""
        if who == "podman":
            return [*self.b.podman, "pull", "-q", "--tls-verify=false", ref]
        return ["sh", "-ec", "skopeo copy -q --src-tls-verify=false docker://%s oci:%s/o:1; umoci unpack --image %s/o:1 %s/bundle"
                % (ref, self.dir, self.dir, self.dir)]

    def undo(self, who, ref):
        if who == "berth":
            self.b.berth("image", "rm", ref)
            time.sleep(0.2)
            while any(pids(self.group + "/jobs")):     # the sweep: not beside what is measured next
                time.sleep(0.1)
        elif who == "podman":
            sh(*self.b.podman, "rmi", "-f", ref)
        else:
            shutil.rmtree(self.dir + "/o", ignore_errors=True)
            shutil.rmtree(self.dir + "/bundle", ignore_errors=True)

    def pulls(self, what, ref, rounds):
        for _ in range(rounds):
            for who in ["berth"] + self.peers:
                got = self.berth("pull", "-q", "--tls-verify=false", ref) if who == "berth" else measure(self.b, self.peer(who, ref))
                self.b.put("images", "pull, " + what, who, got)
                self.undo(who, ref)

    def imports(self, what, ref, facts, rounds):
        archive = self.dir + "/archive.tar"
        if os.path.exists(archive):
            os.unlink(archive)
        sh("skopeo", "copy", "-q", "oci:%s/layout-%s:1" % (self.dir, what), "docker-archive:%s:%s" % (archive, ref))
        for _ in range(rounds):
            for who in ["berth"] + self.peers:
                if who == "berth":
                    got = self.berth("image", "import", archive)
                elif who == "podman":
                    got = measure(self.b, [*self.b.podman, "load", "-q", "-i", archive])
                else:
                    got = measure(self.b, ["skopeo", "copy", "-q", "docker-archive:" + archive, "oci:%s/o:1" % self.dir])
                got["mb_s"] = round(facts["bytes"] / got["s"] / 1e6)
                self.b.put("images", "import, " + what, who, got)
                self.undo(who, ref)

    def commits(self, rounds):
        if subprocess.run([self.b.build + "/berth", "commit", "--help"], capture_output=True).returncode:
            self.b.notes.append("berth has no commit yet: left out.")
            return
        tree = self.dir + "/tree-debian"
        tools = {"berth": [self.b.build + "/berth"]}
        if "podman" in self.peers and "podman" in self.b.peers:
            tools["podman"] = self.b.podman
        for who, tool in tools.items():
            run = self.b.podman_run if who == "podman" else tool + ["run"]
            sh(*run, "--name", "changed", "-v", tree + ":/src:ro", "bench", "cp", "-a", "/src", "/data")
        for _ in range(rounds):
            for who, tool in tools.items():
                argv = tool + ["commit", *(["-q"] if who == "podman" else []), "changed", "committed:1"]
                self.b.put("images", "commit", who, measure(self.b, argv, also=self.group if who == "berth" else None))
                sh(*tool, *(["image", "rm"] if who == "berth" else ["rmi", "-f"]), "committed:1")
        for tool in tools.values():
            sh(*tool, "rm", "-f", "changed")

    def run(self, rounds):
        registry.loopback_up()
        server = registry.DockerRegistry(self.dir + "/registry", PORT)
        try:
            for what, make in (("debian", tree_debian), ("small", tree_small)):
                tree, out = self.dir + "/tree-" + what, self.dir + "/layout-" + what
                make(tree)
                facts = layout(tree, out)
                ref = "localhost:%d/bench/%s:1" % (PORT, what)
                self.b.put("images", "facts, " + what, "berth", facts)
                sh("skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:%s:1" % out, "docker://" + ref)
                self.pulls(what, ref, rounds)
                self.imports(what, ref, facts, rounds)
            self.commits(rounds)
        finally:
            server.stop()


def missing():
    return [t for t in ("docker-registry", "skopeo", "umoci") if not shutil.which(t)]
