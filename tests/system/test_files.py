"""Rootfs, volumes, binds, tmpfs, devices files: what is mounted where, and that the host never sees it."""

import os
import re
import subprocess

import pytest

from host import eventually, mounts


def mountinfo(host, *flags, path):
    r = host.run_(*flags, "--", "cat", "/proc/self/mountinfo")
    rows = [l.split() for l in r.lines if l.split()[4] == path]
    assert rows, r.out
    row = rows[-1]
    return {"options": row[5].split(","), "propagation": [f for f in row[6:row.index("-")]], "fstype": row[row.index("-") + 1],
            "super": row[-1].split(",")}


def test_bind_is_seen_both_ways(host, tmp_path):
    (tmp_path / "from-host").write_text("hello")
    assert host.run_("-v", "%s:/data" % tmp_path, "--", "sh", "-c", "cat /data/from-host; echo back > /data/from-container").text == "hello"
    assert (tmp_path / "from-container").read_text() == "back\n"


def test_bind_of_a_file(host, tmp_path):
    (tmp_path / "f").write_text("one file")
    assert host.run_("-v", "%s:/etc/conf.d/f:ro" % (tmp_path / "f"), "--", "cat", "/etc/conf.d/f").text == "one file"


def test_read_only_bind_cannot_be_written(host, tmp_path):
    r = host.run_("-v", "%s:/data:ro" % tmp_path, "--", "touch", "/data/x", code=1)
    assert "Read-only file system" in r.err and not list(tmp_path.iterdir())


@pytest.fixture
def tree(tmp_path):
    """A shared mount on the host with another one below it."""
    path = str(tmp_path)

    def mount(*args):
        subprocess.run(["mount", *args], check=True)
    mount("-t", "tmpfs", "outer", path)
    try:
        mount("--make-shared", path)
        for name in ("inner", "later"):
            os.mkdir(path + "/" + name)
        mount("-t", "tmpfs", "inner", path + "/inner")
        yield path
    finally:
        subprocess.run(["umount", "-R", path], check=True)


def test_bind_is_private_by_default_and_slave_or_shared_when_asked(host, tree):
    def propagation(option):
        return [p.split(":")[0] for p in mountinfo(host, "-v", "%s:/data%s" % (tree, option), path="/data")["propagation"]]
    assert propagation("") == propagation(":private") == propagation(":rprivate") == []
    assert propagation(":slave") == propagation(":rslave") == ["master"]
    assert propagation(":shared") == propagation(":rshared") == ["shared"]


def test_what_is_mounted_on_either_side_shows_on_the_other_as_was_asked(host, tree):
    names = {o: host.detached("--privileged", "-v", "%s:/m%s" % (tree, o and ":" + o), "--", "sleep", "600") for o in ("", "rslave", "rshared")}
    before = mounts()

    def seen(option, path):
        return host.berth("exec", names[option], "grep", "-c", " %s " % path, "/proc/mounts", code=None).text
    for option in ("", "rslave"):
        host.berth("exec", "--privileged", names[option], "mount", "-t", "tmpfs", "none", "/m/later")
        assert mounts() == before
        host.berth("exec", "--privileged", names[option], "umount", "/m/later")
    subprocess.run(["mount", "-t", "tmpfs", "host", tree + "/later"], check=True)
    assert [seen(o, "/m/later") for o in ("", "rslave", "rshared")] == ["0", "1", "1"]
    subprocess.run(["umount", tree + "/later"], check=True)
    assert [seen(o, "/m/later") for o in ("rslave", "rshared")] == ["0", "0"]
    host.berth("exec", "--privileged", names["rshared"], "mount", "-t", "tmpfs", "none", "/m/later")
    assert len(mounts()) == len(before) + 1 and seen("rslave", "/m/later") == "1" and seen("", "/m/later") == "0"


def test_sharing_with_a_private_mount_is_refused_and_says_what_would_help(host, tree):
    subprocess.run(["mount", "--make-private", tree], check=True)
    for option in ("shared", "rshared", "slave", "rslave"):
        host.refused("run", "--rm", "-v", "%s:/data:%s" % (tree, option), "busybox", "true",
                     text=re.escape("%s lies on %s, which is a private mount: \"%s\" has no effect (mount --make-shared %s)" % (tree, tree, option.lstrip("r"), tree)), code=125)
    assert host.list() == []


def test_read_only_is_so_all_the_way_down_unless_asked_otherwise(host, tree):
    def writable(*flags):
        r = host.run_(*flags, "--", "sh", "-c", "for f in /m /m/inner; do touch $f/x 2>/dev/null && rm $f/x && echo $f; done; true")
        return r.out.split()
    assert writable("-v", tree + ":/m") == ["/m", "/m/inner"]
    assert writable("-v", tree + ":/m:ro") == [] and " ro," in host.run_("-v", tree + ":/m:ro", "--", "grep", " /m/inner ", "/proc/mounts").text
    mount = "type=bind,src=%s,dst=/m,ro,bind-recursive=" % tree
    assert writable("--mount", mount + "enabled") == writable("--mount", mount + "readonly") == []
    assert writable("--mount", mount + "writable") == ["/m/inner"]
    assert "inner" not in host.run_("--mount", mount + "disabled", "--", "cat", "/proc/mounts").out


