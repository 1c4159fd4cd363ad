"""Images of skopeo, umoci and buildah in every format that they write, run under berth: what their config says and what their layers
hold, file by file."""

import json
import os
import shutil
import stat
import struct
import subprocess

import pytest

from craft import Crafted, entry, folder, hard, layer, pax, symlink
from host import BIN, DIR
from oci import APPLETS, GROUP, PASSWD
from test_image_tools import sh, tools

pytestmark = pytest.mark.native

NS = 1234567890_123456789
CAPABLE = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)      # cap_net_bind_service=ep
SHOW = b"""#!/bin/sh
echo "args: $*"
echo "in $(pwd) as $(id -un):$(id -gn) with $FROM_IMAGE"
first=$1
shift
echo "$first: $*"
"""
CONFIG = {"Entrypoint": ["/bin/show", "first"], "Cmd": ["echo", "second third"], "Env": ["PATH=/bin:/usr/bin", "FROM_IMAGE=a b=c"], "WorkingDir": "/home/alice/new",
          "User": "alice:boat", "StopSignal": "SIGUSR1", "Labels": {"org.example.key": "value \u00e4", "empty": ""},
          "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/vol": {}},
          "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30000000000, "Timeout": 5000000000, "Retries": 3}}


def program(path):
    with open(path, "rb") as f:
        return f.read()


def exact(name, data=b"", **kw):
    """A file with all that a PAX header can say of it."""
    return pax({"mtime": "%d.%09d" % divmod(NS, 10 ** 9), "SCHILY.xattr.user.note": b"x\0y"}) + entry(name, data, **kw)


def base_layers(sparse=True):
    """/bin is a symlink, as on every system of today; what is there is in /usr/bin."""
    return [
        layer(folder("usr"), folder("usr/bin"), symlink("bin", "usr/bin"), *(folder(d) for d in ("dev", "etc", "home", "proc", "sys", "tmp", "run", "data", "data/old")),
              folder("home/alice", uid=1000, gid=1000), entry("usr/bin/busybox", program("/bin/busybox"), mode=0o755),
              entry("usr/bin/guest", program(os.path.join(BIN, "guest")), mode=0o755), *(symlink("usr/bin/" + a, "busybox") for a in APPLETS),
              entry("etc/passwd", PASSWD.encode()), entry("etc/group", GROUP.encode()), entry("usr/bin/show", SHOW, mode=0o755),
              exact("data/exact", b"exact", uid=1000, gid=2000, mode=0o640), entry("data/one", b"one"), hard("data/two", "data/one"),
              pax({"SCHILY.xattr.security.capability": CAPABLE}) + entry("usr/bin/capable", b"x", mode=0o755), entry("usr/bin/su", b"x", mode=0o4755),
              *[pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "data/sparse", "GNU.sparse.realsize": str(64 << 20)})] * sparse,
              entry("data/sparse", (b"1\n%d\n1\n" % (32 << 20)).ljust(512, b"\0") + b"x"), entry("data/fifo", type=b"6"),
              entry("data/gone", b"x"), entry("data/old/hidden", b"x"), entry("data/replaced", b"old")),
        # As a build step leaves it: something through /bin, something removed, a folder made anew, another name of a file below.
        layer(entry("bin/tool", b"#!/bin/sh\necho tool\n", mode=0o755), entry("data/.wh.gone"), entry("data/old/.wh..wh..opq"), entry("data/old/new", b"new"),
              entry("data/replaced", b"new"), hard("data/three", "data/one")),
    ]


@pytest.fixture(scope="module")
def base():
    """That image as an OCI layout, base:1."""
    path = os.path.join(DIR, "interop")
    os.makedirs(path)
    yield Crafted(*base_layers(), run=CONFIG).write("folder", path + "/base", "base:1")
    shutil.rmtree(path)


def image_of(host, name):
    return host.ask("image_inspect", {"ref": name})["images"][0]


def find(host, image, path):
    """The file in the topmost layer that has it."""
    for chain in reversed(image["layers"]):
        full = "%s/images/layers/%s/%s" % (host.state, chain[7:], path)
        if os.path.lexists(full):
            return full
    raise AssertionError("%s is in no layer" % path)


