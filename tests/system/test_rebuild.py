"""berth rebuild: a new root file system for a container that stays what it is."""

import os
import signal

import pytest

from host import eventually
from test_commit import base, config_of  # noqa: F401 - a fixture


def uppers(host, name):
    return sorted(d for d in os.listdir("%s/containers/%s" % (host.state, host.inspect(name)["meta"]["uuid"])) if d.startswith(("upper", "work")))


def test_what_runs_runs_again_on_a_new_root_with_all_that_is_its_own(host, base):
    name = host.detached("-v", "kept:/data", "-e", "MINE=1", "--", "sh", "-c", "echo run >> /data/log; echo x > /changed; echo out; exec sleep 1000")
    before = host.inspect(name)
    host.wait_log(name, "out")
    assert host.berth("rebuild", "-t", "1", name, base).text == name
    after = host.inspect(name)
    for key in ("uuid", "id", "name", "created_at"):
        assert after["meta"][key] == before["meta"][key]
    assert after["status"]["state"] == "CONTAINER_STATE_RUNNING" and after["status"]["incarnation"] == 2 and after["spec"]["image"] == base
    assert after["image_id"] != before["image_id"] and "MINE=1" in after["spec"]["env"] and after["spec"]["command"] == before["spec"]["command"]
    assert host.berth("exec", name, "sh", "-c", "cat /data/log; ls /home/alice2").out == "run\nrun\nold\n"
    eventually(lambda: host.berth("logs", name).out == "out\nout\n", "both runs are in the log")
    eventually(lambda: uppers(host, name) == ["upper.1", "work.1"], lambda: "the old root is gone: %r" % uppers(host, name))
    assert [a["result"] for a in host.actions(name) if a["verb"] == "rebuild"] == ["ok"]
    assert host.berth("diff", name).out == "A /changed\n"
    host.berth("rebuild", "-t", "1", name)
    assert host.state_of(name) == "running" and host.status(name)["incarnation"] == 3


@pytest.mark.native
def test_what_had_ended_stays_ended_and_starts_on_the_new_root(host, base):
    name = host.name()
    host.berth("run", "--name", name, "busybox", "sh", "-c", "test ! -e /x || exit 3; touch /x")
    host.berth("rebuild", name)
    assert host.state_of(name) == "stopped"
    host.berth("start", name)
    assert host.berth("wait", name).text == "0"
    host.berth("commit", name, "of-the-second-root")
    assert host.berth("run", "--rm", "of-the-second-root", "ls", "/x").text == "/x"


@pytest.mark.native
def test_the_images_config_counts_where_nothing_was_said(host, base):
    name = host.name()
    host.berth("run", "--name", name, "-l", "mine=1", base, "true")
    host.berth("commit", "-c", "ENV NEW=1", "-c", "CMD [\"echo\", \"from the image\"]", "-c", "USER alice", "-c", "LABEL theirs=2", name, "next")
    plain, own = host.name(), host.name()
    host.berth("create", "--name", plain, base)
    host.berth("create", "--name", own, "-e", "NEW=mine", "-u", "bob", base, "true")
    for n in (plain, own):
        host.berth("rebuild", n, "next")
        assert host.state_of(n) == "created"
    spec = host.inspect(plain)["spec"]
    assert spec["command"] == ["echo", "from the image"] and spec["user"] == "alice" and "NEW=1" in spec["env"]
    assert {"key": "theirs", "value": "2"} in spec["labels"]
    spec = host.inspect(own)["spec"]
    assert spec["command"] == ["true"] and spec["user"] == "bob" and "NEW=mine" in spec["env"] and "NEW=1" not in spec["env"]


@pytest.mark.native
def test_what_cannot_be_rebuilt_is_refused_and_goes_on(host, base):
    name = host.detached("sleep", "1000")
    host.refused("rebuild", name, "nosuchimage", text="no image")
    host.refused("rebuild", "nobody", text="no container")
    assert host.state_of(name) == "running" and host.status(name)["incarnation"] == 1 and uppers(host, name) == ["upper", "work"]


