"""berth cp and ContainerCopy."""

import contextlib
import fcntl
import gzip
import hashlib
import io
import os
import re
import signal
import socket
import subprocess
import tarfile
import threading
import time

import pytest

from host import eventually, processes
from proto import SCHEMA, Refused


def tar_of(*entries):
    """(name, content or None for a folder, {attributes})"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, content, *more in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if content is None else 0o644
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            for k, v in (more[0] if more else {}).items():
                setattr(info, k, v)
            data = content or b""
            if more and "size" in more[0]:      # a lie
                t.fileobj.write(info.tobuf(tarfile.PAX_FORMAT))
                continue
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def copy_in(client, ref, path, data, **fields):
    r, w = os.pipe()

    def feed():
        try:
            with os.fdopen(w, "wb") as f:
                f.write(data)
        except BrokenPipeError:
            pass
    id_ = client.ask("container_copy", {"ref": ref, "path": path, "direction": "TO", **fields}, [r])
    os.close(r)
    t = threading.Thread(target=feed)
    t.start()
    env, _ = client.answer(id_)
    t.join()
    if "error" in env:
        raise Refused(env["error"])
    return env["copy_reply"]


def stat(client, ref, path, **fields):
    return client.request("container_copy", {"ref": ref, "path": path, "direction": "STAT", **fields})[0].get("stat")



def copy_out(client, ref, path, **fields):
    """The stat that comes first, the archive, and the answer."""
    r, w = os.pipe()
    id_ = client.ask("container_copy", {"ref": ref, "path": path, "direction": "FROM", **fields}, [w])
    os.close(w)
    with os.fdopen(r, "rb") as f:
        data = f.read()
    first, _ = client.receive()
    if "error" in first:
        raise Refused(first["error"])
    assert first.get("more") and first["id"] == id_, first
    env, _ = client.answer(id_)
    if "error" in env:
        raise Refused(env["error"])
    return first["copy_reply"]["stat"], data, env["copy_reply"]


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        return [m.name for m in t]


# ------------------------------------------------------------------ what docker cp makes of its two paths

# Of a folder with: file ("file"), folder/{inner, deep/x}, link-file -> file, link-folder -> folder, broken -> made, flat: the destinations
# that there are. What is said of a destination: what there is in the end, relative to it. `None`: refused, and nothing changed.
RULES = [
    # A file.
    ("file", "new", {"new": "file"}),
    ("file", "new/", None),
    ("file", "missing/new", None),
    ("file", "there", {"there": "file"}),
    ("file", "there/", None),
    ("file", "dir", {"dir/file": "file"}),
    ("file", "dir/", {"dir/file": "file"}),
    ("file", "dir/.", {"dir/file": "file"}),
    ("file", "to-there", {"there": "file"}),
    ("file", "to-dir", {"dir/file": "file"}),
    ("file", "to-nothing", {"nothing": "file"}),
    ("file", "dir-file", None),              # has a folder "file"
    ("file/", "new", None),
    ("file/.", "dir", None),
    ("nothing-here", "dir", None),
    # A folder.
    ("folder", "new", {"new/inner": "inner", "new/deep/x": "x"}),
    ("folder", "new/", {"new/inner": "inner", "new/deep/x": "x"}),
    ("folder/", "new", {"new/inner": "inner", "new/deep/x": "x"}),
    ("folder", "new/.", None),
    ("folder", "missing/new", None),
    ("folder", "there", None),
    ("folder", "dir", {"dir/folder/inner": "inner", "dir/folder/deep/x": "x"}),
    ("folder/", "dir/", {"dir/folder/inner": "inner", "dir/folder/deep/x": "x"}),
    ("folder", "to-there", None),
    ("folder", "to-dir", {"dir/folder/inner": "inner", "dir/folder/deep/x": "x"}),
    ("folder", "to-nothing", {"nothing/inner": "inner", "nothing/deep/x": "x"}),
    ("folder", "dir-folder", {"dir-folder/folder/inner": "inner", "dir-folder/folder/deep/x": "x", "dir-folder/folder/old": "old"}),
    ("folder", "file-folder", None),         # has a file "folder"
    # What is in it.
    ("folder/.", "new", {"new/inner": "inner", "new/deep/x": "x"}),
    ("folder/.", "there", None),
    ("folder/.", "dir", {"dir/inner": "inner", "dir/deep/x": "x"}),
    ("folder/.", "to-dir", {"dir/inner": "inner", "dir/deep/x": "x"}),
    # Symlinks are copied, -L follows.
    ("link-file", "new", {"new": "-> file"}),
    ("link-file", "dir", {"dir/link-file": "-> file"}),
    ("-L link-file", "new", {"new": "file"}),
    ("-L link-file", "dir", {"dir/link-file": "file"}),
    ("link-folder", "dir", {"dir/link-folder": "-> folder"}),
    ("link-folder/", "dir", {"dir/link-folder/inner": "inner", "dir/link-folder/deep/x": "x"}),
    ("-L link-folder", "dir", {"dir/link-folder/inner": "inner", "dir/link-folder/deep/x": "x"}),
    ("link-folder/.", "dir", {"dir/inner": "inner", "dir/deep/x": "x"}),
    ("-L broken", "dir", None),
    ("broken", "dir", {"dir/broken": "-> made"}),
]

SOURCE = """mkdir -p $1/folder/deep; cd $1; echo -n file > file; echo -n inner > folder/inner; echo -n x > folder/deep/x
ln -s file link-file; ln -s folder link-folder; ln -s made broken"""
TARGET = """rm -rf $1; mkdir -p $1/dir $1/dir-file/file $1/dir-folder/folder $1/file-folder; cd $1; echo -n old > there
echo -n old > dir-folder/folder/old; echo -n old > file-folder/folder; ln -s there to-there; ln -s dir to-dir; ln -s nothing to-nothing"""
SHOW = """cd $1; find . | while read f; do if [ -L $f ]; then echo "$f -> $(readlink $f)"; elif [ -f $f ]; then echo "$f $(cat $f)"; fi; done"""


def tree(text):
    """"./a content" lines -> {a: content}"""
    return {line.split(" ", 1)[0][2:]: line.split(" ", 1)[1] for line in text.splitlines()}


@pytest.mark.native
@pytest.mark.parametrize("into", [True, False], ids=["into", "out-of"])
def test_the_table_of_docker_cp(host, tmp_path, into):
    name = host.detached("sleep", "1000")

    def inside(script, path):
        return host.berth("exec", name, "sh", "-c", script, "sh", path).out

    def outside(script, path):
        return subprocess.run(["/bin/sh", "-c", script, "sh", path], check=True, capture_output=True, text=True).stdout
    here, there = (outside, inside) if into else (inside, outside)
    source, target = (str(tmp_path), "/t") if into else ("/s", str(tmp_path / "t"))
    here(SOURCE, source)
    before = tree(there(TARGET + "\n" + SHOW, target))
    for src, dst, expected in RULES:
        *flags, src = src.split()
        src, dst_ = "%s/%s" % (source, src), "%s/%s" % (target, dst)
        args = [*flags, src, "%s:%s" % (name, dst_)] if into else [*flags, "%s:%s" % (name, src), dst_]
        got = host.berth("cp", *args, code=None)
        after = tree(there("(%s); %s" % (SHOW, TARGET), target))
        if expected is None:
            assert got.code == 1 and got.err, (src, dst, got)
            assert after == before, (src, dst, got)
        else:
            assert got.code == 0 and not got.err, (src, dst, got)
            assert expected.items() <= after.items(), (src, dst, after)
            assert after == {**before, **expected}, (src, dst)


# ------------------------------------------------------------------ every state

def test_running_paused_ended_created_and_read_only(host):
    """What is copied in is there, root's, whatever the container does; and comes out again."""
    with host.client() as c:
        created = host.berth("create", "--name", host.name(), "busybox", "sh", "-c", "cat /new/*; exec sleep 1000").out.strip()
        r = copy_in(c, created, "/", tar_of(("new/created", b"created\n", {"uid": 1000, "gid": 1000})))
        assert (r["entries"], r["bytes"]) == (1, 8)
        host.berth("start", created)
        host.wait_log(created, "created")
        copy_in(c, created, "/new", tar_of(("running", b"running\n")))
        assert host.berth("exec", created, "cat", "/new/created", "/new/running").out == "created\nrunning\n"
        host.berth("pause", created)
        copy_in(c, created, "/new/.", tar_of(("paused", b"paused\n")))
        assert names(copy_out(c, created, "/new")[1]) == ["new", "new/created", "new/paused", "new/running"]
        host.berth("unpause", created)
        host.berth("stop", "-t", "0", created)
        copy_in(c, created, "/new/", tar_of(("stopped", b"stopped\n")))
        stat_, data, _ = copy_out(c, created, "/new/stopped")
        assert stat_["name"] == "stopped" and stat_["size"] == 8 and stat_["uid"] == 0 and names(data) == ["stopped"]
        host.berth("start", created)
        host.wait_log(created, "created\npaused\nrunning\nstopped\n")
        assert set(host.berth("exec", created, "stat", "-c", "%u:%g", "/new/created", "/new/running", "/new/stopped").out.split()) == {"0:0"}
        # A read-only root is one for everybody, a volume in it is what it is.
        closed = host.berth("create", "--read-only", "-v", "copy-rw:/rw", "-v", "copy-rw:/ro:ro", "--tmpfs", "/tmp", "busybox", "sleep", "1000").out.strip()
        for _ in range(2):
            for path in ("/", "/bin", "/ro", "/tmp") if host.state_of(closed) == "created" else ("/", "/bin", "/ro"):
                with pytest.raises(Refused, match="cannot write there.*Read-only file system"):
                    copy_in(c, closed, path, tar_of(("x", b"x")))
            copy_in(c, closed, "/rw", tar_of(("x-" + host.state_of(closed), b"x")))
            host.berth("start", closed)
        assert host.berth("exec", closed, "ls", "/ro").out.split() == ["x-created", "x-running"]
        copy_in(c, closed, "/tmp", tar_of(("x", b"x")))