def check_config(host, name):
    r = host.berth("run", "--rm", name)
    assert r.lines == ["args: first echo second third", "in /home/alice/new as alice:boat with a b=c", "first: echo second third"], r
    config = image_of(host, name)["config"]
    assert config["stop_signal"] == "SIGUSR1" and sorted(config["exposed_ports"]) == ["53/udp", "80/tcp"] and config["volumes"] == ["/vol"]
    labels = {kv["key"]: kv.get("value", "") for kv in config["labels"]}
    assert labels["org.example.key"] == "value \u00e4" and labels["empty"] == ""


def check_files(host, name, exactly=True):
    """exactly: the layers are those of base_layers(); a tool that packs layers of its own keeps less."""
    script = ("tool; cat /data/replaced /data/old/new /data/one /data/three; ls /data /data/old; readlink /bin; stat -c '%a %u:%g %s' /data/exact /usr/bin/su /data/sparse;"
              "dd if=/data/sparse bs=1M skip=32 count=1 2>/dev/null | head -c 2 | od -An -tx1; stat -c %F /data/fifo")
    out = host.berth("run", "--rm", "--user", "0", "--entrypoint", "/bin/sh", name, "-c", script).out.split()
    assert out == ("tool newnewoneone/data: exact fifo old one replaced sparse three two /data/old: new usr/bin 640 1000:2000 5 4755 0:0 1 "
                   "644 0:0 %d 78 00 fifo" % (64 << 20)).split(), out
    image = image_of(host, name)
    st = os.stat(find(host, image, "data/exact"))
    assert st.st_mtime_ns == (NS if exactly else st.st_mtime_ns) and st.st_mtime_ns // 10 ** 9 == NS // 10 ** 9
    assert os.getxattr(find(host, image, "data/exact"), "user.note") == b"x\0y"
    assert os.getxattr(find(host, image, "usr/bin/capable"), "security.capability") == CAPABLE
    assert os.stat(find(host, image, "data/sparse")).st_blocks * 512 < 1 << 20
    assert stat.S_ISFIFO(os.lstat(find(host, image, "data/fifo")).st_mode)
    names = [os.stat(find(host, image, "data/" + n)) for n in ("one", "three")]
    assert names[0].st_ino == names[1].st_ino, "two names of one file"


def imported(host, path, name, exactly=True, config=check_config):
    host.berth("image", "import", path)
    try:
        config(host, name)
        check_files(host, name, exactly)
    finally:
        host.berth("image", "rm", name)


# ------------------------------------------------------------------ skopeo: the layers as they are, in other clothes

FORMATS = {
    "oci": ("oci:%s/i:sk/op:1", "i", []),
    "oci with gzip": ("oci:%s/i:sk/op:1", "i", ["--dest-compress", "--dest-compress-format", "gzip"]),
    "oci with zstd": ("oci:%s/i:sk/op:1", "i", ["--dest-compress", "--dest-compress-format", "zstd"]),
    "oci-archive": ("oci-archive:%s/i:sk/op:1", "i", []),
    "docker-archive": ("docker-archive:%s/i:sk/op:1", "i", []),
}


@tools("skopeo")
@pytest.mark.parametrize("format", FORMATS)
def test_formats_of_skopeo(host, base, tmp_path, format):
    to, file, flags = FORMATS[format]
    sh("skopeo", "copy", "-q", *flags, "oci:%s:base:1" % base, to % tmp_path)
    imported(host, str(tmp_path / file), "sk/op:1")


@tools("skopeo")
def test_a_folder_of_skopeo_is_refused_with_the_way_out(host, base, tmp_path):
    sh("skopeo", "copy", "-q", "oci:%s:base:1" % base, "dir:%s/d" % tmp_path)
    host.refused("image", "import", tmp_path / "d", text="dir: of skopeo.*oci:")


# ------------------------------------------------------------------ umoci: layers of its own

