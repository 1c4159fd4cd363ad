"""The first content of a volume: what the image has where it is mounted, whole or not at all."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from conftest import busybox_image
from host import SLOW, eventually
from oci import layer


@pytest.fixture
def www(host, tmp_path):
    """An image whose two layers make /srv/www together, with a link that leads there."""
    low = layer({"srv": None, "srv/www": ("dir", 0o2750, 33), "srv/www/index": b"low", "srv/www/gone": b"x", "srv/www/sub": None, "srv/www/sub/old": b"x",
                 "srv/www/secret": ("file", b"alice's\n", 0o600, 1000), "srv/www/link": ("link", "/etc/passwd"), "www": ("link", "/srv/www"),
                 "srv/www/tool": ("file", b"#!/bin/sh\necho tool\n", 0o4755, 0), "out": ("link", "../../../../../../etc")})
    top = layer({"srv/www/index": b"top", "srv/www/.wh.gone": b"", "srv/www/sub/.wh..wh..opq": b"", "srv/www/sub/new": b"x",
                 "srv/www/twin": ("hard", "srv/www/index"), "srv/full/a": b"a", "etc/mark": b"the image's"})
    host.berth("image", "import", busybox_image("www", more=(low, top)).write_layout(str(tmp_path / "www")))
    yield "www"
    host.remove_all()
    host.berth("image", "rm", "www")


LOOK = "cd /v && stat -c '%n %a %u:%g %h' . * sub/* && cat index && readlink link"
CONTENT = """. 2750 33:33 3
index 755 0:0 2
link 777 0:0 1
secret 600 1000:1000 1
sub 755 0:0 2
tool 4755 0:0 1
twin 755 0:0 2
sub/new 755 0:0 1
top/etc/passwd
"""


def folder(host, name):
    return host.berth("volume", "inspect", "-f", ".path", name).text


def names(host, name):
    return sorted(os.listdir(folder(host, name)))


def beside(host):
    """What lies in STATE/volumes beside the volumes themselves."""
    return [n for n in os.listdir(host.state + "/volumes") if "." in n]


@pytest.mark.native
@pytest.mark.parametrize("flags", [["-v", "data:/srv/www"], ["-v", "data:/www"], ["-v", "data:/srv/www:ro"], ["--mount", "src=data,dst=/srv/www"]])
def test_a_new_volume_has_what_the_image_has_there(host, www, flags):
    host.berth("run", "--rm", *flags, www, "true")
    assert host.run_("-v", "data:/v", "--", "sh", "-c", LOOK).out == CONTENT
    assert beside(host) == []


@pytest.mark.native
def test_a_volume_without_a_name_is_filled_too(host, www):
    assert host.berth("run", "--rm", "-v", "/srv/www", www, "cat", "/srv/www/index").text == "top"


@pytest.mark.native
def test_a_volume_is_filled_once_and_only_if_it_is_empty(host, www):
    host.run_("-v", "mine:/v", "--", "touch", "/v/mine")
    host.berth("run", "--rm", "-v", "mine:/srv/www", www, "true")
    assert names(host, "mine") == ["mine"]
    host.berth("create", "--name", "c", "-v", "data:/srv/full", www, "rm", "-f", "/srv/full/a")
    host.berth("start", "c")
    host.wait_state("c", "exited")
    host.berth("start", "-a", "c")
    assert names(host, "data") == []                # a second start of the same container fills nothing
    host.berth("run", "--rm", "-v", "data:/srv/full", www, "true")
    assert names(host, "data") == ["a"]             # a new one finds it empty, as with Docker


@pytest.mark.native
@pytest.mark.parametrize("flags", [["-v", "data:/srv/www:nocopy"], ["-v", "data:/srv/www:ro,nocopy"],
                                   ["--mount", "type=volume,src=data,dst=/srv/www,volume-nocopy"],
                                   ["-v", "data:/not/there"], ["-v", "data:/etc/passwd/x"], ["-v", "data:/var/x"]])
def test_what_is_not_there_or_not_wanted_fills_nothing(host, www, flags):
    host.berth("run", "--rm", *flags, www, "true", code=None)
    assert names(host, "data") == [] and beside(host) == []


@pytest.mark.native
def test_a_link_of_the_image_leads_into_the_image(host, www):
    host.berth("run", "--rm", "-v", "data:/out", www, "true")
    assert "mark" in names(host, "data")            # its own /etc, not the host's


RENAMES = "import os\nopen('a', 'w')\nprint(flush=True)\nwhile True: os.rename('a', 'b'); os.rename('b', 'a')"


@pytest.mark.native
@pytest.mark.alone
def test_what_others_rename_meanwhile_stops_no_start(host, www, tmp_path):
    """To a path with ".." the kernel says EAGAIN when anything on the host was renamed since it began."""
    with subprocess.Popen([sys.executable, "-c", RENAMES], cwd=tmp_path, stdout=subprocess.PIPE) as others:
        try:
            others.stdout.readline()
            for n in range(15):
                host.berth("run", "--rm", "-v", "data%d:/out" % n, www, "true")
                assert "mark" in names(host, "data%d" % n)
        finally:
            others.kill()


def test_a_volume_that_runs_elsewhere_empty_is_filled_under_it(host, www):
    name = host.detached("-v", "data:/v", "--", "sleep", "600")
    host.berth("run", "--rm", "-v", "data:/srv/www", www, "true")
    assert host.berth("exec", name, "sh", "-c", LOOK).out == CONTENT


@pytest.mark.native
def test_containers_started_together_fill_a_volume_once(host, www):
    runs = [host.popen("run", "--rm", "-v", "data:/srv/www", www, "sh", "-c", "cd /srv/www && ls | wc -l") for _ in range(8)]
    assert [p.communicate(timeout=60 * SLOW)[0].strip() for p in runs] == [b"6"] * 8
    assert len(names(host, "data")) == 6


def test_extended_attributes_and_file_capabilities_come_along(host, www):
    host.berth("run", "-d", "--name", "made", www, "sleep", "600")
    layer_dir = next(os.path.join(host.state, "images/layers", d, "srv/www") for d in os.listdir(host.state + "/images/layers")
                     if os.path.exists(os.path.join(host.state, "images/layers", d, "srv/www/tool")))
    os.setxattr(layer_dir + "/tool", "user.note", b"kept")
    os.setxattr(layer_dir + "/tool", "security.capability", bytes([1, 0, 0, 2, 0, 0x20] + [0] * 14))
    host.berth("run", "--rm", "-v", "data:/srv/www", www, "true")
    tool = folder(host, "data") + "/tool"
    assert os.getxattr(tool, "user.note") == b"kept" and len(os.getxattr(tool, "security.capability")) == 20
    os.removexattr(layer_dir + "/tool", "user.note")


def test_a_user_namespace_of_its_own_sees_the_owners_that_the_image_has(host, www):
    userns = ["run", "--rm", "--userns", "auto"]
    r = host.berth(*userns, "-v", "data:/srv/www", www, "sh", "-c", "touch /srv/www/new; chown 5 /srv/www/new; cd /srv/www; stat -c '%n %u:%g' . secret new")
    assert r.lines == [". 33:33", "secret 1000:1000", "new 5:33"]
    assert os.stat(folder(host, "data") + "/new").st_uid == 5
    assert host.run_("-v", "data:/v", "--", "stat", "-c", "%u", "/v/new").text == "5"
    assert host.berth(*userns, "-v", "empty:/v", "busybox", "sh", "-c", "touch /v/x && stat -c %u /v /v/x").lines == ["0", "0"]


def test_what_cannot_be_filled_does_not_start_and_says_why(host, www):
    host.berth("volume", "create", "data")
    path = folder(host, "data")
    os.rmdir(path)
    open(path, "w").close()
    host.refused("run", "--rm", "-v", "data:/srv/www", www, "true", text="fill volume data from the image", code=125)
    assert host.list() == [] and beside(host) == []
    os.unlink(path)
    host.berth("run", "--rm", "-v", "data:/srv/www", www, "true")
    assert len(names(host, "data")) == 6


# ---------------------------------------------------------------- interrupted

FILES = 3000 if SLOW < 10 else 1000     # more than a job has copied by the time it is caught


@pytest.fixture
def big(host, tmp_path):
    files = {"data": None}
    for i in range(FILES):
        files["data/f%04d" % i] = b"%d" % i * 500
    host.berth("image", "import", busybox_image("big", more=(layer(files),)).write_layout(str(tmp_path / "big")))
    yield "big"
    host.remove_all()
    host.berth("image", "rm", "big")


def fill_job(host):
    """The job that fills, while its copy is not whole."""
    for group in host.jobs():
        with contextlib.suppress(OSError, ValueError):
            with open("%s/jobs/%s/cgroup.procs" % (host.cgroup_dir, group)) as f:
                pid = int(f.read())
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                if f.read().startswith(b"berth-job\0fill\0") and [n for n in beside(host) if n.endswith(".new")]:
                    return pid
    return None


class Filling:
    """A container whose volume is being filled by a job that was stopped on its way."""

    def __init__(self, host, image):
        self.host, self.job = host, None
        host.berth("create", "--name", "c", "-v", "data:/data", image, "sh", "-c", "ls /data | wc -l; sleep 600")
        stop = threading.Thread(target=self.catch)
        stop.start()
        self.start = host.popen("start", "c")
        stop.join()
        assert self.job, "no job was seen"

    def catch(self):
        try:
            self.job = eventually(lambda: fill_job(self.host), "a job fills", pause=0)
            os.kill(self.job, signal.SIGSTOP)
            assert fill_job(self.host) == self.job
        except (AssertionError, OSError):
            self.job = None


def test_kill_9_of_berthd_during_a_fill_leaves_a_whole_volume(host, big):
    Filling(host, big)
    assert host.state_of("c") == "starting" and names(host, "data") == []
    host.restart()
    host.wait_state("c", "running")
    host.wait_log("c", str(FILES))
    assert beside(host) == [] and len(names(host, "data")) == FILES


@pytest.mark.native
def test_stop_and_removal_during_a_fill_end_it(host, big):
    filling = Filling(host, big)
    host.berth("stop", "c", timeout=5)
    assert host.state_of("c") == "stopped" and filling.start.wait(10 * SLOW) == 1
    host.berth("start", "c")
    host.wait_log("c", str(FILES))
    host.berth("rm", "-f", "c")
    host.berth("volume", "rm", "data")
    filling = Filling(host, big)
    host.berth("rm", "-f", "c", timeout=5)
    assert filling.start.wait(10 * SLOW) == 1
    eventually(lambda: host.berth("volume", "rm", "data", code=None).code == 0, "the volume can go")
    assert beside(host) == []


@pytest.mark.native
def test_a_fill_that_died_before_or_after_its_commit_is_undone_or_finished(host, www):
    for name in ("before", "after", "used"):
        host.berth("volume", "create", name)
    paths = {name: folder(host, name) for name in ("before", "after", "used")}
    host.kill()
    os.mkdir(paths["before"] + ".new")
    open(paths["before"] + ".new/half", "w").close()
    for name in ("after", "used"):
        os.mkdir(paths[name] + ".filling", 0o711)
        for f in ("one", "two"):
            with open("%s.filling/%s" % (paths[name], f), "w") as out:
                out.write("the image's")
    with open(paths["used"] + "/one", "w") as out:
        out.write("moved already, and changed since")
    host.start()
    eventually(lambda: beside(host) == [], "tidied")
    assert names(host, "before") == [] and names(host, "after") == ["one", "two"] and names(host, "used") == ["one", "two"]
    assert os.stat(paths["after"]).st_mode & 0o7777 == 0o711
    assert open(paths["used"] + "/one").read().startswith("moved already")


@pytest.mark.native
def test_folders_of_no_volume_are_removed_at_start(host):
    host.kill()
    stray = host.state + "/volumes/0f0f0f0f-0000-4000-8000-000000000000"
    os.mkdir(stray)
    os.mkdir(stray + ".filling")
    host.start()
    eventually(lambda: os.listdir(host.state + "/volumes") == [], "swept")
