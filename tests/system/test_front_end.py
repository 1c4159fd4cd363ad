"""What a front end needs of the control protocol: whole objects in lists, its own notes on a container, several changes as one."""

import os
import re
import signal
import time

import pytest

from host import SLOW, eventually
from proto import Refused

# What berthd answers is the same on every kernel.
pytestmark = pytest.mark.native


def annotations(host, name):
    return {kv["key"]: kv.get("value", "") for kv in host.inspect(name)["spec"].get("annotations", [])}


def stubborn(host):
    """A container that does not end on SIGTERM."""
    name = host.detached("--init", "--", "sh", "-c", "trap : TERM; echo ready; while :; do sleep 0.1; done")
    host.wait_log(name, "ready")
    return name


def created(host, name, **spec):
    return host.ask("container_create", {"name": name, "spec": {"image": "busybox", "command": ["sleep", "1000"], **spec}})["container"]


def test_a_full_list_has_the_objects_that_inspect_shows(host):
    for i in range(3):
        created(host, "full%d" % i, labels=[{"key": "n", "value": str(i)}])
    reply = host.ask("container_list", {"all": True, "full": True})
    assert not reply.get("containers")
    assert [c["meta"]["name"] for c in reply["full"]] == ["full2", "full1", "full0"]
    for c in reply["full"]:
        assert c == host.inspect(c["meta"]["name"])


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_have_everything_once_and_in_order(host, full, oldest_first):
    names = ["page%d" % i for i in range(5)]
    for name in names:
        created(host, name)
    seen, after = [], 0
    while True:
        reply = host.ask("container_list", {"all": True, "full": full, "oldest_first": oldest_first, "limit": 2, "after_id": after})
        page = reply.get("full" if full else "containers", [])
        assert 0 < len(page) <= 2
        seen += [c["meta"]["name"] for c in page]
        after = reply.get("next_after_id", 0)
        if not after:
            break
    assert seen == (names if oldest_first else names[::-1])


def test_annotations_are_kept_and_changed_key_by_key(host):
    created(host, "noted", annotations=[{"key": "zun.image_driver", "value": "docker"}, {"key": "a", "value": "1"}])
    assert annotations(host, "noted") == {"zun.image_driver": "docker", "a": "1"}
    host.ask("container_update", {"ref": "noted", "annotations": [{"key": "a"}, {"key": "b", "value": "2"}]})
    assert annotations(host, "noted") == {"zun.image_driver": "docker", "b": "2"}
    host.restart()
    assert annotations(host, "noted") == {"zun.image_driver": "docker", "b": "2"}


def test_bad_annotations_are_refused_and_change_nothing(host):
    with pytest.raises(Refused) as e:
        created(host, "bad", annotations=[{"key": "a b", "value": "1"}])
    assert e.value.code == "INVALID" and e.value.field == "spec.annotations[0]"
    created(host, "good", annotations=[{"key": "a", "value": "1"}])
    for changed in ([{"value": "x"}], [{"key": "k" * 1000, "value": "x"}], [{"key": "k%d" % i, "value": "x"} for i in range(1100)]):
        with pytest.raises(Refused) as e:
            host.ask("container_update", {"ref": "good", "name": "other", "annotations": changed})
        assert e.value.code == "INVALID", e.value
    assert annotations(host, "good") == {"a": "1"}


def test_an_update_is_all_or_nothing(host):
    created(host, "before")
    with pytest.raises(Refused):
        host.ask("container_update", {"ref": "before", "name": "after", "restart": {"kind": "ON_FAILURE", "max_retries": 1}, "resources": {"cpu_weight": 70000}})
    assert host.inspect("before")["spec"].get("restart", {}).get("kind", "NO") == "NO"
    got = host.ask("container_update", {"ref": "before", "name": "after", "restart": {"kind": "ON_FAILURE", "max_retries": 1},
                                        "annotations": [{"key": "k", "value": "v"}]})["container"]
    assert got["meta"]["name"] == "after" and got["spec"]["restart"]["max_retries"] == 1
    assert annotations(host, "after") == {"k": "v"}
    host.refused("inspect", "before", text="before")
    host.restart()
    assert host.inspect("after")["spec"]["restart"]["max_retries"] == 1 and annotations(host, "after") == {"k": "v"}