@pytest.mark.native
@pytest.mark.parametrize("after_ms", [20, 60, 120, 200, 400])
def test_a_berthd_that_dies_leaves_the_old_or_the_new(host, base, after_ms):
    import time
    name = host.detached("sh", "-c", "trap 'exit 0' TERM; ls /home > /seen; while :; do sleep 0.1; done")
    eventually(lambda: host.berth("exec", name, "test", "-s", "/seen", code=None).code == 0, "it runs")
    with host.client() as c:
        c.ask("container_rebuild", {"ref": name, "image": base})
        eventually(lambda: host.state_of(name) != "running" or host.status(name)["incarnation"] > 1, "it has begun")
        time.sleep(after_ms / 1000)
        host.kill()
    host.start()
    host.wait_state(name, "running", seconds=20)
    seen = eventually(lambda: host.berth("exec", name, "cat", "/seen", code=None).out, "it has looked")
    image = host.inspect(name)["spec"]["image"]
    assert (image, seen) in ((base, "alice\nalice2\n"), ("busybox", "alice\n"))
    eventually(lambda: len(uppers(host, name)) == 2, lambda: "one root is left: %r" % uppers(host, name))


@pytest.mark.native
def test_nothing_is_stopped_before_it_is_on_disk_what_it_is_stopped_for():
    from conftest import private_host
    from test_pains import disk
    with disk(256) as d, private_host(state=d.path + "/state") as host:
        name = host.detached("sh", "-c", "trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 1000 & wait; done")
        host.wait_log(name, "up")
        host.settled()
        pid = host.status(name)["pid"]
        with host.client() as c:
            d.freeze()
            try:
                c.ask("container_rebuild", {"ref": name})
                assert host.state_of(name) == "running", "nothing has happened to it yet"
                os.kill(host.daemon.pid, signal.SIGKILL)
            finally:
                d.thaw()
        host.kill()
        host.start()
        assert host.state_of(name) == "running" and host.status(name)["pid"] == pid and not host.inspect(name).get("rebuild")
        assert host.berth("logs", name).out == "up\n"
        host.berth("rebuild", name)
        assert host.state_of(name) == "running" and host.status(name)["incarnation"] == 2


def test_who_asked_for_a_rebuild_hears_of_it_when_somebody_restarts_it_meanwhile():
    from conftest import private_host
    from test_pains import disk
    with disk(256) as d, private_host(state=d.path + "/state") as host:
        name = host.detached("sh", "-c", "trap 'echo asked to end' TERM; echo up; while :; do sleep 1000 & wait; done")
        host.wait_log(name, "up")
        host.settled()
        pid = host.status(name)["pid"]
        with host.client() as one, host.client() as other:
            d.freeze()
            try:
                rebuild = one.ask("container_rebuild", {"ref": name})
                one.request("info")         # it has been taken, and waits for the disk
                restart = other.ask("container_restart", {"ref": name, "timeout_s": 1000})
                other.request("info")
                assert host.state_of(name) == "stopping"
            finally:
                d.thaw()
            host.settled()
            os.kill(pid, signal.SIGKILL)
            one.answer(rebuild)
            other.answer(restart)
        assert host.state_of(name) == "running" and host.status(name)["incarnation"] == 2 and not host.inspect(name).get("rebuild")


@pytest.mark.native
@pytest.mark.parametrize("after_ms", [0, 30, 150])
def test_who_asks_again_after_a_crash_hears_of_the_one_rebuild(host, base, after_ms):
    import time
    name = host.detached("sh", "-c", "trap 'sleep 0.1; exit 0' TERM; while :; do sleep 0.1; done")
    asker = host.popen("rebuild", name, base)
    eventually(lambda: host.state_of(name) != "running" or host.status(name)["incarnation"] > 1, "it has begun")
    time.sleep(after_ms / 1000)
    host.kill()
    host.start()
    assert asker.wait(30) == 0
    assert host.inspect(name)["spec"]["image"] == base and host.state_of(name) == "running"
    assert host.status(name)["incarnation"] == 2 and uppers(host, name)[0] == "upper.1", "and not of two"


@pytest.mark.native
def test_what_was_said_is_kept_also_where_the_image_says_the_same(host, base):
    name, plain, own = host.name(), host.name(), host.name()
    host.berth("run", "--name", name, base, "true")
    one, two = "say-" + host.name(), "say-" + host.name()
    change = lambda n: ("-c", "ENV A=%s" % n, "-c", "CMD [\"echo\", \"%s\"]" % n, "-c", "WORKDIR /%s" % n, "-c", "LABEL l=%s" % n)
    host.berth("commit", *change("one"), name, one)
    host.berth("commit", *change("two"), name, two)
    host.berth("create", "--name", plain, one)
    host.berth("create", "--name", own, "-e", "A=one", "-w", "/one", "-l", "l=one", one, "echo", "one")
    for n, is_ in ((plain, "two"), (own, "one")):
        host.berth("rebuild", n, two)
        spec = host.inspect(n)["spec"]
        assert "A=" + is_ in spec["env"] and spec["command"] == ["echo", is_] and spec["workdir"] == "/" + is_, spec
        assert {"key": "l", "value": is_} in spec["labels"]