@pytest.mark.native
def test_a_container_that_waits_to_be_started_again_sees_what_was_copied(host):
    """Its shim keeps the overlay, which would not show what was written below it."""
    name = host.detached("--restart", "always", "--", "sh", "-c", "cat /told && exec sleep 1000; exit 1")
    host.wait_state(name, "backoff")
    eventually(lambda: host.status(name)["failures_in_row"] >= 3, "some failures")
    with host.client() as c:
        def copied():
            try:
                return copy_in(c, name, "/", tar_of(("told", b"told\n")))
            except Refused as e:
                assert e.code == "CONFLICT", e      # it was just starting
        eventually(copied, "the copy")
    host.wait_log(name, "told", seconds=20)
    host.wait_state(name, "running")


def test_a_start_waits_for_what_is_copied_in(host):
    name = host.berth("create", "busybox", "sh", "-c", "cat /late; exec sleep 1000").out.strip()
    data = tar_of(("late", b"late\n" * 50000))
    with host.client() as c, host.client() as d:
        r, w = os.pipe()
        copying = c.ask("container_copy", {"ref": name, "path": "/", "direction": "TO"}, [r])
        os.close(r)
        os.write(w, data[:40000])
        eventually(lambda: jobs(host), "the job")
        starting = d.ask("container_start", {"ref": name})
        eventually(lambda: host.status(name).get("status_reason") == "something is being copied into it", "the start to wait")
        assert host.state_of(name) == "created"
        with pytest.raises(Refused, match="as soon as others have copied"):
            copy_in(host.client(), name, "/", tar_of(("x", b"x")))
        with os.fdopen(w, "wb") as f:
            f.write(data[40000:])
        assert "copy_reply" in c.answer(copying)[0]
        assert d.answer(starting)[0]["container_reply"]["container"]["status"]["state"] == "CONTAINER_STATE_RUNNING"
    host.wait_log(name, "late")
    # One that goes takes what is copied into it along, and says so.
    with host.client() as c:
        r, w = os.pipe()
        copying = c.ask("container_copy", {"ref": name, "path": "/", "direction": "TO"}, [r])
        os.close(r)
        os.write(w, data[:40000])
        eventually(lambda: jobs(host), "the job")
        host.berth("rm", "-f", name)
        env, _ = c.answer(copying)
        assert env["error"]["code"] == "CONFLICT" and "being removed" in env["error"]["text"], env
        os.close(w)