def test_the_task_says_what_is_under_way(host):
    name = stubborn(host)
    assert not host.status(name).get("task")
    stop = host.popen("stop", "-t", "2", name)
    seen = set()
    while stop.poll() is None:
        seen.add(host.status(name).get("task"))
    assert "stop" in seen, seen
    assert not host.status(name).get("task")
    host.berth("start", name)
    restart = host.popen("restart", "-t", "1", name)
    seen = set()
    while restart.poll() is None:
        seen.add(host.status(name).get("task"))
    assert "restart" in seen and "stop" not in seen, seen
    assert not host.status(name).get("task")


def test_actions_of_one_request_are_found(host):
    created(host, "acted")
    host.ask("container_start", {"ref": "acted"}, request_id="req-one")
    host.ask("container_stop", {"ref": "acted", "timeout_s": 0}, request_id="req-two")
    got = host.ask("actions", {"ref": "acted", "request_id": "req-two"})["actions"]
    assert [(a["verb"], a["request_id"]) for a in got] == [("stop", "req-two")]
    assert not host.ask("actions", {"ref": "acted", "request_id": "req-none"}).get("actions")


# ---------------------------------------------------------------- accept: answered when it has begun

def verbs(host, name):
    return [(a["verb"], a.get("result", "")) for a in host.actions(name)]


def ended(host, name, verb):
    def done():
        got = [a for a in host.actions(name) if a["verb"] == verb]
        return got and got[-1].get("finished_at") and got[-1]
    return eventually(done, "the action %s of %s has ended" % (verb, name))


def test_accepted_stop_is_answered_at_once_and_its_action_ends_later(host):
    name = stubborn(host)
    start = time.monotonic()
    reply = host.ask("container_stop", {"ref": name, "timeout_s": 3}, accept=True)
    assert time.monotonic() - start < 1.5 * SLOW and reply["uuid"] == host.inspect(name)["meta"]["uuid"]
    assert host.status(name)["task"] == "stop" and ("stop", "") in verbs(host, name)
    host.wait_state(name, "stopped")
    assert ended(host, name, "stop")["result"] == "ok"


def test_accepted_create_is_on_disk_when_it_is_answered(host):
    with host.client() as c:
        reply = c.request("container_create", {"name": "kept", "start": True, "spec": {"image": "busybox", "command": ["sleep", "1000"]}}, accept=True)[0]
        host.kill()
    assert reply["container"]["meta"]["name"] == "kept"
    host.start()
    host.wait_state("kept", "running")
    assert len(host.list()) == 1


def test_accepted_create_that_cannot_start_stays_in_error_with_the_reason(host):
    host.ask("container_create", {"name": "broken", "start": True, "spec": {"image": "busybox", "command": ["/nope"]}}, accept=True)
    status = host.wait_state("broken", "error")
    assert "exec /nope: No such file or directory" in status["status_reason"]
    end = ended(host, "broken", "create")
    assert end["result"] == "error" and "/nope" in end["reason"]


def test_what_is_wrong_with_an_accepted_request_is_said_at_once(host):
    for ask, code in (({"name": "x", "start": True, "spec": {"image": "nosuch"}}, "NOT_FOUND"),
                      ({"name": "x", "start": True, "spec": {"image": "busybox", "workdir": "../x"}}, "INVALID")):
        with pytest.raises(Refused) as e:
            host.ask("container_create", ask, accept=True)
        assert e.value.code == code
    created(host, "idle")
    with pytest.raises(Refused) as e:
        host.ask("container_pause", {"ref": "idle"}, accept=True)
    assert e.value.code == "CONFLICT" and "cannot pause: container is Created" in str(e.value)
    for body, ask in (("container_inspect", {"ref": "idle"}), ("container_rename", {"ref": "idle", "name": "y"}),
                      ("container_start", {"ref": "idle", "attach": True})):
        with pytest.raises(Refused) as e:
            host.ask(body, ask, accept=True)
        assert e.value.code == "INVALID" and e.value.field == "accept"
    assert [c["meta"]["name"] for c in host.list()] == ["idle"]


def test_an_accepted_create_asked_again_is_the_same_container(host):
    ask = {"name": "once", "start": True, "spec": {"image": "busybox", "command": ["sleep", "1000"]}}
    first = host.ask("container_create", ask, accept=True, client_token="t-once")["container"]["meta"]["uuid"]
    again = host.ask("container_create", ask, accept=True, client_token="t-once")["container"]["meta"]["uuid"]
    host.restart()
    third = host.ask("container_create", ask, accept=True, client_token="t-once")["container"]["meta"]["uuid"]
    assert first == again == third and len(host.list()) == 1


