"""What a front end needs of the control protocol: whole objects in lists, its own notes on a container, several changes as one."""

import pytest

from proto import Refused


def annotations(host, name):
    return {kv["key"]: kv.get("value", "") for kv in host.inspect(name)["spec"].get("annotations", [])}


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
    name = host.detached("--init", "--", "sh", "-c", "trap : TERM; while :; do sleep 0.1; done")
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