@tools("umoci", "skopeo")
def test_an_image_of_umoci(host, base, tmp_path):
    """Unpacked, changed and packed again: its own layer of what changed, its own config."""
    sh("skopeo", "copy", "-q", "oci:%s:base:1" % base, "oci:u:base", cwd=tmp_path)
    sh("umoci", "unpack", "--image", "u:base", "bundle", cwd=tmp_path)
    root = tmp_path / "bundle/rootfs"
    (root / "data/new").write_bytes(b"n")
    os.link(root / "data/new", root / "data/new2")
    os.utime(root / "data/new", ns=(NS, NS))
    os.chown(root / "data/new", 1000, 2000)
    os.setxattr(root / "data/new", "user.n", b"\0\1")
    (root / "data/two").unlink()
    shutil.rmtree(root / "data/old")
    (root / "data/old").mkdir()
    (root / "data/old/newer").write_bytes(b"n")
    shutil.rmtree(root / "home/alice")
    (root / "home/alice").symlink_to("/tmp")
    sh("umoci", "repack", "--image", "u:next", "bundle", cwd=tmp_path)
    sh("umoci", "config", "--image", "u:next", "--config.entrypoint", "/bin/show", "--config.entrypoint", "umoci", "--config.cmd", "true", "--config.user", "bob",
       "--config.workingdir", "/data", "--config.env", "FROM_IMAGE=umoci", "--config.label", "made=by umoci", "--config.exposedports", "1/tcp", cwd=tmp_path)
    host.berth("image", "import", str(tmp_path / "u"))
    try:
        r = host.berth("run", "--rm", "next")
        assert r.lines[:2] == ["args: umoci true", "in /data as bob:bob with umoci"], r
        r = host.berth("run", "--rm", "--user", "0", "--entrypoint", "/bin/sh", "next", "-c", "ls /data /data/old; readlink /home/alice; stat -c '%u:%g' /data/new2; tool")
        assert r.out.split() == "/data: exact fifo new new2 old one replaced sparse three /data/old: newer /tmp 1000:2000 tool".split(), r
        image = image_of(host, "next")
        st = os.stat(find(host, image, "data/new2"))
        assert st.st_mtime == NS // 10 ** 9 and st.st_nlink == 2 and os.getxattr(find(host, image, "data/new"), "user.n") == b"\0\1"
        assert {"key": "made", "value": "by umoci"} in image["config"]["labels"]
    finally:
        host.berth("image", "rm", "next", "base")


@tools("umoci")
def test_an_image_that_umoci_began(host, tmp_path):
    sh("umoci", "init", "--layout", "u", cwd=tmp_path)
    sh("umoci", "new", "--image", "u:own", cwd=tmp_path)
    sh("umoci", "unpack", "--image", "u:own", "bundle", cwd=tmp_path)
    os.makedirs(tmp_path / "bundle/rootfs/bin")
    shutil.copy("/bin/busybox", tmp_path / "bundle/rootfs/bin/busybox")
    sh("umoci", "repack", "--image", "u:own", "bundle", cwd=tmp_path)
    sh("umoci", "config", "--image", "u:own", "--config.entrypoint", "/bin/busybox", "--config.cmd", "echo", "--config.cmd", "own", "--architecture", "amd64", "--os", "linux", cwd=tmp_path)
    host.berth("image", "import", str(tmp_path / "u"))
    assert host.berth("run", "--rm", "own").text == "own"
    host.berth("image", "rm", "own")


# ------------------------------------------------------------------ buildah: layers of its own, in OCI's and in Docker's words

class Buildah:
    def __init__(self, path):
        self.store = ["buildah", "--root", path + "/root", "--runroot", path + "/run", "--storage-driver", "vfs"]

    def __call__(self, *argv):
        r = subprocess.run(self.store + list(argv), capture_output=True, text=True, timeout=120)
        assert r.returncode == 0, "%s: %s" % (" ".join(argv), r.stderr)
        return r.stdout.strip()


