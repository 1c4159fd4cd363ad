"""Volumes that are file systems of their own: a size that holds, one superblock for all, nothing of them on the host, nothing left of them."""

import contextlib
import glob
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import busybox_image
from host import IN_VM, SLOW, eventually, mounts, processes
from oci import layer
from proto import Refused

MiB = 1 << 20


def bound(host):
    """Loop devices on files of this berthd."""
    found = []
    for path in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            with open(path) as f:
                if f.read().startswith(host.state):
                    found.append(path.split("/")[3])
        except OSError:
            pass
    return found


@pytest.fixture(autouse=True)
def no_loop_stays(host):
    yield
    host.remove_all()
    eventually(lambda: not bound(host), lambda: "the loop devices are gone: %s" % bound(host))


@pytest.fixture
def sized(host):
    host.berth("volume", "create", "--driver", "sized", "--size", "32m", "data")
    return "data"


def volume(host, name):
    return host.ask("volume_inspect", {"name": name})["volumes"][0]


FILL = "dd if=/dev/zero of=%s bs=64k count=%d 2>&1; stat -c %%s %s"


def test_a_sized_volume_is_full_at_its_size_and_others_are_not(host, sized):
    host.berth("volume", "create", "--driver", "sized", "--size", "32m", "other")
    r = host.run_("-v", "data:/d", "-v", "other:/o", "--", "sh", "-c", FILL % ("/d/x", 1024, "/d/x") + "; echo ok > /o/y && cat /o/y")
    assert "No space left on device" in r.out and r.lines[-1] == "ok"
    assert 24 * MiB < int(r.lines[-2]) < 32 * MiB
    eventually(lambda: not bound(host), "unmounted")
    assert 24 * MiB < int(volume(host, "data")["used_bytes"]) < 32 * MiB and int(volume(host, "other")["used_bytes"]) < MiB
    assert int(host.run_("-v", "data:/d", "--", "sh", "-c", "rm /d/x; df -k /d | tail -1 | awk '{print $3}'").text) < 1000


def test_what_a_sized_volume_promises_is_reserved_on_the_disk(host, sized):
    (image,) = glob.glob(host.state + "/volumes/*/image")
    st = os.stat(image)
    assert st.st_blocks * 512 >= st.st_size == 32 * MiB and st.st_mode & 0o77 == 0


def test_a_sized_volume_keeps_what_is_in_it_and_begins_empty(host, sized):
    assert host.run_("-v", "data:/d", "--", "sh", "-c", "ls -A /d; echo kept > /d/f").out == ""
    assert host.run_("-v", "data:/d:ro", "--", "sh", "-c", "cat /d/f; touch /d/g", code=1).out == "kept\n"
    assert host.berth("run", "--rm", "--userns", "auto", "-v", "data:/d", "busybox", "sh", "-c", "touch /d/mine; stat -c %u /d/f /d/mine").lines == ["0", "0"]


def test_containers_of_one_sized_volume_share_one_file_system(host, sized):
    one = host.detached("-v", "data:/d", "--", "sleep", "600")
    two = host.detached("-v", "data:/e", "--", "sleep", "600")
    devices = [host.berth("exec", c, "stat", "-c", "%d", p).text for c, p in ((one, "/d"), (two, "/e"))]
    assert devices[0] == devices[1] and len(bound(host)) == 1
    host.berth("exec", one, "sh", "-c", "echo seen > /d/f")
    assert host.berth("exec", two, "cat", "/e/f").text == "seen"
    host.berth("rm", "-f", one)
    assert host.berth("exec", two, "cat", "/e/f").text == "seen" and len(bound(host)) == 1


def test_the_host_sees_no_mount_of_a_volume_and_no_device_in_it_opens(host, sized):
    before = mounts()
    name = host.detached("-v", "data:/d", "--", "sleep", "600")
    assert mounts() == before
    line = host.berth("exec", name, "grep", " /d ", "/proc/mounts").text
    assert " ext4 rw,nodev,relatime,errors=remount-ro" in line
    assert "Permission denied" in host.berth("exec", name, "sh", "-c", "mknod /d/null c 1 3; echo x > /d/null", code=1).err