def jobs(host):
    """The processes that copy."""
    found = []
    for pid, (_, _, name) in processes().items():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open("/proc/%d/cmdline" % pid, "rb") as f:
            if name == "berth-job" and f.read().startswith(b"berth-job\0copy\0"):
                found.append(pid)
    return found


def test_mounts_and_a_user_namespace(host, tmp_path):
    """Volumes and binds are seen whether the container runs or not; with ids of its own, root's files are root's, and what is not
    the container's to write is not."""
    (tmp_path / "bound").mkdir()
    (tmp_path / "bound" / "there").write_text("there")
    for ids in ([], ["--userns", "auto"]):
        volume = "copy-vol-%d" % len(ids)
        name = host.berth("create", *ids, "-v", volume + ":/vol", "-v", "%s:/bound" % (tmp_path / "bound"), "busybox", "sleep", "1000").out.strip()
        with host.client() as c:
            for state in ("created", "running", "exited"):
                if state == "running":
                    host.berth("start", name)
                if state == "exited":
                    host.berth("kill", name)
                    host.wait_state(name, "exited", "stopped")
                copy_in(c, name, "/vol", tar_of(("d/" + state, state.encode())))
                copy_in(c, name, "/", tar_of(("root/" + state, state.encode(), {"uid": 5, "gid": 6})), owners=True)
                assert stat(c, name, "/vol/d/" + state)["uid"] == 0
                assert (stat(c, name, "/root/" + state)["uid"], stat(c, name, "/root/" + state)["gid"]) == (5, 6)
                assert names(copy_out(c, name, "/bound/there")[1]) == ["there"]
                assert stat(c, name, "/bound/there")["uid"] == (65534 if ids else 0)
                if ids:      # root's of the host
                    with pytest.raises(Refused, match="Permission denied|Value too large"):
                        copy_in(c, name, "/bound", tar_of(("x", b"x")))
                    with pytest.raises(Refused, match="not of the container's user namespace"):
                        copy_in(c, name, "/", tar_of(("y", b"y", {"uid": 1 << 30})), owners=True)
                    with pytest.raises(Refused, match="device node: Operation not permitted"):
                        copy_in(c, name, "/", tar_of(("dev/z", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})))
            host.berth("start", name)
            for folder in ("/vol/d", "/root"):
                assert host.berth("exec", name, "ls", folder).out.split() == ["created", "exited", "running"]
            assert host.berth("exec", name, "stat", "-c", "%u", "/vol/d/exited", "/root/exited").out.split() == ["0", "5"]


