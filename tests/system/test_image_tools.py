"""Images as other tools write them, imported and run: mkimage.sh of the fixtures, and skopeo, umoci and buildah where they are
installed (nothing of berth needs them)."""

import json
import os
import shutil
import subprocess

import pytest

from host import IN_VM
from oci import Image, busybox_entries, layer

pytestmark = pytest.mark.native

HERE = os.path.dirname(os.path.abspath(__file__))
MKIMAGE = os.path.join(HERE, "../fixtures/mkimage.sh")
SEEN = "cat /data/kept /data/replaced /data/opaque/fresh; ls /data /data/opaque; stat -c %U /home/app"
SHOWN = "kept new fresh /data: kept opaque replaced /data/opaque: fresh app".split()


def tools(*names):
    """The test needs these. The VM has none of them and nothing may skip there: then the test does not exist."""
    missing = [n for n in names if not shutil.which(n)]

    def decorate(test):
        if missing and IN_VM:
            return None
        return pytest.mark.skipif(bool(missing), reason="not installed: " + " ".join(missing))(test)
    return decorate


def sh(*argv, cwd=None):
    subprocess.run(argv, check=True, cwd=cwd, stdout=subprocess.DEVNULL, timeout=120)


@pytest.fixture
def fixture(tmp_path):
    """An image with whiteouts and an opaque folder, in all three forms."""
    made = {"layout": str(tmp_path / "layout"), "tar": str(tmp_path / "layout.tar"), "docker": str(tmp_path / "docker.tar")}
    sh("sh", MKIMAGE, "-x", "-b", "/bin/busybox", "-t", made["tar"], "-d", made["docker"], made["layout"], "fixture:1")
    return made


def imported(host, path, name="fixture:1"):
    host.berth("image", "import", path)
    try:
        r = host.berth("run", "--rm", name, "sh", "-c", SEEN)
        assert r.out.split() == SHOWN
    finally:
        host.berth("image", "rm", name)


@pytest.mark.parametrize("form", ["layout", "tar", "docker"])
def test_every_form_of_an_image_runs(host, fixture, form):
    imported(host, fixture[form])


def test_a_compressed_archive_comes_through_a_pipe(host, fixture):
    with subprocess.Popen(["gzip", "-c", fixture["docker"]], stdout=subprocess.PIPE) as gz:
        subprocess.run([os.path.join(os.environ["BERTH_BIN"], "berth"), "--socket", host.socket, "image", "import", "-"],
                       stdin=gz.stdout, check=True, timeout=60)
    assert host.berth("run", "--rm", "fixture:1", "cat", "/data/kept").text == "kept"
    host.berth("image", "rm", "fixture:1")


@tools("skopeo")
def test_zstd_layers_of_skopeo(host, fixture, tmp_path):
    sh("skopeo", "copy", "-q", "--dest-compress", "--dest-compress-format", "zstd", "oci:" + fixture["layout"], "oci:%s:z:1" % (tmp_path / "z"))
    imported(host, str(tmp_path / "z"), "z:1")


@tools("skopeo")
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_archives_of_skopeo(host, fixture, tmp_path, kind):
    sh("skopeo", "copy", "-q", "oci:" + fixture["layout"], "%s:%s:sk/op:2" % (kind, tmp_path / "a.tar"))
    imported(host, str(tmp_path / "a.tar"), "sk/op:2")


@tools("umoci", "skopeo")
def test_layers_of_umoci(host, fixture, tmp_path):
    sh("skopeo", "copy", "-q", "oci:" + fixture["layout"], "oci:%s:base" % (tmp_path / "u"))
    sh("umoci", "unpack", "--image", "u:base", "bundle", cwd=tmp_path)
    root = tmp_path / "bundle" / "rootfs"
    shutil.rmtree(root / "data" / "opaque")
    (root / "data" / "opaque").mkdir()
    (root / "data" / "opaque" / "second").write_text("2")
    (root / "data" / "kept").unlink()
    os.link(root / "data" / "replaced", root / "data" / "linked")
    sh("umoci", "repack", "--image", "u:next", "bundle", cwd=tmp_path)
    host.berth("image", "import", str(tmp_path / "u"))
    r = host.berth("run", "--rm", "next", "sh", "-c", "ls /data /data/opaque; cat /data/linked")
    assert r.out.split() == "/data: linked opaque replaced /data/opaque: second new".split()
    for name in ("base", "next"):
        host.berth("image", "rm", name)


@tools("buildah")
def test_an_image_of_buildah(host, tmp_path):
    store = ["buildah", "--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]

    def buildah(*argv):
        return subprocess.run(store + list(argv), check=True, capture_output=True, text=True, timeout=120).stdout.strip()

    c = buildah("from", "scratch")
    buildah("copy", c, "/bin/busybox", "/bin/busybox")
    buildah("config", "--entrypoint", '["/bin/busybox"]', "--cmd", "env", "--env", "MADE=buildah", "--workingdir", "/w", "--label", "l=m", c)
    buildah("commit", "-q", c, "local/img:1")
    buildah("push", "-q", "local/img:1", "oci-archive:%s:local/img:1" % (tmp_path / "b.tar"))
    host.berth("image", "import", str(tmp_path / "b.tar"))
    assert "MADE=buildah" in host.berth("run", "--rm", "local/img:1").lines
    assert host.berth("run", "--rm", "local/img:1", "pwd").text == "/w"
    host.berth("image", "rm", "local/img:1")


def test_a_layer_that_relies_on_merged_usr(host, tmp_path):
    """"bin/tool" in a layer, "bin -> usr/bin" in the one below: the link stays and the program is found."""
    entries = busybox_entries("/bin/busybox", os.path.join(os.environ["BERTH_BIN"], "guest"))
    base = {}
    for path, what in entries.items():
        if path in ("bin", "usr/bin"):
            continue
        base["usr/" + path if path.startswith("bin/") else path] = what
    base = {"usr": None, "usr/bin": None, "bin": ("link", "usr/bin"), **base}
    top = layer({"bin/tool": b"#!/bin/sh\necho found\n", "etc/.wh.group": b""})
    host.berth("image", "import", Image("merged:1", [layer(base), top], {"Cmd": ["sh"], "Env": ["PATH=/bin"]}).write_layout(str(tmp_path / "m")))
    r = host.berth("run", "--rm", "merged:1", "sh", "-c", "tool; readlink /bin; ls -l /usr/bin/tool >/dev/null && ls /etc")
    assert r.out.split()[:2] == ["found", "usr/bin"]
    assert "passwd" in r.out.split() and "group" not in r.out.split()
    host.berth("image", "rm", "merged:1")


def test_other_compressions_are_named(host, fixture, tmp_path):
    for tool_name, suffix in (("xz", ".xz"), ("bzip2", ".bz2")):
        if shutil.which(tool_name):
            sh(tool_name, "-k", fixture["tar"])
            host.refused("image", "import", fixture["tar"] + suffix, text=tool_name)


def test_one_import_says_what_it_does(host, fixture):
    r = host.berth("image", "import", fixture["layout"])
    assert "unpacking" in r.err + r.out and "fixture:1" in r.out
    info = json.loads(host.berth("image", "inspect", "fixture:1").out)
    info = info[0] if isinstance(info, list) else info
    assert len(info["layers"]) == 3
    host.berth("image", "rm", "fixture:1")
