"""Whenever berthd and its jobs are killed while images come, are named, or go: what is there afterwards is sound, every name is on one image, and the
next sweep leaves nothing that belongs to none. BERTH_KILL_POINTS=n: at so many points of each."""

import os
import signal
import time

import pytest

from conftest import private_host
from host import eventually
from oci import Image, digest, layer
from proto import Refused

pytestmark = pytest.mark.native

POINTS = int(os.environ.get("BERTH_KILL_POINTS", "2"))


@pytest.fixture(scope="module")
def own():
    with private_host() as h:
        yield h


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """Two images that share their lowest layer, with enough in it to be caught at."""
    base = layer({"f%d" % i: os.urandom(3000) for i in range(400)})
    made = []
    for name in ("one", "two"):
        img = Image(name, [base, layer({name: os.urandom(200000), "%s.d" % name: None})], {"Cmd": ["/x"]})
        made.append(img.write_layout(str(tmp_path_factory.mktemp(name) / "layout")))
    return made


def kill_jobs(host):
    folder = host.cgroup_dir + "/jobs"
    for job in os.listdir(folder):
        try:
            with open("%s/%s/cgroup.procs" % (folder, job)) as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError, OSError):
            pass


def images(host):
    return host.ask("image_list").get("images", [])


def check(host):
    """Sound, and after a sweep nothing but what is needed."""
    r = host.berth("image", "verify", "-q", code=None)
    assert r.code == 0, r
    found = images(host)
    names = sum((i.get("names", []) for i in found), [])
    assert len(names) == len(set(names)), names
    host.berth("image", "prune", "-af", "--filter", "label=that-nothing-has")        # removes no image: it sweeps
    blobs = {d[7:] for i in found for d in [i["manifest_digest"], i["image_id"], *(b["digest"] for b in i["layer_blobs"])]}
    layers = {c[7:] for i in found for c in i["layers"]}
    folder = host.state + "/images/"

    def swept():
        return (set(os.listdir(folder + "blobs/sha256")) == blobs and set(os.listdir(folder + "layers")) == layers
                and not os.listdir(folder + "tmp") and not os.listdir(folder + "partial"))
    eventually(swept, lambda: "only what is needed is left: %r" % {
        "blobs": set(os.listdir(folder + "blobs/sha256")) ^ blobs, "layers": set(os.listdir(folder + "layers")) ^ layers,
        "tmp": os.listdir(folder + "tmp"), "partial": os.listdir(folder + "partial")})


def killed_at_many_points(host, before, act, who):
    """act() from before()'s state on, killed after more and more of the time that it takes."""
    before()
    began = time.monotonic()
    act(host).wait(60)
    eventually(lambda: not [d for d in os.listdir(host.cgroup_dir + "/jobs") if os.path.isdir(host.cgroup_dir + "/jobs/" + d)], "its jobs have ended")
    took = time.monotonic() - began
    for i in range(POINTS):
        before()
        tool = act(host)
        time.sleep(took * (i + 0.5) / POINTS)
        if who == "jobs":
            kill_jobs(host)
            tool.wait(60)
        else:
            tool.kill()     # it would ask again
            host.daemon.kill()
            if who == "both":
                kill_jobs(host)
            host.daemon.wait()
            host.start()
        tool.communicate()
        check(host)


def gone(host):
    for image in images(host):
        if not any("busybox" in n for n in image.get("names", [])):
            try:
                host.ask("image_remove", {"ref": image["image_id"], "force": True})
            except Refused as e:
                assert e.code == "NOT_FOUND"


def here(host, layouts):
    for folder in layouts:
        host.berth("image", "import", folder)


@pytest.mark.parametrize("who", ["both", "berthd", "jobs"])
def test_an_import_that_is_killed(own, layouts, who):
    killed_at_many_points(own, lambda: gone(own), lambda h: h.popen("image", "import", layouts[0]), who)


@pytest.mark.parametrize("who", ["both", "jobs"])
def test_a_removal_that_is_killed(own, layouts, who):
    killed_at_many_points(own, lambda: here(own, layouts), lambda h: h.popen("rmi", "one"), who)


@pytest.mark.parametrize("who", ["both", "jobs"])
def test_a_prune_that_is_killed(own, layouts, who):
    def before():
        here(own, layouts)
        own.berth("tag", "busybox", "one")      # dangling, and of what it has the lowest layer is needed
        own.berth("rmi", "one")
    killed_at_many_points(own, before, lambda h: h.popen("image", "prune", "-f"), who)


def test_names_that_move_while_berthd_is_killed_are_always_on_one_image(own, layouts):
    here(own, layouts)
    own.berth("tag", "one", "moving")
    for i in range(POINTS):
        with own.client() as c:
            for k in range(60):
                c.ask("image_tag", {"ref": ("one", "two")[k % 2], "name": "moving"})
            time.sleep(0.004 * (i + 1))
            own.daemon.kill()
            own.daemon.wait()
        own.start()
        assert sum("docker.io/library/moving:latest" in x.get("names", []) for x in images(own)) == 1, images(own)
    check(own)
    gone(own)