def test_a_sized_volume_is_filled_from_the_image(host, sized, tmp_path):
    host.berth("image", "import", busybox_image("www", more=(layer({"srv/www": ("dir", 0o2750, 33), "srv/www/a": b"a", "srv/www/b": b"b"}),))
               .write_layout(str(tmp_path / "www")))
    try:
        assert host.berth("run", "--rm", "-v", "data:/srv/www", "www", "sh", "-c", "cd /srv/www; ls -A; stat -c '%a %u' .").lines == ["a", "b", "2750 33"]
        host.run_("-v", "data:/d", "--", "rm", "/d/a")
        assert host.berth("run", "--rm", "-v", "data:/srv/www", "www", "ls", "-A", "/srv/www").lines == ["b"]
    finally:
        host.remove_all()
        host.berth("image", "rm", "www")


def test_a_volume_that_is_used_cannot_be_removed_and_the_user_is_named(host, sized):
    name = host.detached("-v", "data:/d", "--", "sleep", "600")
    host.refused("volume", "rm", "data", text="volume data is used by container %s" % name)
    host.berth("stop", "-t", "0", name)
    host.refused("volume", "rm", "data", text="used by container")
    host.berth("rm", name)
    host.berth("volume", "rm", "data")      # whether or not it is unmounted yet
    eventually(lambda: not os.listdir(host.state + "/volumes") and not bound(host), "gone")
    assert host.berth("volume", "rm", "-f", "data").out == ""