@pytest.mark.parametrize("verb", ["start", "restart", "kill", "pause", "unpause", "remove"])
def test_every_accepted_change_happens_and_is_recorded(host, verb):
    created(host, "one")
    if verb != "start":
        host.berth("start", "one")
    if verb == "unpause":
        host.berth("pause", "one")
    before = host.status("one").get("incarnation")
    host.ask("container_" + verb, {"ref": "one", **{"remove": {"force": True}, "restart": {"timeout_s": 0}}.get(verb, {})}, accept=True)
    if verb == "remove":
        eventually(lambda: not host.list(), "it is gone")
    elif verb == "restart":
        eventually(lambda: host.status("one")["incarnation"] == before + 1 and host.state_of("one") == "running", "it runs again")
    else:
        host.wait_state("one", {"start": "running", "kill": "exited", "pause": "paused", "unpause": "running"}[verb], "stopped" if verb == "kill" else "")
    assert ended(host, "one", verb)["result"] == "ok"


def test_berthd_ends_in_order_while_an_accepted_stop_is_under_way(host):
    name = stubborn(host)
    host.ask("container_stop", {"ref": name, "timeout_s": 2}, accept=True)
    assert host.kill(signal.SIGTERM) == 0
    host.start()
    host.wait_state(name, "stopped", seconds=20)      # its ten seconds begin anew
    assert "interrupted" in ended(host, name, "stop")["reason"]


def test_the_id_of_a_request_is_in_the_log_of_berthd_and_of_the_shim(host):
    host.options.append("--debug")
    try:
        host.restart()
        uuid = host.ask("container_create", {"name": "told", "start": True, "spec": {"image": "busybox", "command": ["sleep", "1000"], "restart": {"kind": "ALWAYS"}}},
                        request_id="req-made")["container"]["meta"]["uuid"]
        with host.client() as c:
            for fd in c.request("container_exec", {"ref": "told", "exec": {"command": ["true"]}}, request_id="req-exec")[1]:
                os.close(fd)
        os.kill(host.status("told")["pid"], signal.SIGKILL)
        eventually(lambda: host.status("told")["incarnation"] == 2, "started again by its policy")
        host.ask("container_stop", {"ref": "told", "timeout_s": 0}, request_id="req-stop")
    finally:
        host.options.remove("--debug")
    about = {}
    for line in host.log().splitlines():
        found = re.search(r"(berthd|berth-shim): (?:\[(\S+)\] )?(.*)", line)
        if found and (uuid in line or found[2]):
            about.setdefault(found[2], []).append("%s %s" % (found[1], found[3]))
    assert "berthd root: container_create" in about["req-made"]
    assert "berthd container %s: Starting -> Running" % uuid in about["req-made"]
    assert "berth-shim container %s: incarnation 1 begins" % uuid in about["req-made"]
    assert [l for l in about["req-exec"] if l.startswith("berth-shim container %s: asked for" % uuid)]
    assert "berthd container %s: Stopping -> Stopped" % uuid in about["req-stop"]
    assert "berth-shim container %s: incarnation 2 begins" % uuid in about[None]        # nobody asked for that


def test_an_accepted_change_of_what_is_so_already_is_answered_as_any_other(host):
    created(host, "up")
    host.berth("start", "up")
    assert set(host.ask("container_start", {"ref": "up"}, accept=True)) == {"revision", "uuid"}
    assert set(host.ask("container_start", {"ref": "up"})) == {"container"}


def test_an_accepted_create_is_made_once_wherever_berthd_is_killed(host):
    for i in range(12):
        name = "killed%d" % i
        ask = {"name": name, "unique_name": True, "start": True, "spec": {"image": "busybox", "command": ["sleep", "1000"]}}
        with host.client() as c:
            c.ask("container_create", ask, accept=True, client_token="t-%s" % name, request_id="req-%s" % name)
            time.sleep(0.002 * i)
            host.kill()
        host.start()
        made = host.ask("container_create", ask, accept=True, client_token="t-%s" % name)["container"]["meta"]["uuid"]
        host.wait_state(name, "running")
        assert [c["meta"]["uuid"] for c in host.list() if c["meta"]["name"] == name] == [made]
        ends = [a for a in host.ask("actions", {"ref": made})["actions"] if a["verb"] == "create"]
        assert ends and all(a["finished_at"] for a in ends if a is not ends[-1])
        host.ask("container_remove", {"ref": made, "force": True})