def test_attributes_survive_both_ways(host, tmp_path):
    source = tmp_path / "s"
    source.mkdir()
    (source / "f").write_bytes(b"x" * 5)
    os.link(source / "f", source / "hard")
    os.chown(source / "f", 12, 34)
    os.chmod(source / "f", 0o4755)
    os.utime(source / "f", ns=(1_600_000_000_123456789, 1_600_000_000_123456789))
    os.mkfifo(source / "pipe", 0o640)
    with contextlib.suppress(OSError):      # not every file system has them
        os.setxattr(source / "f", "user.x", b"y")
    with open(source / "holes", "wb") as f:
        f.truncate(50 << 20)
        f.seek(10 << 20)
        f.write(b"z" * 4096)
    os.utime(source, ns=(1_500_000_000_000000001, 1_500_000_000_000000001))
    name = host.detached("sleep", "1000")
    host.berth("cp", source, name + ":/plain")
    host.berth("cp", "-a", source, name + ":/kept")
    inside = host.berth("exec", name, "stat", "-c", "%a %u:%g %h %Y %n", "/plain/f", "/kept/f", "/kept/hard").out.splitlines()
    assert inside == ["4755 0:0 2 1600000000 /plain/f", "4755 12:34 2 1600000000 /kept/f", "4755 12:34 2 1600000000 /kept/hard"]
    assert int(host.berth("exec", name, "du", "-k", "/kept/holes").out.split()[0]) < 1000
    host.berth("cp", name + ":/kept", tmp_path / "plain")
    host.berth("cp", "-a", name + ":/kept", tmp_path / "kept")
    st = os.stat(tmp_path / "plain" / "f")
    assert (st.st_mode & 0o7777, st.st_uid, st.st_gid, st.st_nlink, st.st_mtime_ns) == (0o755, 0, 0, 2, 1_600_000_000_123456789)
    st = os.stat(tmp_path / "kept" / "f")
    assert (st.st_mode & 0o7777, st.st_uid, st.st_gid, st.st_nlink) == (0o4755, 12, 34, 2)
    assert os.stat(tmp_path / "kept").st_mtime_ns == 1_500_000_000_000000001
    assert os.stat(tmp_path / "kept" / "holes").st_blocks < 1000 and (tmp_path / "kept" / "holes").read_bytes() == (source / "holes").read_bytes()
    assert os.path.exists(tmp_path / "kept" / "pipe") and (os.stat(tmp_path / "kept" / "pipe").st_mode & 0o777) == 0o640
    if "user.x" in os.listxattr(source / "f"):
        assert os.getxattr(tmp_path / "kept" / "f", "user.x") == b"y"


@pytest.mark.native
def test_archives_through_pipes(host, tmp_path):
    """- both ways, compressed too, from one container into another; and who looks on knows who copied in."""
    one, two = host.detached("sleep", "1000"), host.detached("sleep", "1000")
    host.berth("cp", "-", one + ":/", input=gzip.compress(tar_of(("d", None), ("d/x", b"x" * 100000))))
    out = host.popen("cp", one + ":/d/.", "-", stdout=subprocess.PIPE)
    into = host.popen("cp", "-", two + ":/root", stdin=out.stdout)
    out.stdout.close()
    assert into.wait(20) == 0 and out.wait(20) == 0
    assert host.berth("exec", two, "wc", "-c", "/root/x").out.split()[0] == "100000"
    host.refused("cp", "-", one + ":/d/x", input=tar_of(("y", b"")), text="/d/x: Not a directory")
    host.refused("cp", "-", one + ":/nope", input=tar_of(("y", b"")), text="/nope: No such file")
    host.refused("cp", one + ":/nope", "-", text="/nope: No such file")
    host.refused("cp", "-", one + ":/", input=tar_of(("y", b"z" * 5000))[:2000], text="runcated")
    host.refused("cp", "-", one + ":/", input=b"no archive at all" * 100, text="archive")
    host.refused("cp", one + ":/d", two + ":/d", text="between two containers", code=2)
    host.refused("cp", "/etc/hostname", "/tmp", text="neither is in a container", code=2)
    host.refused("cp", one + ":", "/tmp", text="a path is missing", code=2)
    host.refused("cp", "no-such:/d", str(tmp_path), text="no-such")
    # A reader that leaves is no failure of ours, and nothing hangs.
    out = host.popen("cp", one + ":/", "-", stdout=subprocess.PIPE)
    out.stdout.read(100)
    out.stdout.close()
    assert out.wait(20) == 1
    copies = [a for a in host.actions(one) if a["verb"] == "copy"]
    assert [a["ok"] if "ok" in a else a.get("result") for a in copies] and len(copies) == 5, copies      # out of it: not one