@pytest.mark.parametrize("flags", [(), ("--userns", "auto")], ids=["host", "userns"])
def test_cp_of_a_container_that_does_not_run_sees_its_sized_volume(host, sized, tmp_path, flags):
    (tmp_path / "f").write_text("copied")
    host.berth("create", "--name", "c", *flags, "-v", "data:/d", "busybox", "sleep", "600")
    host.berth("cp", str(tmp_path / "f"), "c:/d/f")
    host.berth("cp", str(tmp_path / "f"), "c:/beside")
    host.berth("cp", "c:/d/f", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "copied"
    eventually(lambda: not bound(host), "it is unmounted after that")
    host.berth("start", "c")
    assert host.berth("exec", "c", "sh", "-c", "cat /d/f /beside; echo more >> /d/f; stat -c %u /d/f").out == "copiedcopied0\n"
    host.berth("stop", "-t", "0", "c")
    assert host.berth("cp", "c:/d/f", "-").out.count("copiedmore") == 1
    with open(str(tmp_path / "large"), "wb") as f:
        f.write(os.urandom(40 * MiB))
    host.refused("cp", str(tmp_path / "large"), "c:/d/large", text="No space left on device")
    eventually(lambda: not bound(host), "also after what failed")


def test_cp_writes_to_no_volume_that_is_read_only_and_tells_of_one_that_cannot_be_mounted(host, sized, tmp_path):
    (tmp_path / "f").write_text("copied")
    host.berth("create", "--name", "c", "-v", "data:/d:ro", "busybox", "sleep", "600")
    host.refused("cp", str(tmp_path / "f"), "c:/d/f", text="cannot write there|Read-only")
    eventually(lambda: not bound(host), "it is unmounted")
    (image,) = glob.glob(host.state + "/volumes/*/image")
    with open(image, "r+b") as f:
        f.write(bytes(1 * MiB))
    host.refused("cp", str(tmp_path / "f"), "c:/beside", text="volume data: .*mount ext4")
    assert host.state_of("c") == "created"


def test_a_berthd_that_dies_in_mid_copy_leaves_no_volume_mounted(host, sized):
    host.berth("create", "--name", "c", "-v", "data:/d", "busybox", "sleep", "600")
    copy = host.popen("cp", "-", "c:/d")
    eventually(lambda: bound(host), "it is mounted for the copy")
    host.restart()
    copy.communicate(timeout=30 * SLOW)
    assert copy.returncode != 0
    eventually(lambda: not bound(host), "it goes with the copy")
    host.berth("start", "c")
    assert host.berth("exec", "c", "ls", "/d").out == ""


# ---------------------------------------------------------------- tmpfs

def test_a_tmpfs_volume_is_shared_while_it_is_used_and_empty_afterwards(host):
    host.berth("volume", "create", "-d", "tmpfs", "--size", "1m", "-o", "o=mode=750,uid=5,gid=6", "mem")
    one = host.detached("-v", "mem:/m", "--", "sh", "-c", "echo hello > /m/f; sleep 600")
    eventually(lambda: host.berth("exec", one, "cat", "/m/f", code=None).out == "hello\n", "written")
    r = host.run_("-v", "mem:/n", "--", "sh", "-c", "cat /n/f; stat -c '%a %u:%g' /n; " + FILL % ("/n/x", 64, "/n/x"))
    assert r.lines[:2] == ["hello", "750 5:6"] and "No space left" in r.out and int(r.lines[-1]) < MiB
    assert int(volume(host, "mem")["used_bytes"]) == MiB
    host.berth("rm", "-f", one)
    assert host.run_("-v", "mem:/m", "--", "ls", "-A", "/m").out == ""


def test_a_tmpfs_volume_outlives_a_restart_and_the_members_of_a_pod(host):
    host.berth("volume", "create", "-d", "tmpfs", "--size", "1m", "mem")
    host.berth("run", "-d", "--name", "r", "--restart", "on-failure", "-v", "mem:/m", "busybox", "sh", "-c", "echo x >> /m/f; [ $(wc -l < /m/f) -ge 3 ] || exit 1; cat /m/f")
    host.wait_state("r", "exited")
    assert host.berth("logs", "r").lines == ["x", "x", "x"]
    host.berth("rm", "r")
    host.berth("pod", "create", "p")
    host.berth("run", "-d", "--pod", "p", "--pod-init", "--name", "first", "-v", "mem:/m", "busybox", "sh", "-c", "echo made > /m/f")
    host.berth("run", "-d", "--pod", "p", "--name", "then", "-v", "mem:/m", "busybox", "sh", "-c", "cat /m/f")
    host.wait_state("then", "exited", seconds=20)
    assert host.berth("logs", "then").text == "made"
    host.berth("pod", "rm", "-f", "p")


# ---------------------------------------------------------------- berthd dies

def test_berthd_killed_and_back_shares_what_its_containers_have_mounted(host, sized):
    host.berth("volume", "create", "-d", "tmpfs", "--size", "1m", "mem")
    name = host.detached("-v", "data:/d", "-v", "mem:/m", "--", "sh", "-c", "echo disk > /d/f; echo memory > /m/f; sleep 600")
    eventually(lambda: host.berth("exec", name, "cat", "/m/f", code=None).out, "written")
    for again in (host.restart, lambda: host.berth("upgrade")):
        again()
        assert host.run_("-v", "data:/d", "-v", "mem:/m", "--", "cat", "/d/f", "/m/f").lines == ["disk", "memory"]
        assert len(bound(host)) == 1
        eventually(lambda: volume(host, "mem").get("mounted"), "said to be mounted")
    host.berth("rm", "-f", name)
    assert host.run_("-v", "data:/d", "-v", "mem:/m", "--", "sh", "-c", "cat /d/f; ls -A /m").lines == ["disk"]


def test_kill_9_of_everything_leaves_no_loop_device_and_a_sound_file_system(host, sized):
    name = host.detached("-v", "data:/d", "--", "sh", "-c", "echo kept > /d/f; sync; sleep 600")
    eventually(lambda: host.berth("exec", name, "cat", "/d/f", code=None).out, "written")
    shim = [p for p in processes().items() if p[1][2] == "berth-shim"]
    host.kill()
    for pid in [p for p, _ in shim] + [p for p, (_, _, what) in processes().items() if what == "sleep"]:
        with contextlib.suppress(ProcessLookupError):     # a container may go with its shim
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not bound(host), "cleared, with nobody there to do it")
    host.start()
    host.berth("rm", "-f", name)
    assert host.run_("-v", "data:/d", "--", "cat", "/d/f").text == "kept"
    eventually(lambda: not bound(host), "cleared")
    (image,) = glob.glob(host.state + "/volumes/*/image")
    assert subprocess.run(["/usr/sbin/e2fsck", "-fn", image], capture_output=True).returncode == 0


def stopped_job(host, verb, start):
    """The job that start() leads to, stopped on its way."""
    found = []

    def catch():
        end = time.monotonic() + 10 * SLOW
        while not found and time.monotonic() < end:
            for pid in processes():
                try:
                    with open("/proc/%d/cmdline" % pid, "rb") as f:
                        if f.read().startswith(b"berth-job\0" + verb.encode() + b"\0"):
                            os.kill(pid, signal.SIGSTOP)
                            found.append(pid)
                except OSError:
                    pass
    catching = threading.Thread(target=catch)
    catching.start()
    started = start()
    catching.join()
    assert found, "no job was seen"
    return started


def test_kill_9_of_berthd_while_a_volume_is_made_leaves_nothing_of_it(host):
    p = stopped_job(host, "volume-make", lambda: host.popen("volume", "create", "-d", "sized", "--size", "256m", "half"))
    assert host.berth("volume", "ls", "-q").text == "half"
    host.kill()
    p.kill()
    p.wait()
    host.start()
    eventually(lambda: os.listdir(host.state + "/volumes") == [], "swept")
    assert host.berth("volume", "ls", "-q").out == "" and not bound(host)


