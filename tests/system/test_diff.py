"""berth diff: what a container has changed of its files, and nothing that only mounting has made."""

import json
import subprocess

import pytest

from host import eventually
from test_commit import base  # noqa: F401 - a fixture


def lines(host, name):
    return host.berth("diff", name).out.splitlines()


@pytest.mark.parametrize("flags", [(), ("--userns", "auto")])
def test_what_is_added_changed_and_deleted_with_the_folders_it_is_in(host, base, flags):
    name = host.name()
    host.berth("run", "--name", name, *flags, base, "sh", "-c", """set -e
echo x > /home/alice/new; echo y >> /etc/passwd; rm /bin/bad-format; mkdir -p /a/b; touch /a/b/c
rm -r /home/alice2; mkdir /home/alice2; touch /home/alice2/fresh
touch /tmp/gone; rm /tmp/gone; chmod 700 /var; mv /bin/bad-interpreter /bin/moved; echo z > "/a/$(printf 'b\\\\ \\377')" """)
    assert lines(host, name) == [
        "A /a", "A /a/b", "A /a/b/c", "A /a/b\\\\ \\xff", "C /bin", "D /bin/bad-format", "D /bin/bad-interpreter", "A /bin/moved", "C /etc",
        "C /etc/passwd", "C /home", "C /home/alice", "A /home/alice/new", "C /home/alice2", "A /home/alice2/fresh", "D /home/alice2/old", "C /tmp", "C /var"]
    seen = host.berth("diff", "--format", "json", name).json()
    assert seen[0] == {"kind": "added", "path": "/a"} and len(seen) == 18


@pytest.mark.native
def test_names_are_told_exactly_whatever_is_in_them(host, base):
    """Each change is one line and does nothing to a terminal; what stands there is the name again by printf %b."""
    names = [b"plain", b"new\nA line", b"\033[2J", b"tab\t", b"del\x7f", b"c1\xc2\x9b", b"nbsp\xc2\xa0", b"\xff\xfe", b"cut\xe2\x82", b"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8b",
             b"back\\slash", b"\\x41", b"quote\"'", b" blank "]
    name = host.name()
    host.berth("run", "--name", name, base, "sh", "-c", "mkdir /n; cd /n; for n in \"$@\"; do : > \"$(printf \"$n\")\"; done", "sh",
               *("".join("\\%03o" % c for c in n) for n in names))
    said = lines(host, name)
    assert said[0] == "A /n" and len(said) == 1 + len(names)
    assert {"A /n/c1\\xc2\\x9b", "A /n/new\\x0aA line", "A /n/\\x1b[2J", "A /n/nbsp\u00a0", "A /n/cut\\xe2\\x82", "A /n/\u00e4\u20ac\U0001f40b", "A /n/\\\\x41"} < set(said)
    paths = [c["path"] for c in host.berth("diff", "--format", "json", name).json()]
    assert paths == [line[2:] for line in said]
    again = [subprocess.run(["sh", "-c", "printf %b \"$1\"", "sh", p], env={"LC_ALL": "C"}, executable="/bin/bash", capture_output=True).stdout for p in paths[1:]]
    assert sorted(again) == sorted(b"/n/" + n for n in names)


def test_mount_points_are_not_changes_and_not_in_an_image(host, base, tmp_path):
    (tmp_path / "f").write_text("of the host")
    name = host.detached("-v", "data:/not/there/yet", "-v", "%s:/srv/file" % (tmp_path / "f"), "--tmpfs", "/scratch", "-v", "more:/home/alice2", "--", "sh", "-c",
                         "echo 1 > /not/there/yet/x; echo 2 > /scratch/x; echo 3 > /srv/own; exec sleep 1000")
    eventually(lambda: "A /srv/own" in lines(host, name), "it has written")
    assert lines(host, name) == ["A /srv", "A /srv/own"]
    host.berth("commit", name, "points")
    assert host.berth("run", "--rm", "points", "sh", "-c", "ls -A / | grep -e not -e scratch; ls /srv").out == "own\n"


def test_nothing_changed_and_never_ran(host, base):
    name = host.name()
    host.berth("create", "--name", name, base, "true")
    assert lines(host, name) == [] and host.berth("diff", "--format", "json", name).json() == []
    host.berth("start", name)
    host.wait_state(name, "exited", "stopped")
    assert lines(host, name) == []
    host.refused("diff", "nobody", text="no container")


def test_more_changes_than_a_record_holds(host, base):
    name = host.name()
    host.berth("run", "--name", name, base, "sh", "-c", "mkdir /many; cd /many; i=0; while [ $i -lt 3000 ]; do : > file-with-a-name-of-some-length-$i; i=$((i+1)); done")
    assert len(lines(host, name)) == 3001
    assert len(json.loads(host.berth("diff", "--format", "json", name).out)) == 3001