# ------------------------------------------------------------------ hostile

SECRET = "not for containers"


def test_no_path_leads_out_of_a_container(host, tmp_path):
    """Links of every kind, in a container that runs and in one that does not."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "target").mkdir()
    up = "/.." * 30
    links = {"abs": str(tmp_path), "up": up[1:] + str(tmp_path), "chain1": "chain2", "chain2": "up", "proc": "/proc/1/root" + str(tmp_path),
             "self": "/proc/self/root" + str(tmp_path), "fd": "/proc/self/fd/4/.." + str(tmp_path), "cwd": "/proc/self/cwd", "loop": "loop",
             "root": "/.."}
    name = host.detached("sh", "-c", "mkdir /l; cd /l; " + "; ".join("ln -s %s %s" % (v, k) for k, v in links.items()) + "; exec sleep 1000")
    eventually(lambda: len(host.berth("exec", name, "ls", "/l", code=None).out.split()) == len(links), "links")
    with host.client() as c:
        for state in ("running", "stopped"):
            if state == "stopped":
                host.berth("stop", "-t", "0", name)
            assert stat(c, name, "/l/up/..", follow=True) is None and stat(c, name, "/l/root/l/loop")["link_target"] == "loop"   # within it links lead
            for link in links:
                for path in ("/l/%s/secret" % link, "/l/%s/../secret" % link):
                    try:
                        assert stat(c, name, path) is None, (state, path)
                        _, data, _ = copy_out(c, name, path, follow=True)
                        assert SECRET.encode() not in data, (state, path)
                    except Refused as e:
                        assert SECRET not in e.text
                try:
                    copy_in(c, name, "/l/%s/target" % link, tar_of(("planted", b"x")))
                except Refused:
                    pass
                try:
                    copy_in(c, name, "/l", tar_of(("%s/target/planted" % link, b"x")))
                except Refused:
                    pass
                assert os.listdir(tmp_path / "target") == [], (state, link)
    assert (tmp_path / "secret").read_text() == SECRET and sorted(os.listdir(tmp_path)) == ["secret", "target"]


def test_a_folder_that_becomes_a_link_while_it_is_copied(host, tmp_path):
    """A program in the container swaps a folder and a link out of it as fast as it can, while files come in and go out."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text(SECRET)
    out = "/.." * 20 + str(tmp_path / "outside")
    name = host.detached("sh", "-c", "mkdir -p /s/d/in/deep; ln -s %s /s/l; ln -s %s /s/d/in/l; mkdir /s/d/in/m; echo inside > /s/d/secret; "
                         "guest swap /s/d/in/l /s/d/in/m & exec guest swap /s/d /s/l" % (out, out))
    eventually(lambda: host.berth("exec", name, "ls", "/s", code=None).out.split() == ["d", "l"], "the swapping")
    data = tar_of(*[("d/in/m/planted-%d" % i, b"x") for i in range(200)], ("d/planted", b"x"))
    end = time.time() + 3
    rounds = done = 0
    with host.client() as c:
        while time.time() < end or rounds < 3:
            rounds += 1
            for work in (lambda: copy_in(c, name, "/s", data), lambda: copy_in(c, name, "/s/d", tar_of(("planted", b"x"))),
                         lambda: copy_in(c, name, "/s/d/in/m", tar_of(("planted", b"x")))):
                with contextlib.suppress(Refused):
                    work()
                    done += 1
            for path in ("/s/d", "/s/d/secret", "/s/d/in/m", "/s/d/in/m/secret", "/s"):
                with contextlib.suppress(Refused):
                    assert SECRET.encode() not in copy_out(c, name, path, follow=True)[1]
                    done += 1
            assert os.listdir(tmp_path / "outside") == ["secret"]
    assert done, rounds        # and what it sees of itself is copied


