"""Images written out, as OCI layouts and docker-archives: read by other tools, by berth itself, and not written when they cannot be."""

import hashlib
import io
import json
import os
import select
import shutil
import subprocess
import tarfile
import time

import pytest

import podman as pod
from conftest import private_host
from host import BIN, SLOW, eventually
from test_pull import image, working

pytestmark = pytest.mark.native

needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="not installed: skopeo")


def sh(*argv, **kw):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120, **kw).stdout.strip()


@pytest.fixture
def made(host, tmp_path):
    """made(name): an image that no other test has, in the store."""
    names = []

    def get(name="local/made:1", **kw):
        img = image(**kw)
        img.name = name
        host.berth("image", "import", img.write_layout(str(tmp_path / ("in-" + name.replace("/", "_")))))
        names.append(name)
        return img
    yield get
    for name in names:
        subprocess.run([os.path.join(BIN, "berth"), "--socket", host.socket, "image", "rm", "-f", name], capture_output=True)
    eventually(lambda: not working(), working)


def tool(host, *argv, **kw):
    return subprocess.run([os.path.join(BIN, "berth"), "--socket", host.socket, *argv], timeout=60 * SLOW, **kw)


def ids(host, name):
    im = json.loads(host.berth("image", "inspect", name).out)[0]
    return im["image_id"], im["manifest_digest"]