def test_kill_9_of_berthd_while_one_is_unmounted_to_be_removed_leaves_it_whole_or_gone(host, sized):
    name = host.detached("-v", "data:/d", "--", "sleep", "600")
    p = stopped_job(host, "volume-unmount", lambda: host.popen("rm", "-f", name))
    p.wait(30 * SLOW)
    p = host.popen("volume", "rm", "data")      # waits for the unmount that does not go on
    eventually(lambda: host.berth("volume", "ls", "-q").out == "", "it is not found any more")
    host.kill()
    p.kill()
    p.wait()
    host.start()
    eventually(lambda: not bound(host), "cleared")
    if host.berth("volume", "ls", "-q").text:
        host.run_("-v", "data:/d", "--", "touch", "/d/x")
    else:
        eventually(lambda: os.listdir(host.state + "/volumes") == [], "swept")


def test_a_volume_that_cannot_be_made_is_refused_and_leaves_nothing(host):
    host.refused("volume", "create", "-d", "sized", "--size", "8t", "huge", text="stay free")
    assert os.listdir(host.state + "/volumes") == [] and host.berth("volume", "ls", "-q").out == ""
    assert [a["result"] for a in host.actions("huge")] == ["error"]


# ---------------------------------------------------------------- growing

def test_a_sized_volume_grows_while_it_is_used_and_never_shrinks(host, sized):
    name = host.detached("-v", "data:/d", "--", "sleep", "600")
    before = int(host.berth("exec", name, "df", "-k", "/d").lines[-1].split()[1])
    host.refused("volume", "update", "--size", "16m", "data", text="cannot shrink")
    r = host.berth("volume", "update", "--size", "96m", "data", code=None)
    if not IN_VM and "CAP_SYS_RESOURCE" in r.err:
        pytest.skip("no CAP_SYS_RESOURCE here, without which the kernel grows no file system")
    assert r.code == 0, r.err
    assert int(host.berth("exec", name, "df", "-k", "/d").lines[-1].split()[1]) > before * 2
    assert int(volume(host, "data")["size_bytes"]) == 96 * MiB
    host.berth("rm", "-f", name)
    host.berth("volume", "update", "--size", "128m", "data")
    r = host.run_("-v", "data:/d", "--", "sh", "-c", FILL % ("/d/x", 4096, "/d/x"))
    assert 96 * MiB < int(r.lines[-1]) < 128 * MiB


# ---------------------------------------------------------------- words, members

@pytest.mark.native
@pytest.mark.parametrize("args,text", [
    (["-d", "sized"], "a sized volume needs a size"),
    (["-d", "plain", "--size", "1g"], "a plain volume has no size"),
    (["-d", "tmpfs"], "a tmpfs volume needs a size"),
    (["-d", "sized", "--size", "1m"], "16 MiB"),
    (["-d", "nfs"], "there are plain, sized and tmpfs"),
    (["-o", "type=nfs"], "there is tmpfs"),
    (["-o", "device=/etc", "-o", "o=bind"], "comes in by -v"),
    (["-d", "sized", "--size", "32m", "-o", "o=uid=1"], "are for tmpfs volumes"),
])
def test_what_a_volume_cannot_be_is_refused_by_name(host, args, text):
    host.refused("volume", "create", *args, "x", text=text, code=None)
    assert host.berth("volume", "ls", "-q").out == ""


@pytest.mark.native
def test_a_size_without_a_driver_means_sized(host):
    for name, flags in {"flag": ["--size", "32m"], "option": ["-o", "size=32m"], "mount": ["-o", "o=size=32m"]}.items():
        host.berth("volume", "create", *flags, name)
        assert (volume(host, name)["driver"], int(volume(host, name)["size_bytes"])) == ("SIZED", 32 * MiB)


@pytest.mark.native
def test_one_that_is_there_of_another_kind_is_a_conflict(host, sized):
    host.berth("volume", "create", "data")
    host.berth("volume", "create", "--size", "32m", "data")
    host.berth("volume", "create", "-o", "size=32m", "data")
    host.refused("volume", "create", "-d", "tmpfs", "--size", "32m", "data", text="another driver or size")
    host.refused("volume", "create", "-d", "sized", "--size", "64m", "data", text="another driver or size")