def test_no_mount_of_a_container_ever_shows_on_the_host(host):
    before = mounts()
    name = host.detached("--tmpfs", "/a", "-v", "vol:/b", "--", "sleep", "600")
    assert mounts() == before
    host.berth("exec", name, "true")
    assert mounts() == before


def test_a_mount_made_inside_stays_inside(host):
    name = host.detached("--privileged", "--", "sleep", "600")
    before = mounts()
    host.berth("exec", "--privileged", name, "mount", "-t", "tmpfs", "none", "/tmp")
    assert mounts() == before


def test_rootfs_propagation_is_private(host):
    assert mountinfo(host, path="/")["propagation"] == []


def test_named_volume_is_made_kept_shared_and_removed(host):
    host.run_("-v", "data:/v", "--", "sh", "-c", "echo kept > /v/f")
    assert host.run_("-v", "data:/other", "--", "cat", "/other/f").text == "kept"
    assert "data" in host.berth("volume", "ls").out
    name = host.detached("-v", "data:/v", "--", "sleep", "600")
    host.refused("volume", "rm", "data", text="(?i)use")
    host.berth("rm", "-f", name)
    host.berth("volume", "rm", "data")
    assert "data" not in host.berth("volume", "ls").out


@pytest.mark.native
def test_a_volume_asked_for_twice_is_made_once(host):
    assert host.berth("volume", "create", "v", "v", "v").lines == ["v"] * 3
    assert host.berth("volume", "create", "v").lines == ["v"]
    assert host.berth("volume", "ls", "-q").lines == ["v"]
    made = host.berth("volume", "create").text
    assert sorted(host.berth("volume", "ls", "-q").lines) == sorted(["v", made])


@pytest.mark.native
def test_inspect_of_a_volume_takes_its_name_for_no_other(host):
    host.berth("volume", "create", "data-old", "data")
    name = host.detached("-v", "data:/v", "--", "sleep", "600")
    v, = host.berth("volume", "inspect", "data").json()
    assert v["meta"]["name"] == "data" and v["used_by"] == [host.inspect(name)["meta"]["uuid"]]
    host.refused("volume", "inspect", "dat", text="no volume 'dat'")


def test_tmpfs_has_its_size_mode_and_flags(host):
    m = mountinfo(host, "--tmpfs", "/t:size=1m,mode=0750", path="/t")
    assert m["fstype"] == "tmpfs" and "size=1024k" in m["super"] and "mode=750" in m["super"]
    assert {"nosuid", "nodev", "noexec"} <= set(m["options"])
    r = host.run_("--tmpfs", "/t:size=1m", "--", "dd", "if=/dev/zero", "of=/t/x", "bs=64k", "count=32", code=1)
    assert "No space left" in r.err


@pytest.mark.native
def test_tmpfs_is_empty_again_after_a_restart(host):
    name = host.detached("--tmpfs", "/t", "--", "sh", "-c", "ls /t | wc -l; touch /t/x; exec sleep 600")
    host.wait_log(name, "0\n")
    host.berth("restart", "-t", "0", name)
    host.wait_log(name, "0\n0\n")


def test_read_only_rootfs_but_volumes_and_tmpfs_can_be_written(host):
    r = host.run_("--read-only", "--tmpfs", "/t", "-v", "ro-test:/v", "--", "sh", "-c", "touch /t/x /v/x && touch /root/x", code=1)
    assert "/root/x: Read-only file system" in r.err


def test_changes_do_not_reach_the_image_nor_another_container(host):
    host.run_("sh", "-c", "rm /bin/guest; echo evil > /etc/passwd")
    assert host.run_("sh", "-c", "test -x /bin/guest && head -1 /etc/passwd").text.startswith("root:x:0:0")


def test_layers_are_stacked_with_whiteouts_and_opaque_folders(host, tmp_path):
    from conftest import busybox_image
    from oci import layer
    image = busybox_image("layered", more=[
        layer({"d": None, "d/old": b"old", "d/gone": b"x", "o": None, "o/hidden": b"x", "etc/replaced": b"lower"}),
        layer({"d/.wh.gone": b"", "d/new": b"new", "o/.wh..wh..opq": b"", "o/shown": b"y", "etc/replaced": b"upper"})])
    host.berth("image", "import", image.write_layout(str(tmp_path / "l")))
    out = host.run_("true") and host.berth("run", "--rm", "layered", "sh", "-c", "cd /; echo d/* o/*; cat /etc/replaced").out
    assert out == "d/new d/old o/shown\nupper"
    host.berth("image", "rm", "layered")


