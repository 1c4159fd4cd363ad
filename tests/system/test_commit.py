"""berth commit: what a container has become, as an image; for berth itself, and for skopeo, umoci and podman."""

import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest

from host import DIR, SLOW, eventually

# What a program can do to its files. `chmod` and `touch` of what is below copy it up; a folder made anew hides the old one.
CHANGE = """set -e
echo new > /home/alice/new; chown 1000:1001 /home/alice/new; chmod 4711 /home/alice/new
rm /bin/bad-format
rm -r /home/alice2; mkdir /home/alice2; echo fresh > /home/alice2/fresh
echo hard > /h1; ln /h1 /h2
dd if=/dev/zero of=/sparse bs=1 count=1 seek=67108863 2>/dev/null
ln -s /etc/passwd /link; mknod /pipe p
mkdir -p "/deep/a/b"; echo x > "/deep/a/b/\xc3\xa9 \xff"
"""
BASE = {"home/alice2": None, "home/alice2/old": b"old\n"}


def tools(*names):
    missing = [n for n in names if not shutil.which(n)]
    return pytest.mark.skipif(bool(missing), reason="not installed: " + ", ".join(missing))


def sh(*command, cwd=None, env=None, timeout=60):
    p = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, timeout=timeout * SLOW)
    assert p.returncode == 0, "%r: exit %d\n%s\n%s" % (command, p.returncode, p.stdout.decode(errors="replace")[-2000:], p.stderr.decode(errors="replace")[-2000:])
    return p.stdout.decode(errors="replace")


def image_of(host, ref):
    return host.ask("image_inspect", {"ref": ref})["images"][0]


def blob(host, digest):
    with open(os.path.join(host.state, "images/blobs/sha256", digest.split(":")[1]), "rb") as f:
        return f.read()


def config_of(host, ref):
    return json.loads(blob(host, image_of(host, ref)["image_id"]))