FORMS = ["oci-archive", "oci-dir", "docker-archive"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_exported_can_be_imported_again(host, made, tmp_path, form):
    img = made(layers=3)
    out = str(tmp_path / "out")
    r = host.berth("image", "export", "--format", form, "-o", out, "local/made:1")
    assert r.out == ""
    host.berth("image", "rm", "local/made:1")
    assert host.berth("image", "import", out).lines == ["docker.io/local/made:1"]
    got = ids(host, "local/made:1")
    assert got[0] == img.id and (form == "docker-archive" or got[1] == img.manifest["digest"])
    assert host.berth("run", "--rm", "local/made:1", "cat", "/n2").text.startswith("2 of")


def test_an_import_names_what_it_brought_and_no_other_names_of_the_same_image(host, made, tmp_path):
    img = made()
    host.berth("image", "export", "-o", str(tmp_path / "named"), "local/made:1")
    host.berth("image", "export", "-o", str(tmp_path / "nameless"), img.id)
    host.berth("image", "tag", "local/made:1", "local/other:1")
    assert host.berth("image", "import", str(tmp_path / "named")).lines == ["docker.io/local/made:1"]
    assert host.berth("image", "import", "--name", "local/third:1", str(tmp_path / "named")).lines == ["docker.io/local/third:1"]
    assert host.berth("image", "import", str(tmp_path / "nameless")).lines == [img.id]
    host.berth("image", "rm", "local/other:1", "local/third:1")


def test_through_a_pipe_from_one_to_the_other(host, made):
    """stdout and stdin, by Docker's names; and all that was found is named."""
    a, b = made("local/a:1"), made("local/b:2")
    archive = tool(host, "save", "local/a:1", "local/b:2", capture_output=True, check=True).stdout
    for name in ("local/a:1", "local/b:2"):
        host.berth("image", "rm", name)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        assert [m["RepoTags"] for m in manifest] == [["docker.io/local/a:1"], ["docker.io/local/b:2"]]
        names = tar.getnames()
        assert len(names) == len(set(names))            # the layer that both have is in it once
        for m, img in zip(manifest, (a, b)):
            assert hashlib.sha256(tar.extractfile(m["Config"]).read()).hexdigest() == img.id[7:]
            assert [tar.extractfile(n).read() for n in m["Layers"]] == img.layers       # not compressed
    r = tool(host, "load", input=archive, capture_output=True, check=True)
    assert r.stdout.decode().split() == ["docker.io/local/a:1", "docker.io/local/b:2"]
    assert (ids(host, "local/a:1")[0], ids(host, "local/b:2")[0]) == (a.id, b.id)


def test_the_same_images_give_the_same_bytes(host, made):
    made()
    one, two = (tool(host, "image", "export", "local/made:1", capture_output=True, check=True).stdout for _ in range(2))
    assert one == two and len(one) % 512 == 0


@needs_skopeo
@pytest.mark.parametrize("form,transport", [("oci-archive", "oci-archive:%s:docker.io/local/made:1"), ("oci-dir", "oci:%s:docker.io/local/made:1"),
                                            ("docker-archive", "docker-archive:%s:docker.io/local/made:1")])
def test_skopeo_reads_it(host, made, tmp_path, form, transport):
    img = made(layers=3)
    out = str(tmp_path / "out")
    host.berth("image", "export", "--format", form, "-o", out, "local/made:1")
    host.berth("image", "rm", "local/made:1")
    sh("skopeo", "copy", "-q", transport % out, "oci:%s/copy:local/made:1" % tmp_path)
    host.berth("image", "import", str(tmp_path / "copy"))
    if form != "docker-archive":         # from that skopeo makes an OCI image, with a config of its own
        assert ids(host, "local/made:1")[0] == img.id
    assert host.berth("run", "--rm", "local/made:1", "cat", "/n2").text.startswith("2 of")


@pytest.mark.skipif(not shutil.which("umoci"), reason="not installed: umoci")
def test_umoci_reads_a_layout(host, made, tmp_path):
    made(layers=3)
    host.berth("image", "export", "--format", "oci-dir", "-o", str(tmp_path / "out"), "local/made:1")
    sh("umoci", "unpack", "--image", "out:docker.io/local/made:1", "bundle", cwd=tmp_path)
    assert (tmp_path / "bundle/rootfs/n2").read_text().startswith("2 of")


# ------------------------------------------------------------------ what goes wrong

def test_a_terminal_gets_no_archive(host, made):
    made()
    master, slave = os.openpty()
    r = tool(host, "save", "local/made:1", stdin=slave, stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    os.close(master)
    assert r.returncode == 1 and b"terminal" in r.stderr


def test_refusals(host, made, tmp_path):
    made()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("x")
    out = str(tmp_path / "out")
    host.refused("image", "export", "-o", out, "no/such:1", text="no image")
    host.refused("image", "export", "-o", out, "local/made:1", "no/such:1", text="no image")
    host.refused("image", "export", "--format", "zip", "-o", out, "local/made:1", code=2, text="none of oci-archive")
    host.refused("image", "export", "--format", "oci-dir", "local/made:1", text="-o FOLDER")
    host.refused("image", "export", "-o", str(tmp_path / "full"), "local/made:1", code=2, text="is a folder: --format oci-dir")
    assert "not whole" not in host.refused("image", "export", "--format", "oci-dir", "-o", str(tmp_path / "full"), "local/made:1", text="not empty").err
    (tmp_path / "empty").mkdir()
    assert "not whole" not in host.refused("image", "export", "--format", "oci-dir", "-o", str(tmp_path / "empty"), "no/such:1", text="no image").err
    host.refused("image", "export", "-o", str(tmp_path / "no/such/folder"), "local/made:1", text="No such file")
    assert not os.path.exists(out) and os.listdir(tmp_path / "full") == ["file"]


def test_a_reader_that_leaves_ends_it(host, made):
    """EPIPE is an error that says so, and no job is left."""
    made(size=4 << 20)
    p = subprocess.Popen([os.path.join(BIN, "berth"), "--socket", host.socket, "save", "local/made:1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(1000)
    p.stdout.close()
    assert b"nobody reads the archive" in p.stderr.read()
    assert p.wait(30 * SLOW) == 1
    eventually(lambda: not working(), working)


def test_a_full_disk_ends_it_and_leaves_nothing(host, made, tmp_path):
    made(size=4 << 20)
    small = tmp_path / "small"
    small.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small))
    try:
        host.refused("image", "export", "-o", str(small / "out"), "local/made:1", text="No space left")
        host.refused("image", "export", "--format", "oci-dir", "-o", str(small / "dir"), "local/made:1", text="No space left")
        assert os.listdir(small) == []
        (small / "mine").mkdir()
        host.refused("image", "export", "--format", "oci-dir", "-o", str(small / "mine"), "local/made:1", text="what is in .*mine is not whole")
        shutil.rmtree(small / "mine")
        # What was there before is still there, and whole.
        (small / "old").write_text("old")
        host.refused("image", "export", "-o", str(small / "old"), "local/made:1", text="No space left")
        assert (small / "old").read_text() == "old"
    finally:
        sh("umount", str(small))


def test_an_interrupted_tool_leaves_nothing(host, made, tmp_path):
    """The job ends with the one who asked, and half a file has no name."""
    made(size=4 << 20)
    os.mkfifo(tmp_path / "slow")
    keep = os.open(tmp_path / "slow", os.O_RDONLY | os.O_NONBLOCK)     # never read from
    p = subprocess.Popen([os.path.join(BIN, "berth"), "--socket", host.socket, "save", "-o", str(tmp_path / "slow"), "local/made:1"])
    eventually(lambda: select.select([keep], [], [], 0)[0], "it writes")
    p.kill()
    p.wait()
    eventually(lambda: not working(), working)
    os.close(keep)
    actions = json.loads(host.berth("actions", "--format", "json").out)
    assert [a for a in actions if a["verb"] == "export"][-1]["result"] == "error"


def test_a_file_appears_when_it_is_whole(host, made, tmp_path):
    made(size=1 << 20)
    (tmp_path / "out").write_text("before")
    (tmp_path / "link").symlink_to("out")
    host.berth("save", "-o", str(tmp_path / "link"), "local/made:1")
    assert (tmp_path / "link").is_symlink() and tarfile.is_tarfile(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == sorted(["in-local_made:1", "link", "out"])


def test_a_removed_image_is_exported_to_its_end(host, made, tmp_path):
    """Its blobs are open: neither the removal nor the sweep waits, and nothing is missing in what is written."""
    img = made(size=4 << 20)
    time.sleep(1.2)      # a sweep leaves alone what is so new
    p = subprocess.Popen([os.path.join(BIN, "berth"), "--socket", host.socket, "image", "export", "local/made:1"], stdout=subprocess.PIPE)
    head = p.stdout.read(1 << 20)
    host.berth("image", "rm", "local/made:1")
    blob = host.state + "/images/blobs/sha256/" + img.manifest["digest"][7:]
    eventually(lambda: not os.path.exists(blob), "the sweep")
    (tmp_path / "out.tar").write_bytes(head + p.stdout.read())
    assert p.wait() == 0
    host.berth("image", "import", str(tmp_path / "out.tar"))
    assert ids(host, "local/made:1")[0] == img.id


def test_damage_in_the_store_is_found(host, made, tmp_path):
    img = made(layers=2)
    blob = host.state + "/images/blobs/sha256/" + json.loads(img.blobs[img.manifest["digest"]])["layers"][-1]["digest"][7:]
    with open(blob, "r+b") as f:
        f.seek(-1, os.SEEK_END)
        last = f.read(1)
        f.seek(-1, os.SEEK_END)
        f.write(bytes([last[0] ^ 1]))
    for form in FORMS:
        host.refused("image", "export", "--format", form, "-o", str(tmp_path / "out"), "local/made:1", text="damaged|checksum|CRC")
    os.truncate(blob, 10)
    host.refused("image", "export", "-o", str(tmp_path / "out"), "local/made:1", text="has 10 bytes and should have")
    os.unlink(blob)
    host.refused("image", "export", "-o", str(tmp_path / "out"), "local/made:1", text="not in the store any more")
    assert not os.path.exists(tmp_path / "out")


def test_the_asker_must_be_allowed_to_write_there(host, made, tmp_path):
    """A folder's descriptor alone is no right: what is made in it is made by the user who asked."""
    made()
    own_tool = shutil.copy(os.path.join(BIN, "berth"), tmp_path / "berth")     # where the tree is, only root may be able to go
    opened = {host.run: 0o711, host.socket: 0o666, tmp_path: 0o755, tmp_path.parent: 0o755, tmp_path.parent.parent: 0o755}
    before = {path: os.stat(path).st_mode & 0o7777 for path in opened}
    folder = tmp_path / "roots"
    folder.mkdir(mode=0o755)
    own = tmp_path / "own"
    own.mkdir(mode=0o755)
    os.chown(own, 1000, 1000)
    for path, mode in opened.items():
        os.chmod(path, mode)

    def become():
        os.setgroups([])
        os.setgid(1000)
        os.setuid(1000)

    def export_to(path):
        return subprocess.run([own_tool, "--socket", host.socket, "image", "export", "--format", "oci-dir", "-o", str(path), "local/made:1"],
                              timeout=60 * SLOW, capture_output=True, preexec_fn=become)
    r = export_to(folder)
    assert r.returncode == 1 and b"Permission denied" in r.stderr, r
    assert os.listdir(folder) == []
    r = export_to(own)
    assert r.returncode == 0, r
    assert os.stat(own / "index.json").st_uid == 1000
    for path, mode in before.items():
        os.chmod(path, mode)


@pytest.mark.skipif(bool(pod.missing()), reason="not installed: " + ", ".join(pod.missing()))
@pytest.mark.parametrize("form", FORMS)
def test_podman_loads_and_runs_it(host, made, tmp_path, form):
    img = made(layers=3)
    out = str(tmp_path / "out")
    host.berth("image", "export", "--format", form, "-o", out, "local/made:1")
    podman = pod.Podman(str(tmp_path / "podman"))
    if form == "oci-dir":
        loaded = podman("pull", "-q", "oci:out:docker.io/local/made:1", cwd=tmp_path)     # podman minds capitals in paths
    else:
        loaded = podman("load", "-q", "-i", out).split()[-1]
        assert loaded == "docker.io/local/made:1"
    assert podman.run(loaded, "cat", "/n2").startswith("2 of")
    assert podman("image", "inspect", "--format", "{{.Id}}", loaded) == img.id[7:]


def test_an_export_that_loses_its_berthd_says_so_and_leaves_nothing(made, tmp_path):
    """It is not asked again: what was written would be there twice."""
    with private_host() as h:
        h.berth("run", "-d", "--name", "sleeper", "busybox", "sleep", "1000")
        os.mkfifo(tmp_path / "slow")
        keep = os.open(tmp_path / "slow", os.O_RDONLY | os.O_NONBLOCK)
        p = subprocess.Popen([os.path.join(BIN, "berth"), "--socket", h.socket, "save", "-o", str(tmp_path / "slow"), "busybox"],
                             stderr=subprocess.PIPE)
        eventually(lambda: select.select([keep], [], [], 0)[0], "it writes")        # any other job may run too, and tells nothing of this one
        h.restart()
        assert b"went away in the middle" in p.stderr.read() and p.wait() == 1
        os.close(keep)
        eventually(lambda: not working(), working)


def test_load_takes_what_was_compressed_on_its_way(host, made):
    img = made()
    archive = tool(host, "save", "local/made:1", capture_output=True, check=True).stdout
    for pack in (["gzip", "-1"], ["zstd", "-q", "-1"]):
        if not shutil.which(pack[0]):
            continue
        host.berth("image", "rm", "local/made:1")
        packed = subprocess.run(pack, input=archive, capture_output=True, check=True).stdout
        assert tool(host, "load", "-q", input=packed, capture_output=True, check=True).stdout.decode().split() == ["docker.io/local/made:1"]
        assert ids(host, "local/made:1")[0] == img.id
    assert tool(host, "load", input=archive[:-3000], capture_output=True).returncode == 1      # cut
    assert tool(host, "load", input=b"", capture_output=True).returncode == 1


def test_many_that_nobody_reads_wait_in_line_and_leave_it(host, made, tmp_path):
    """Exports that stand still take no more jobs than they may; everything else goes on, and who leaves the line is gone."""
    made()
    waiting, keep = [], []
    for i in range(9):
        os.mkfifo(tmp_path / str(i))
        keep.append(os.open(tmp_path / str(i), os.O_RDONLY | os.O_NONBLOCK))
        waiting.append(subprocess.Popen([os.path.join(BIN, "berth"), "--socket", host.socket, "save", "-q", "-o", str(tmp_path / str(i)), "local/made:1"]))
    eventually(lambda: len(working()) == 6, working)
    assert host.berth("run", "--rm", "local/made:1", "echo", "on").text == "on"
    for p in waiting[:4]:           # their places go to the three that waited
        p.kill()
        p.wait()
    eventually(lambda: len(working()) == 5, working)
    for p in waiting[4:]:
        p.kill()
        p.wait()
    eventually(lambda: not working(), working)
    for fd in keep:
        os.close(fd)
    host.berth("save", "-o", str(tmp_path / "after.tar"), "local/made:1")