@pytest.mark.native
def test_filters_by_driver_and_label_and_what_inspect_shows(host, sized):
    host.berth("volume", "create", "-l", "tier=1", "plain")
    host.berth("volume", "create", "-d", "tmpfs", "--size", "1m", "-l", "tier=2", "mem")
    ls = lambda *f: sorted(host.berth("volume", "ls", "-q", *f).lines)     # noqa: E731
    assert ls("--filter", "driver=sized") == ["data"] and ls("--filter", "label=tier") == ["mem", "plain"]
    assert ls("--filter", "label=tier=1") == ["plain"]
    host.run_("-v", "plain:/p", "--", "sh", "-c", "dd if=/dev/zero of=/p/x bs=64k count=16; ln /p/x /p/y")
    assert MiB <= int(volume(host, "plain")["used_bytes"]) < 2 * MiB and volume(host, "plain")["path"]
    v = volume(host, "data")
    assert (v["driver"], int(v["size_bytes"]), v.get("mounted", False)) == ("SIZED", 32 * MiB, False) and not v.get("path")


@pytest.mark.native
def test_the_volumes_with_a_size_of_a_members_project_have_a_limit_together(host):
    with host.api(host.token("b", "bob")) as b:
        with pytest.raises(Refused) as e:
            b.request("volume_create", {"name": "much", "driver": "TMPFS", "size_bytes": 11 << 30})
        assert e.value.code == "DENIED" and e.value.field == "size_bytes" and "project_volumes" in e.value.text
        b.request("volume_create", {"name": "some", "driver": "TMPFS", "size_bytes": 6 << 30})
        with pytest.raises(Refused):
            b.request("volume_create", {"name": "more", "driver": "SIZED", "size_bytes": 6 << 30})
        b.request("volume_create", {"name": "any"})
        assert b.request("volume_prune", {"all": True})[0]["removed"] == ["some", "any"]
    host.ask("volume_create", {"name": "admin", "driver": "TMPFS", "size_bytes": 11 << 30})


# ---------------------------------------------------------------- anonymous ones, prune

@pytest.fixture
def lines(host, tmp_path):
    """An image with VOLUME lines."""
    host.berth("image", "import", busybox_image("lines", {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": {"/data": {}, "/cache/": {}}},
                                                more=(layer({"data": None, "data/from-image": b"x"}),)).write_layout(str(tmp_path / "lines")))
    yield "lines"
    host.remove_all()
    host.berth("image", "rm", "lines")


def test_volume_lines_of_an_image_make_volumes_that_are_filled_and_dangle(host, lines):
    ls = lambda *f: host.berth("volume", "ls", "-q", *f).lines      # noqa: E731
    host.berth("run", "--name", "c", lines, "sh", "-c", "ls /data; grep -c ' /data \\| /cache ' /proc/mounts; touch /cache/x")
    assert host.berth("logs", "c").lines == ["from-image", "2"] and len(ls()) == 2 and ls("--filter", "dangling=true") == []
    host.berth("start", "-a", "c")
    assert len(ls()) == 2
    host.berth("rm", "c")
    assert len(ls("--filter", "dangling=true")) == 2
    host.berth("run", "--rm", lines, "true")
    host.berth("create", "--name", "d", lines)
    host.berth("rm", "-v", "d")
    eventually(lambda: len(ls()) == 2, "gone with their containers")
    host.berth("run", "--rm", "-v", "named:/data", "--tmpfs", "/cache", lines, "true")
    assert "named" in ls() and len(ls()) == 3
    r = host.berth("volume", "prune", "-f")
    assert len(r.lines) == 3 and r.lines[-1].startswith("Freed: ") and ls() == ["named"]


@pytest.mark.native
def test_prune_asks_takes_labels_and_leaves_what_is_used(host):
    for name in ("kept", "one", "two"):
        host.berth("volume", "create", "-l", "n=" + name, name)
    host.berth("create", "-v", "kept:/k", "busybox")
    p = host.popen("volume", "prune", "-a", stdin=subprocess.PIPE)
    p.communicate(b"n\n", timeout=30)
    assert p.returncode == 1 and len(host.berth("volume", "ls", "-q").lines) == 3
    assert host.berth("volume", "prune", "-f").lines == ["Freed: 0 B"] or host.berth("volume", "ls", "-q").lines == ["kept", "one", "two"]
    assert host.berth("volume", "prune", "-a", "-f", "--filter", "label=n=two").lines[0] == "two"
    assert host.berth("volume", "prune", "-af").lines[0] == "one" and host.berth("volume", "ls", "-q").lines == ["kept"]