def write_layout(host, ref, folder, name="latest"):
    """An image of the store as a layout of its own."""
    digest = image_of(host, ref)["manifest_digest"]
    data = blob(host, digest)
    manifest = json.loads(data)
    os.makedirs(folder + "/blobs/sha256")
    for d in [digest, manifest["config"]["digest"], *(x["digest"] for x in manifest["layers"])]:
        with open(folder + "/blobs/sha256/" + d.split(":")[1], "wb") as f:
            f.write(blob(host, d))
    with open(folder + "/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    with open(folder + "/index.json", "w") as f:
        json.dump({"schemaVersion": 2, "manifests": [{"mediaType": manifest["mediaType"], "digest": digest, "size": len(data),
                                                      "annotations": {"org.opencontainers.image.ref.name": name}}]}, f)
    return folder


@pytest.fixture
def base(host, tmp_path):
    """busybox and a layer with something to delete."""
    from conftest import busybox_image
    from oci import layer
    if "base:1" not in host.berth("image", "ls").out:
        busybox_image("base:1", more=[layer(BASE)]).write_layout(str(tmp_path / "base"))
        host.berth("image", "import", tmp_path / "base")
    return "base:1"


def changed(host, base, *flags, **kw):
    """A container that has changed its files and ended."""
    name = host.name()
    host.berth("run", "--name", name, *flags, base, "sh", "-c", CHANGE + kw.pop("more", ""), **kw)
    return name


LOOK = """set -e
cat /home/alice/new; stat -c '%a %u:%g' /home/alice/new
ls /home/alice2; test ! -e /bin/bad-format
test "$(stat -c %i /h1)" = "$(stat -c %i /h2)"
stat -c '%s' /sparse
readlink /link; test -p /pipe; cat /deep/a/b/*; ls /home/alice
"""
SEEN = "new\n4711 1000:1001\nfresh\n67108864\n/etc/passwd\nx\nnew\nowned\n"


def test_what_a_container_has_changed_is_what_its_image_shows(host, base):
    name = changed(host, base)
    out = host.berth("commit", "-m", "a note", "-a", "Jo <jo@example.org>", name, "committed:1")
    made = image_of(host, "committed:1")
    assert out.text == made["image_id"] and made["names"] == ["docker.io/library/committed:1"]
    assert host.berth("run", "--rm", "committed:1", "sh", "-c", LOOK).out == SEEN
    assert int(host.berth("run", "--rm", "committed:1", "stat", "-c", "%b", "/sparse").text) < 1000
    config, below = config_of(host, "committed:1"), config_of(host, base)
    assert config["author"] == "Jo <jo@example.org>" and config["history"][-1]["comment"] == "a note"
    assert config["history"][-1]["created_by"].startswith("sh -c set -e") and config["created"] == config["history"][-1]["created"]
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 3
    assert config["rootfs"]["diff_ids"][:2] == below["rootfs"]["diff_ids"] and config["architecture"] == "amd64"
    action = [a for a in host.actions(name) if a["verb"] == "commit"]
    assert [a["result"] for a in action] == ["ok"] and action[0]["object_kind"] == "container"


@pytest.mark.native
def test_a_commit_on_a_commit(host, base):
    name = changed(host, base)
    host.berth("commit", name, "first")
    second = host.name()
    host.berth("run", "--name", second, "first", "sh", "-c", "rm /home/alice/new; rm -r /home/alice2; echo 2 > /second")
    host.berth("commit", second, "second")
    assert host.berth("run", "--rm", "second", "sh", "-c", "cat /second; ls /home /home/alice").out == "2\n/home:\nalice\n\n/home/alice:\nowned\n"
    assert len(image_of(host, "second")["layers"]) == 4


@pytest.mark.native
def test_a_commit_leaves_each_step_of_the_history_its_layer(host, tmp_path):
    """Also of an image that tells of its upper layer alone, as what is built upon one without a history does."""
    from conftest import busybox_image
    from oci import layer
    from test_image_manage import with_config
    with_config(busybox_image("untold:1", more=[layer({"top": b"x" * 777})]), {"history": [{"created_by": "the top"}]}).write_layout(str(tmp_path / "untold"))
    host.berth("image", "import", tmp_path / "untold")
    name = host.name()
    host.berth("run", "--name", name, "untold:1", "true")
    host.berth("commit", name, "untold:2")
    steps = lambda ref: [(e.get("created_by", ""), e["diff_id"]) for e in host.ask("image_history", {"ref": ref})["entries"]]
    before, after = steps("untold:1"), steps("untold:2")
    assert [s[0] for s in before] == ["the top", ""] and after[0][0] == "true" and after[1:] == before


@pytest.mark.native
def test_changes_are_done_to_the_config(host, base):
    name = host.name()
    host.berth("run", "--name", name, "-e", "MINE=1", "-l", "own=label", "-w", "/tmp", base, "true")
    changes = ["CMD [\"sh\", \"-c\", \"echo $MINE $TWO $(pwd)\"]", "ENV TWO=\"$MINE and more\" PATH=$PATH:/x", "EXPOSE 80 53/udp",
               "LABEL a=b 'c d'=e", "USER alice", "VOLUME /data", "WORKDIR sub", "STOPSIGNAL SIGUSR1"]
    host.berth("commit", *[w for c in changes for w in ("--change", c)], name, "configured")
    config = config_of(host, "configured")["config"]
    assert config["Cmd"] == ["sh", "-c", "echo $MINE $TWO $(pwd)"] and "Entrypoint" not in config
    assert sorted(config["Env"]) == ["MINE=1", "PATH=/bin:/usr/bin:/x", "TWO=1 and more"]
    assert config["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}} and config["Volumes"] == {"/data": {}}
    assert config["Labels"] == {"own": "label", "a": "b", "c d": "e"} and config["User"] == "alice"
    assert config["WorkingDir"] == "/tmp/sub" and config["StopSignal"] == "SIGUSR1"
    assert host.berth("run", "--rm", "configured").out == "1 1 and more /tmp/sub\n"


@pytest.mark.native
def test_what_a_container_does_not_change_stays_and_changes_add_to_it(host, base):
    """ONBUILD and HEALTHCHECK mean nothing to a container: a commit keeps them as they are in the image, also what berth knows nothing of."""
    first, second, third = host.name(), host.name(), host.name()
    host.berth("run", "--name", first, base, "true")
    host.berth("commit", "-c", "ONBUILD RUN echo one", "-c", "HEALTHCHECK --interval=3s --retries=2 CMD [\"true\"]", first, "onbuild:1")
    health = {"Test": ["CMD", "true"], "Interval": 3 * 10 ** 9, "Retries": 2}
    run = config_of(host, "onbuild:1")["config"]
    assert run["OnBuild"] == ["RUN echo one"] and run["Healthcheck"] == health
    shown = image_of(host, "onbuild:1")["config"]
    assert shown["on_build"] == ["RUN echo one"] and shown["healthcheck"]["interval_ns"] == 3 * 10 ** 9
    host.berth("run", "--name", second, "onbuild:1", "true")
    host.berth("commit", "-c", "onbuild COPY . /src", second, "onbuild:2")
    run = config_of(host, "onbuild:2")["config"]
    assert run["OnBuild"] == ["RUN echo one", "COPY . /src"] and run["Healthcheck"] == health
    host.berth("run", "--name", third, "onbuild:2", "true")
    host.berth("commit", "-c", "HEALTHCHECK NONE", third, "onbuild:3")
    run = config_of(host, "onbuild:3")["config"]
    assert len(run["OnBuild"]) == 2 and run["Healthcheck"] == {"Test": ["NONE"]}


@pytest.mark.native
def test_what_cannot_be_done_is_refused_and_changes_nothing(host, base):
    name = host.detached("sleep", "1000")
    before = host.berth("image", "ls", "-q").out
    for flags, text in [(["-c", "RUN true"], "RUN"), (["-c", "ONBUILD FROM x"], "ONBUILD"), (["-c", "HEALTHCHECK true"], "NONE, or CMD"), (["-c", "EXPOSE http"], "not a port"), (["-c", "CMD"], "CMD"), (["-c", "ENV A"], "no value")]:
        host.refused("commit", *flags, name, "no:1", text=text, code=2)
    host.refused("commit", name, "UPPER:1", text="UPPER|name", code=2)
    host.refused("commit", name, "a@sha256:" + 64 * "0", text="digest", code=2)
    host.refused("commit", "nobody", "no:1", text="no container")
    assert host.berth("image", "ls", "-q").out == before and host.state_of(name) == "running"


def test_a_container_that_never_ran_is_the_image_it_was_made_from(host, base):
    name = host.name()
    host.berth("create", "--name", name, base, "true")
    host.berth("commit", name, "unrun")
    assert host.berth("run", "--rm", "unrun", "ls", "/home/alice2").out == "old\n"


# ------------------------------------------------------------------ running containers

COUNTING = "i=0; while :; do i=$((i+1)); for f in a b; do echo $i > /new; mv /new /$f; done; done"


def test_what_runs_is_frozen_while_it_is_read_and_runs_on(host, base):
    name = host.detached("sh", "-c", COUNTING)
    eventually(lambda: host.berth("exec", name, "cat", "/b", code=None).text, "it counts")
    host.berth("commit", name, "moment")
    assert host.state_of(name) == "running"
    a, b = map(int, host.berth("run", "--rm", "moment", "cat", "/a", "/b").out.split())
    assert a - b in (0, 1)
    before = host.berth("exec", name, "cat", "/a").text
    eventually(lambda: host.berth("exec", name, "cat", "/a").text not in ("", before), "it counts on")
    assert not os.listdir(host.run + "/frozen")


def test_unfrozen_if_that_is_wanted_and_left_frozen_if_it_was(host, base):
    name = host.detached("sleep", "1000")
    host.berth("commit", "--pause=false", name, "asis")
    types = [e["type"] for e in events(host, name)]
    assert "pause" not in types and "commit" in types
    host.berth("pause", name)
    host.berth("commit", name, "asis")
    assert host.state_of(name) == "paused"
    host.berth("unpause", name)
    host.berth("commit", name, "asis")
    assert [e["type"] for e in events(host, name)][-3:] == ["pause", "unpause", "commit"] and host.state_of(name) == "running"


def events(host, name):
    uuid = host.inspect(name)["meta"]["uuid"]
    with host.client() as c:
        id_, seen = c.ask("events", {"since_at": 1, "until_at": time.time_ns()}), []
        while True:
            batch = c.receive()[0].get("event_batch", {})
            seen += [e for e in batch.get("events", []) if e["uuid"] == uuid]
            if batch.get("end"):
                return seen


@pytest.mark.native
def test_a_berthd_that_dies_in_the_middle_leaves_it_running_and_no_image(host, base):
    """The job is stopped while the container is frozen; then berthd is killed."""
    name = host.detached("sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=200 2>/dev/null; touch /done; exec sleep 1000")
    eventually(lambda: host.berth("exec", name, "ls", "/done", code=None).code == 0, "it has written", 60)
    images = host.berth("image", "ls", "-q").out
    with host.client() as c:        # the tool would ask the next berthd
        c.ask("container_commit", {"ref": name, "name": "half"})
        eventually(lambda: os.listdir(host.run + "/frozen"), "it is frozen", pause=0.001)
        host.kill()
    assert os.listdir(host.run + "/frozen")
    host.start()
    eventually(lambda: host.state_of(name) == "running", "it runs")
    assert host.berth("exec", name, "echo", "on").text == "on"
    assert host.berth("image", "ls", "-q").out == images and not os.listdir(host.run + "/frozen")
    host.berth("commit", name, "whole")
    assert host.berth("run", "--rm", "whole", "stat", "-c", "%s", "/big").text == str(200 << 20)


@pytest.mark.native
def test_a_commit_for_which_there_is_no_room_leaves_nothing_and_what_runs_runs_on(tmp_path):
    """It is the thread that writes the blob which finds it out."""
    from conftest import private_host
    state = str(tmp_path / "small")
    os.mkdir(state)
    sh("mount", "-t", "tmpfs", "-o", "size=64m", "none", state)
    try:
        with private_host(state=state) as h:
            name = h.detached("sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=36 2>/dev/null; touch /done; exec sleep 1000")
            eventually(lambda: h.berth("exec", name, "ls", "/done", code=None).code == 0, "it has written", 60)
            blobs = sorted(os.listdir(state + "/images/blobs/sha256"))
            h.refused("commit", name, "half:1", text="MiB more are needed|No space left")
            assert h.state_of(name) == "running" and not os.listdir(h.run + "/frozen")
            assert sorted(os.listdir(state + "/images/blobs/sha256")) == blobs and not os.listdir(state + "/images/tmp")
            h.berth("exec", name, "rm", "/big")
            h.berth("commit", name, "half:1")
            assert h.berth("run", "--rm", "half:1", "ls", "/done").text == "/done"
            h.berth("rm", "-f", name)
            h.berth("image", "rm", "half:1")
    finally:
        sh("umount", "-l", state)


@pytest.mark.native
def test_who_goes_away_or_removes_it_ends_the_commit(host, base):
    name = host.detached("sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=200 2>/dev/null; touch /done; exec sleep 1000")
    eventually(lambda: host.berth("exec", name, "ls", "/done", code=None).code == 0, "it has written", 60)
    with host.client() as c:        # the tool has a client_token: what it asked goes on without it
        c.ask("container_commit", {"ref": name, "name": "half"})
        eventually(lambda: os.listdir(host.run + "/frozen"), "it is frozen", pause=0.001)
    eventually(lambda: host.state_of(name) == "running" and not os.listdir(host.run + "/frozen"), "it runs again")
    assert "half" not in host.berth("image", "ls").out
    tool = host.popen("commit", name, "half")
    eventually(lambda: os.listdir(host.run + "/frozen"), lambda: "it is frozen: %r" % (tool.communicate(),), pause=0.001)
    host.berth("rm", "-f", name)
    out, err = tool.communicate(timeout=30 * SLOW)
    assert tool.returncode == 1 and b"being removed" in err, (out, err)
    assert "half" not in host.berth("image", "ls").out and not os.listdir(host.run + "/frozen")


# ------------------------------------------------------------------ other tools

@pytest.mark.native
@tools("skopeo", "umoci")
def test_skopeo_and_umoci_read_it(host, base, tmp_path):
    host.berth("commit", "-c", "CMD cat /home/alice/new", changed(host, base), "foreign:1")
    layout = write_layout(host, "foreign:1", str(tmp_path / "l"))
    seen = json.loads(sh("skopeo", "inspect", "oci:%s:latest" % layout))
    assert len(seen["Layers"]) == 3 and seen["Architecture"] == "amd64"
    sh("skopeo", "copy", "-q", "oci:%s:latest" % layout, "docker-archive:%s:again:1" % (tmp_path / "a.tar"))
    host.berth("image", "import", tmp_path / "a.tar")
    assert host.berth("run", "--rm", "again:1").out == "new\n"
    sh("umoci", "unpack", "--image", "l:latest", "bundle", cwd=tmp_path)
    root = str(tmp_path / "bundle/rootfs")
    st = os.stat(root + "/home/alice/new")
    assert (st.st_mode & 0o7777, st.st_uid, st.st_gid) == (0o4711, 1000, 1001)
    assert os.listdir(root + "/home/alice2") == ["fresh"] and not os.path.lexists(root + "/bin/bad-format")
    assert os.stat(root + "/h1").st_ino == os.stat(root + "/h2").st_ino and os.stat(root + "/sparse").st_size == 64 << 20


@pytest.mark.native
@tools("podman", "skopeo")
def test_podman_runs_it(host, base, tmp_path):
    host.berth("commit", "-c", "ENV SAID=so", "-c", "ENTRYPOINT [\"sh\", \"-c\", %s]" % json.dumps(LOOK + "echo $SAID"), changed(host, base), "foreign:2")
    run = os.path.join(DIR, "run", "p")             # at most 50 characters
    store = tempfile.mkdtemp(prefix="podman", dir=host.state)
    layout = write_layout(host, "foreign:2", store + "/l")
    os.symlink(layout, link := tempfile.mktemp(prefix="/tmp/l").lower())        # it wants no upper case in a path
    # crun wants nothing of a host with both cgroup versions, even for a container without a cgroup.
    podman = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"", "sh", "podman", "--root", store + "/root", "--runroot", run, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
    try:
        image = sh(*podman, "pull", "-q", "oci:%s:latest" % link).strip()
        assert sh(*podman, "run", "--rm", "--network", "none", "--cgroups", "disabled", "--log-driver", "none", image) == SEEN + "so\n"
        assert sh(*podman, "history", "-q", image)
    finally:
        sh(*podman, "system", "reset", "-f")
        os.unlink(link)
        for folder in (store, run):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.native
def test_a_container_whose_image_was_removed_by_force_can_be_committed(host, base):
    """As long as the container is there, so are the blobs that its layers came from; not longer."""
    name, new = host.name(), "kept-" + host.name()
    host.berth("run", "--name", name, base, "true")
    host.berth("commit", "-c", "LABEL of=%s" % name, name, "gone:1")       # a manifest and a config that nobody else has
    user = host.name()
    host.berth("run", "--name", user, "gone:1", "sh", "-c", "ls /x; echo x > /x")
    manifest = image_of(host, "gone:1")["manifest_digest"]
    host.berth("image", "rm", "-f", "gone:1")
    host.berth("image", "prune", "-f")
    host.kill()
    host.start()
    host.berth("image", "prune", "-f")
    host.berth("image", "verify")
    assert json.loads(blob(host, manifest))["layers"]
    host.berth("commit", user, new)
    assert host.berth("run", "--rm", new, "cat", "/x").text == "x"
    host.berth("rebuild", user)
    host.refused("rebuild", user, "gone:1", text="no image")
    host.berth("start", user)
    assert host.berth("wait", user).text == "0" and host.berth("logs", user).err.count("/x: No such file") == 2
    host.berth("rm", user)
    host.berth("image", "rm", "-f", new)
    eventually(lambda: host.berth("image", "prune", "-f") and not os.path.exists(os.path.join(host.state, "images/blobs/sha256", manifest.split(":")[1])),
               "with the container go its blobs", seconds=20, pause=0.5)