HOSTILE_TARS = [
    ("dots", [("../planted", b"x")], "'..'"),
    ("dots within", [("a/../../planted", b"x")], "'..'"),
    ("hard link by dots", [("l", b"", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"})], "'..'"),
    ("hard link to nothing", [("l", b"", {"type": tarfile.LNKTYPE, "linkname": "nothing/here"})], "No such file"),
    ("size of exabytes", [("big", b"", {"size": 7 << 60})], "space|big|more are needed|runcated|large|bad archive"),
    ("file over folder", [("d/x", b"x"), ("d", b"y")], "cannot be overwritten by what is none"),
    ("folder over file", [("f", b"x"), ("f", None)], "cannot be overwritten by one"),
    ("name too long", [("n" * 300, b"x")], "too long"),
    ("path too long", [("/".join(["n" * 200] * 25), b"x")], "too long"),
    ("owner out of range", [("o", b"x", {"uid": 1 << 40})], "out of range"),
]


@pytest.mark.native
@pytest.mark.parametrize("case", HOSTILE_TARS, ids=lambda c: c[0].replace(" ", "-"))
def test_hostile_archives_are_refused(host, tmp_path, case):
    """By the container's end, and by ours."""
    what, entries, text = case
    name = host.berth("create", "busybox", "true").out.strip()
    with host.client() as c:
        with pytest.raises(Refused, match=text):
            copy_in(c, name, "/root", tar_of(*entries), owners=True)
        assert stat(c, name, "/planted") is None
    ours = unpack(tmp_path / "here", tar_of(*entries), owners=1)
    assert ours.get("error") and re.search(text, ours["error"]["text"]), ours
    assert os.listdir(tmp_path) == ["here"]


def unpack(folder, data, name=".", owners=0):
    """Our end of a copy, alone: its last word."""
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    r, w = os.pipe()

    def child():
        for i, high in enumerate([fcntl.fcntl(n, fcntl.F_DUPFD, 100) for n in (theirs.fileno(), fd, r)]):
            os.dup2(high, 3 + i)
    job = subprocess.Popen([os.path.join(os.environ["BERTH_BIN"], "berth-job"), "unpack", name, "owners=%d" % owners], preexec_fn=child, close_fds=False)
    theirs.close()
    os.close(r)
    os.close(fd)
    with contextlib.suppress(BrokenPipeError), os.fdopen(w, "wb") as f:
        f.write(data)
    job.wait(20)
    got = SCHEMA.decode("Envelope", ours.recv(65536))
    ours.close()
    return got


def test_what_a_container_made_up_stays_what_it_may_be_outside(host, tmp_path):
    """The archive that comes out is not trusted: no link is followed, nothing else is made than was asked for, no device, no setuid."""
    os.mkdir(tmp_path / "out")
    link = {"type": tarfile.SYMTYPE}
    for i, (entries, text) in enumerate([
            ([("l", b"", {**link, "linkname": str(tmp_path / "out")}), ("l/planted", b"x")], "through a symlink"),
            ([("l", b"", {**link, "linkname": "."}), ("l/planted", b"x")], "through a symlink"),
            ([("l", b"", {**link, "linkname": str(tmp_path / "out")}), ("h", b"", {"type": tarfile.LNKTYPE, "linkname": "l/x"})], "hard link"),
            ([("asked", b"x"), ("other", b"x")], "nothing of that name was asked for"),
            ([("asked-too", b"x")], "nothing of that name was asked for")]):
        got = unpack(tmp_path / ("t%d" % i), tar_of(*entries), name="asked" if "asked" in entries[0][0] else ".")
        assert re.search(text, got["error"]["text"]), got
        assert os.listdir(tmp_path / "out") == [] and not os.path.exists(tmp_path / ("t%d" % i) / "other")
    got = unpack(tmp_path / "good", tar_of(
        ("dev", b"", {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0}), ("suid", b"x", {"mode": 0o6755, "uid": 5}), ("abs", b"", {**link, "linkname": "/etc"}),
        ("cap", b"x", {"pax_headers": {"SCHILY.xattr.security.capability": "\x01\0\0\x02\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[:20]}})))
    assert got["copy_reply"]["passed_over"] == 1 and not os.path.lexists(tmp_path / "good" / "dev")
    st = os.stat(tmp_path / "good" / "suid")
    assert st.st_mode & 0o7777 == 0o755 and st.st_uid == os.geteuid()
    assert "security.capability" not in os.listxattr(tmp_path / "good" / "cap")


@pytest.mark.native
def test_odd_files_neither_hang_nor_hurt(host, tmp_path):
    """Pipes, sockets, devices, files of the kernel, one that grows: copied as what they are, left out, or refused, at once."""
    name = host.detached("sh", "-c", "mkdir /o; cd /o; mkfifo pipe; mknod zero c 1 5; mknod disk b 8 0; echo x > f; chmod 4755 f; ln -s /dev/zero z; "
                         "while :; do echo 0123456789 >> /o/grows; done")
    eventually(lambda: host.berth("exec", name, "ls", "/o", code=None).out.split() == ["disk", "f", "grows", "pipe", "z", "zero"], "its files")
    r = host.berth("cp", name + ":/o", tmp_path)
    assert "2 left out" in r.err and sorted(os.listdir(tmp_path / "o")) == ["f", "grows", "pipe", "z"]
    assert os.stat(tmp_path / "o" / "f").st_mode & 0o7777 == 0o755
    whole = host.berth("cp", name + ":/", "-").out
    assert len(whole) > 100000
    with host.client() as c:
        with tarfile.open(fileobj=io.BytesIO(copy_out(c, name, "/")[1])) as t:
            inside = {m.name.lstrip("./"): m for m in t}
        assert "proc" in inside and not [n for n in inside if n.startswith("proc/") or n.startswith("sys/")]
        assert inside["o/zero"].ischr() and inside["o/pipe"].isfifo() and inside["dev/null"].ischr()
        for path in ("/proc/kmsg", "/proc/self/mem", "/sys", "/proc"):
            with pytest.raises(Refused, match="kernel|No such file"):
                copy_out(c, name, path)
        with pytest.raises(Refused, match="kernel"):
            copy_in(c, name, "/proc", tar_of(("x", b"x")))
        assert copy_out(c, name, "/dev/zero")[0]["mode"] & 0o170000 == 0o020000
        host.refused("cp", "/etc/hostname", name + ":/o/pipe", text="neither a folder nor a regular file")
        # In it, what its root could make itself.
        node = tar_of(("made", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}))
        copy_in(c, name, "/o", node)
        with pytest.raises(Refused, match="device node: Operation not permitted"):
            copy_in(c, host.berth("create", "--cap-drop", "MKNOD", "busybox", "true").out.strip(), "/root", node)
        # A file that is mounted cannot be replaced, but written to.
        copy_in(c, name, "/etc", tar_of(("hosts", b"127.0.0.1 written\n")))
        assert "written" in host.berth("exec", name, "cat", "/etc/hosts").out


@pytest.mark.native
def test_a_device_asked_for_by_its_name_is_a_failure(host, tmp_path):
    host.refused("cp", host.detached("sleep", "1000") + ":/dev/null", tmp_path, text="1 left out")
    assert not os.listdir(tmp_path)


@pytest.mark.native
def test_what_is_copied_out_never_takes_the_place_of_a_device(host, tmp_path):
    """`berth cp web:/x /dev/null` would make a file of /dev/null, for the whole host; Docker refuses it too."""
    name = host.detached("sleep", "1000")
    os.mknod(tmp_path / "null", 0o020666, os.makedev(1, 3))
    os.mkfifo(tmp_path / "pipe")
    os.symlink("null", tmp_path / "link")
    before = {n: os.lstat(tmp_path / n).st_ino for n in os.listdir(tmp_path)}
    for n in before:
        host.refused("cp", name + ":/etc/passwd", tmp_path / n, text=n + " is neither a folder nor a regular file")
        host.refused("cp", name + ":/etc", tmp_path / n, text=n + " is neither a folder nor a regular file")
    assert {n: os.lstat(tmp_path / n).st_ino for n in os.listdir(tmp_path)} == before


@pytest.mark.native
def test_an_archive_that_cannot_be_written_says_why(host):
    with open("/dev/full", "wb") as full:
        p = host.popen("cp", host.detached("sleep", "1000") + ":/etc", "-", stdout=full, stderr=subprocess.PIPE)
        assert p.communicate(timeout=30)[1].strip().endswith(b"the archive: No space left on device") and p.returncode == 1


@pytest.mark.native
def test_who_asks_and_with_what(host):
    """A pipe or a stream socket, or nothing is done; a container with more than a member may have is not a member's to look into."""
    name = host.detached("sleep", "1000")
    with host.client() as c:
        for path, flags in (("/dev/zero", os.O_RDONLY), ("/etc/hostname", os.O_RDONLY), ("/tmp", os.O_RDONLY), ("/proc/self/mem", os.O_RDWR)):
            fd = os.open(path, flags)
            with pytest.raises(Refused, match="no pipe and no stream socket"):
                c.request("container_copy", {"ref": name, "path": "/", "direction": "TO"}, [fd])
            os.close(fd)
        for fields, text in (({"direction": "FROM"}, "descriptor is missing"), ({}, "direction"), ({"direction": "STAT", "path": ""}, "path"),
                             ({"direction": "STAT", "path": "x" * 5000}, "path"), ({"direction": "STAT", "name": "a/b"}, "name")):
            with pytest.raises(Refused) as e:
                c.request("container_copy", {"ref": name, "path": "/", **fields})
            assert e.value.field == text or text in e.value.text, e.value
    with host.api(host.token("default", "member")) as m:
        assert copy_in(m, name, "/", tar_of(("by-member", b"x")))["entries"] == 1
        wide = host.detached("-v", "/etc:/etc-of-host", "--", "sleep", "1000")
        with pytest.raises(Refused, match="a member may not ask for") as e:
            stat(m, wide, "/etc-of-host/shadow")
        assert e.value.code == "DENIED"
        with pytest.raises(Refused, match="a member may not ask for"):
            copy_in(m, wide, "/etc-of-host", tar_of(("planted", b"x")))


@pytest.mark.native
def test_a_client_that_is_killed_leaves_nothing(host, tmp_path):
    """Neither a job nor a mount; what was copied until then stays. The same when its archive never ends."""
    name = host.berth("create", "busybox", "true").out.strip()
    for stuck in (["cp", "-", name + ":/root"], ["cp", name + ":/", "-"]):
        p = host.popen(*stuck, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        eventually(lambda: jobs(host), "the job")
        time.sleep(0.1)
        p.kill()
        p.wait()
        eventually(lambda: not jobs(host), "its end")
        p.stdin.close()
        p.stdout.close()
    # One that goes and leaves its end of the pipe open, to itself or to somebody else.
    r, w = os.pipe()
    with host.client() as c:
        c.ask("container_copy", {"ref": name, "path": "/root", "direction": "TO"}, [r])
        eventually(lambda: jobs(host), "the job")
    eventually(lambda: not jobs(host), "its end")
    os.close(r)
    os.close(w)
    # An endless file: as much as there is room for, or until nobody wants it any more.
    p = host.popen("cp", "-", name + ":/root", stdin=subprocess.PIPE)
    with contextlib.suppress(BrokenPipeError):
        p.stdin.write(tar_of(("first", b"1"), ("endless", b"", {"size": 1 << 33}))[:1536])
        for _ in range(100):
            p.stdin.write(bytes(1 << 16))
    p.kill()
    p.wait()
    eventually(lambda: not jobs(host), "its end")
    with host.client() as c:
        assert stat(c, name, "/root/first")["size"] == 1


@pytest.mark.native
def test_berthd_ends_while_something_is_copied(host):
    """Whoever copies is told, and the next berthd finds nothing of it."""
    name = host.berth("create", "busybox", "true").out.strip()
    for sig in (signal.SIGTERM, signal.SIGKILL):
        p = host.popen("cp", "-", name + ":/root", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        eventually(lambda: jobs(host), "the job")
        host.restart(sig)
        assert "berthd went away" in p.communicate()[1].decode() and p.returncode == 1
        eventually(lambda: not jobs(host), "its end")
        with host.client() as c:
            assert copy_in(c, name, "/root", tar_of(("x", b"x")))["entries"] == 1
        eventually(lambda: not jobs(host), "its end")


@pytest.mark.native
def test_a_user_without_rights_copies_with_his_own(host, tmp_path):
    """A member of a project, who is nobody on the host: his files go in and come out, and no others."""
    name = "of-nobody"
    secret = host.token("nobodys", "nobody")
    with host.api(secret) as m:
        m.request("container_create", {"name": name, "start": True, "spec": {"image": "busybox", "command": ["sleep", "1000"]}})
    own = tmp_path / "own"
    own.mkdir()
    (own / "f").write_text("f")
    (tmp_path / "roots").write_text("root's")
    os.chmod(tmp_path / "roots", 0o600)
    for d in (tmp_path, *list(tmp_path.parents)[:3]):
        os.chmod(d, 0o755)
    for f in (own, own / "f"):
        os.chown(f, 65534, 65534)

    def cp(*args):
        env = {**os.environ, "BERTH_SOCKET": host.run + "/api.sock", "BERTH_TOKEN": secret}
        return subprocess.run([os.path.join(os.environ["BERTH_BIN"], "berth"), "cp", "-a", *args], env=env, user=65534, group=65534, extra_groups=[],
                              cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert cp(str(own), name + ":/in").returncode == 0
    assert cp(name + ":/in", str(own / "out")).returncode == 0
    assert (own / "out" / "f").read_text() == "f" and os.stat(own / "out" / "f").st_uid == 65534
    for args in ((str(tmp_path / "roots"), name + ":/"), (name + ":/in/f", str(tmp_path / "planted"))):
        r = cp(*args)
        assert r.returncode == 1 and "Permission denied" in r.stderr, r
    assert not os.path.exists(tmp_path / "planted")


@pytest.mark.native
def test_a_big_file_both_ways(host, tmp_path):
    big = tmp_path / "big"
    with open(big, "wb") as f:
        for i in range(200):
            f.write(os.urandom(1 << 20))
    name = host.detached("sleep", "1000")
    times = []
    for args in (("cp", big, name + ":/big"), ("cp", name + ":/big", tmp_path / "back")):
        start = time.time()
        host.berth(*args)
        times.append(time.time() - start)
    print("200 MiB: in %.0f MiB/s, out %.0f MiB/s" % tuple(200 / t for t in times))
    with open(big, "rb") as a, open(tmp_path / "back", "rb") as b:
        assert hashlib.file_digest(a, "sha256").digest() == hashlib.file_digest(b, "sha256").digest()
