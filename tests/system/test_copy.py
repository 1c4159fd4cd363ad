"""berth cp and ContainerCopy."""

import io
import os
import subprocess
import tarfile
import threading

import pytest

from proto import Client, Refused


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
            if info.type == tarfile.REGTYPE and not (more and "size" in more[0]):
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


@pytest.mark.parametrize("into", [True, False], ids=["into", "out-of"])
def test_the_table_of_docker_cp(host, tmp_path, into):
    name = host.detached("busybox", "sleep", "1000")

    def inside(script, path):
        return host.berth("exec", name, "sh", "-c", script, "sh", path).out

    def outside(script, path):
        return subprocess.run(["/bin/sh", "-c", script, "sh", path], check=True, capture_output=True, text=True).stdout
    here, there = (outside, inside) if into else (inside, outside)
    source, target = (str(tmp_path), "/t") if into else ("/s", str(tmp_path / "t"))
    here(SOURCE, source)
    for src, dst, expected in RULES:
        there(TARGET, target)
        before = tree(there(SHOW, target))
        *flags, src = src.split()
        src, dst_ = "%s/%s" % (source, src), "%s/%s" % (target, dst)
        args = [*flags, src, "%s:%s" % (name, dst_)] if into else [*flags, "%s:%s" % (name, src), dst_]
        got = host.berth("cp", *args, code=None)
        after = tree(there(SHOW, target))
        if expected is None:
            assert got.code == 1 and got.err, (src, dst, got)
            assert after == before, (src, dst, got)
        else:
            assert got.code == 0 and not got.err, (src, dst, got)
            assert {k: v for k, v in after.items() if before.get(k) != v} == {k: v for k, v in expected.items() if before.get(k) != v}, (src, dst)
            assert expected.items() <= after.items(), (src, dst)