@pytest.fixture(scope="module")
def built(base):
    """An image of two steps: OCI's and Docker's manifest of it."""
    path = os.path.join(os.path.dirname(base), "buildah")
    b = Buildah(path)
    plain = Crafted(*base_layers(sparse=False), run=CONFIG).write("folder", path + "-base", "base:1")      # its storage cannot give back a sparse file's layer
    sh("skopeo", "copy", "-q", "oci:%s:base:1" % plain, "containers-storage:[vfs@%s/root+%s/run]localhost/base:1" % (path, path))
    c = b("from", "--pull-never", "localhost/base:1")
    root = b("mount", c)
    os.unlink(root + "/data/two")
    with open(root + "/data/added", "wb") as f:
        f.write(b"added")
    os.setxattr(root + "/data/added", "user.b", b"1")
    os.chown(root + "/data/added", 1001, 1001)
    with open(os.fsencode(root) + b"/data/\xff\xfe", "wb") as f:       # what no UTF-8 is, in a PAX header of Go's
        f.write(b"latin")
    shutil.rmtree(root + "/data/old")
    os.mkdir(root + "/data/old")
    os.mknod(root + "/data/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    b("umount", c)
    b("config", "--entrypoint", '["/bin/show", "buildah"]', "--cmd", "echo x", "--user", "1001:2000", "--workingdir", "/data", "--env", "FROM_IMAGE=buildah", "--label", "made=by buildah",
      "--port", "8080", "--volume", "/made", "--stop-signal", "SIGINT", c)
    b("commit", "-q", "--format", "oci", c, "local/oci:1")
    b("config", "--healthcheck", "CMD true", "--healthcheck-interval", "7s", c)
    b("commit", "-q", "--format", "docker", c, "local/docker:1")
    return b


@tools("buildah", "skopeo")
@pytest.mark.parametrize("kind", ["oci", "docker"])
@pytest.mark.parametrize("form, flags", [("oci", []), ("oci", ["--compression-format", "zstd"]), ("oci-archive", ["-D"]), ("docker-archive", [])],
                         ids=["oci-gzip", "oci-zstd", "oci-archive-plain", "docker-archive"])
def test_an_image_of_buildah_in_each_format(host, built, tmp_path, kind, form, flags):
    keep = ["--format", "v2s2"] if kind == "docker" and form == "docker-archive" else []
    name = "local/%s:1" % kind
    built("push", "-q", *flags, *keep, name, "%s:%s/i:%s" % (form, tmp_path, name))
    host.berth("image", "import", str(tmp_path / "i"))
    try:
        r = host.berth("run", "--rm", name)
        assert r.lines[:2] == ["args: buildah echo x", "in /data as bob:boat with buildah"], r
        r = host.berth("run", "--rm", "--user", "0", "--entrypoint", "/bin/sh", name, "-c", "cd /data; ls; ls old; stat -c '%F %u:%g' added null; cat $(printf '\\377\\376')")
        assert r.out.split() == "added exact fifo null old one replaced sparse three ?? regular file 1001:1001 character special file 0:0 latin".split(), r
        image = image_of(host, name)
        assert os.getxattr(find(host, image, "data/added"), "user.b") == b"1"
        config = image["config"]
        assert config["stop_signal"] == "SIGINT" and "8080" in config["exposed_ports"] and "/made" in config["volumes"]
        assert {"key": "made", "value": "by buildah"} in config["labels"]
        if kind == "docker" and form == "docker-archive":
            assert config["healthcheck"]["interval_ns"] == 7 * 10 ** 9
    finally:
        host.berth("image", "rm", name)


@tools("buildah", "skopeo")
def test_an_index_of_buildah(host, built, tmp_path):
    """For three platforms; only ours is taken, whatever its place."""
    built("manifest", "create", "multi")
    for arch in ("s390x", "amd64", "arm64"):
        c = built("from", "--arch", arch, "scratch")
        built("copy", c, "/bin/busybox", "/bin/busybox")
        built("config", "--arch", arch, "--entrypoint", '["/bin/busybox", "echo", "%s"]' % arch, c)
        built("commit", "-q", "--manifest", "multi", c)
    built("manifest", "push", "--all", "multi", "oci:%s/m:multi:1" % tmp_path)
    host.berth("image", "import", str(tmp_path / "m"))
    assert host.berth("run", "--rm", "multi:1").text == "amd64"
    host.berth("image", "rm", "multi:1")


# ------------------------------------------------------------------ what a config says of the process

@pytest.fixture(scope="module")
def small():
    """layers, and nothing else, for images that differ in their config."""
    return base_layers()


def run_as(host, tmp_path, small, config, *argv, **kw):
    host.berth("image", "import", Crafted(*small, run={"Env": ["PATH=/bin"], **config}).write("folder", str(tmp_path / "i"), "cfg:1"))
    try:
        return host.berth("run", "--rm", "cfg:1", *argv, code=None, **kw)
    finally:
        host.berth("image", "rm", "cfg:1")


@pytest.mark.parametrize("user, want", [
    ("alice", "1000 1000 1000 2000"), ("1000", "1000 1000 1000 2000"), ("alice:bob", "1000 1001"), ("alice:2000", "1000 2000"), ("1000:1001", "1000 1001"),
    ("4242", "4242 0"), ("4242:4343", "4242 4343"), ("", "0 0"), ("root", "0 0"), (":boat", "0 2000"),
])
def test_the_user_of_an_image(host, tmp_path, small, user, want):
    r = run_as(host, tmp_path, small, {"User": user, "Cmd": ["sh", "-c", "echo $(id -u) $(id -g) $(id -G)"]})
    assert r.code == 0, r
    got = r.out.split()
    assert got[:2] == want.split()[:2] and set(want.split()[2:]) <= set(got[2:]), (r, want)


@pytest.mark.parametrize("user, text", [("nobody-here", "nobody-here"), ("alice:no-group", "no-group"), ("4294967295", "4294967295|user"), ("../../etc", "user|etc"),
                                        ("-1", "user|-1"), ("alice:boat:x", "user|boat")])
def test_a_user_that_is_missing_is_named(host, tmp_path, small, user, text):
    import re
    r = run_as(host, tmp_path, small, {"User": user, "Cmd": ["id"]})
    assert r.code in (125, 126) and re.search(text, r.err) and "uid=" not in r.out, r


@pytest.mark.parametrize("config, code, text", [
    ({"WorkingDir": "../../x", "Cmd": ["true"]}, 125, "working directory is not absolute: ../../x"),
    ({"WorkingDir": "/etc/passwd", "Cmd": ["true"]}, 125, "passwd.*[Nn]ot a directory"),
    ({"StopSignal": "SIGEVIL", "Cmd": ["true"]}, 125, "SIGEVIL"),
    ({"Entrypoint": ["/no/such"], "Cmd": []}, 127, "no/such"),
    ({"Entrypoint": [""]}, (125, 126, 127), "command|entrypoint|exec"),
    ({}, 125, "names a command"),
])
def test_a_config_that_cannot_be_run_is_refused_with_its_field(host, tmp_path, small, config, code, text):
    import re
    r = run_as(host, tmp_path, small, config)
    assert r.code in (code if isinstance(code, tuple) else (code,)) and re.search(text, r.err), r


def test_the_stop_signal_of_an_image_is_sent(host, tmp_path, small):
    image = Crafted(*small, run={"Env": ["PATH=/bin"], "StopSignal": "SIGUSR2", "Cmd": ["sh", "-c", "trap 'echo got it; exit 3' USR2; echo up; while :; do sleep 0.05; done"]})
    host.berth("image", "import", image.write("folder", str(tmp_path / "i"), "stops:1"))
    host.berth("run", "-d", "--name", "stops", "stops:1")
    host.wait_log("stops", "up")
    host.berth("stop", "stops")
    host.wait_log("stops", "got it")
    host.berth("rm", "stops")
    host.berth("image", "rm", "stops:1")


def test_a_healthcheck_is_kept_and_said_not_to_be_acted_on(host, tmp_path, small):
    def made(test):
        host.berth("image", "import", Crafted(*small, run={**CONFIG, "Healthcheck": {"Test": test, "Interval": 5000000000}, "Cmd": ["sleep", "600"]}).write(
            "folder", str(tmp_path / test[0]), "health:1"))
        host.berth("run", "-d", "--name", "health", "health:1")
        return json.loads(host.berth("inspect", "health").out)[0]
    c = made(["CMD-SHELL", "curl -f localhost"])
    assert c["image_config"]["healthcheck"] == {"test": ["CMD-SHELL", "curl -f localhost"], "interval_ns": 5000000000}
    assert "HEALTHCHECK is not acted on" in c["status"]["notes"][0] and "HEALTHCHECK is not acted on" in host.log()
    assert "CMD-SHELL" in host.berth("image", "inspect", "health:1").out
    host.berth("rm", "-f", "health")
    assert not made(["NONE"])["status"].get("notes")        # the image takes its base's away
    host.berth("rm", "-f", "health")
    host.berth("image", "rm", "-f", "health:1")