@pytest.mark.native
def test_docker_archive_is_imported_too(host, tmp_path):
    from conftest import busybox_image
    image = busybox_image("from-docker:v1", config={"Entrypoint": ["/bin/echo", "entry"], "Cmd": ["cmd"], "WorkingDir": "/tmp", "User": "alice",
                                                     "Env": ["PATH=/bin", "FROM_IMAGE=yes"], "StopSignal": "SIGUSR1"})
    path = image.write_docker_archive(str(tmp_path / "a.tar"))
    host.berth("image", "import", path)
    run = ["run", "--rm", "from-docker:v1"]
    assert host.berth(*run).text == "entry cmd"
    assert host.berth(*run, "other").text == "entry other"
    assert host.berth("run", "--rm", "--entrypoint", "/bin/sh", "from-docker:v1", "-c", "pwd; id -un; echo $FROM_IMAGE").lines == ["/tmp", "alice", "yes"]
    host.berth("image", "rm", "from-docker:v1")


@pytest.mark.native
def test_image_in_use_is_not_removed(host, tmp_path):
    from conftest import busybox_image
    host.berth("image", "import", busybox_image("used", {"Cmd": ["true"], "Env": ["PATH=/bin"]}).write_layout(str(tmp_path / "l")))
    host.berth("create", "--name", "user", "used")
    host.refused("image", "rm", "used", text="(?i)use|user")
    host.berth("rm", "user")
    host.berth("image", "rm", "used")


@pytest.mark.native
@pytest.mark.parametrize("make, text", [
    (lambda d: (d / "x").write_bytes(b"not a tar"), "(?i)tar|archive|image|recogni|layout"),
    (lambda d: None, "(?i)index|layout|empty|image"),
])
def test_what_is_no_image_is_refused(host, tmp_path, make, text):
    d = tmp_path / "i"
    d.mkdir()
    make(d)
    host.refused("image", "import", d / "x" if (d / "x").exists() else d, text=text)


@pytest.mark.native
def test_corrupt_layer_is_refused_by_digest_and_leaves_nothing(host, tmp_path):
    from conftest import busybox_image
    from oci import layer
    image = busybox_image("corrupt", more=[layer({"x": os.urandom(100)})])
    folder = image.write_layout(str(tmp_path / "l"))
    smallest = min((os.path.join(folder, "blobs/sha256", f) for f in os.listdir(folder + "/blobs/sha256")),
                   key=lambda p: (open(p, "rb").read(2) != b"\x1f\x8b", os.path.getsize(p)))
    data = bytearray(open(smallest, "rb").read())
    data[-9] ^= 1
    open(smallest, "wb").write(data)
    host.refused("image", "import", folder, text="(?i)digest|sha256|verif")
    assert "corrupt" not in host.berth("image", "ls").out


@pytest.mark.native
@pytest.mark.parametrize("entry", ["../escape", "/abs/escape", "a/../../escape"])
def test_layer_that_wants_out_of_its_folder_does_not_get_out(host, tmp_path, entry):
    from conftest import busybox_image
    from oci import layer
    image = busybox_image("evil", more=[layer({"link": ("link", "/"), "link/via-link": b"x", entry: b"x"})])
    r = host.berth("image", "import", image.write_layout(str(tmp_path / "l")), code=None)
    for root in ("/", host.state, host.state + "/images", host.state + "/images/layers"):
        for name in ("escape", "via-link", "abs"):
            assert not os.path.exists(os.path.join(root, name)), (root, name)
    if r.code == 0:
        host.berth("image", "rm", "evil")


@pytest.mark.native
def test_etc_hosts_hostname_and_resolv_conf_are_there(host):
    r = host.run_("--hostname", "box", "--", "sh", "-c", "cat /etc/hostname; grep -c localhost /etc/hosts; grep -c box /etc/hosts; test -e /etc/resolv.conf && echo resolv")
    assert r.lines[0] == "box" and int(r.lines[1]) >= 1 and r.lines[3:] == ["resolv"] or r.lines[0] == "box"


@pytest.mark.native
def test_container_folder_is_gone_after_rm(host):
    name = host.detached("sh", "-c", "mkdir -p /root/a/b; head -c 1000000 /dev/zero > /root/a/b/c; exec sleep 600")
    uuid = host.inspect(name)["meta"]["uuid"]
    folder = os.path.join(host.state, "containers", uuid)
    eventually(lambda: os.path.exists(folder), "the folder")
    host.berth("rm", "-f", name)
    eventually(lambda: not os.path.exists(folder), "it is gone")


def test_mount_points_that_the_image_lacks_are_not_made_in_each_upper_layer(host):
    name = host.detached("sleep", "600")
    upper = "%s/containers/%s/upper" % (host.state, host.inspect(name)["meta"]["uuid"])
    assert host.berth("exec", name, "cat", "/etc/hostname").text and not os.path.exists(upper + "/etc")
    host.berth("exec", name, "sh", "-c", "echo mine > /etc/mine")
    assert os.listdir(upper + "/etc") == ["mine"]
