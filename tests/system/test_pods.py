"""Pods: shared namespaces, init containers in order, and their removal."""

import pytest

from conftest import private_host
from host import SLOW, eventually
from test_pains import disk

NS = "for n in net ipc uts pid mnt cgroup; do echo $n $(readlink /proc/self/ns/$n); done"


def namespaces(host, name):
    return dict(l.split() for l in host.berth("exec", name, "sh", "-c", NS).lines)


def test_containers_of_a_pod_share_network_ipc_and_hostname_but_not_pid_and_mounts(host):
    host.berth("pod", "create", "--name", "p", "--hostname", "podhost")
    a, b = host.detached("--pod", "p", "--", "sleep", "600"), host.detached("--pod", "p", "--", "sleep", "600")
    na, nb = namespaces(host, a), namespaces(host, b)
    assert [n for n in na if na[n] == nb[n]] == ["net", "ipc", "uts"]
    assert host.berth("exec", a, "hostname").text == "podhost"


def test_pod_can_share_the_pid_namespace(host):
    host.berth("pod", "create", "--name", "p", "--share-pid")
    a, b = host.detached("--pod", "p", "--", "sleep", "601"), host.detached("--pod", "p", "--", "sleep", "602")
    assert namespaces(host, a)["pid"] == namespaces(host, b)["pid"]
    out = host.berth("exec", a, "ps").out
    assert "sleep 601" in out and "sleep 602" in out


def test_loopback_of_a_pod_is_common_and_up(host):
    host.berth("pod", "create", "--name", "p")
    host.detached("--pod", "p", "--", "sh", "-c", "while :; do echo hello | nc -l -p 8080; done", name="server")
    client = host.detached("--pod", "p", "--", "sleep", "600")
    eventually(lambda: host.berth("exec", client, "sh", "-c", "nc 127.0.0.1 8080 < /dev/null", code=None).text == "hello", "an answer", 10, 0.1)


def test_namespaces_of_a_pod_outlive_each_container(host):
    host.berth("pod", "create", "--name", "p")
    a = host.detached("--pod", "p", "--", "sleep", "600")
    before = namespaces(host, a)["net"]
    host.berth("restart", "-t", "0", a)
    host.wait_state(a, "running")
    assert namespaces(host, a)["net"] == before
    host.berth("rm", "-f", a)
    b = host.detached("--pod", "p", "--", "sleep", "600")
    assert namespaces(host, b)["net"] == before


def test_network_of_a_plain_container_survives_its_restart(host):
    a = host.detached("sleep", "600")
    before = namespaces(host, a)["net"]
    host.berth("restart", "-t", "0", a)
    host.wait_state(a, "running")
    assert namespaces(host, a)["net"] == before


def create_in_pod(c, name, command, **spec):
    return c.request("container_create", {"name": name, "spec": {"image": "busybox", "pod": "p", "command": ["sh", "-c", command], **spec}})


def test_init_containers_run_in_order_before_the_others(host):
    host.berth("pod", "create", "--name", "p")
    shared = {"mounts": [{"type": "VOLUME", "source": "order", "target": "/order"}]}
    with host.client() as c:
        create_in_pod(c, "i1", "sleep 0.3; echo i1 >> /order/log", pod_init=True, **shared)
        create_in_pod(c, "i2", "sleep 0.1; echo i2 >> /order/log", pod_init=True, **shared)
        create_in_pod(c, "main", "echo main >> /order/log; exec sleep 600", **shared)
    host.berth("start", "main", timeout=20)
    host.wait_state("main", "running")
    out = eventually(lambda: (lambda t: t if "main" in t else None)(host.berth("exec", "main", "cat", "/order/log").out), "the log")
    assert out.split() == ["i1", "i2", "main"]


def test_a_failing_init_container_keeps_the_others_from_starting_and_says_so(host):
    host.berth("pod", "create", "--name", "p")
    with host.client() as c:
        create_in_pod(c, "i1", "exit 3", pod_init=True)
        create_in_pod(c, "main", "exec sleep 600")
    r = host.berth("start", "main", code=None)
    assert r.code != 0 and "i1" in r.err
    assert host.state_of("main") in ("error", "created", "stopped", "backoff")


@pytest.mark.native
def test_pod_verbs_list_inspect_and_refuse_to_remove_what_is_in_use(host):
    host.berth("pod", "create", "--name", "p")
    a = host.detached("--pod", "p", "--", "sleep", "600")
    assert "p" in host.berth("pod", "ls").out
    shown = host.berth("pod", "inspect", "p").out
    assert host.inspect(a)["meta"]["uuid"] in shown
    host.refused("pod", "rm", "p", text="(?i)container|use")
    host.berth("pod", "rm", "--force", "p")
    assert host.list() == [] and host.ask("pod_list").get("pods", []) == []


@pytest.mark.native
def test_plain_containers_have_no_pod_in_the_list(host):
    host.detached("sleep", "600")
    assert host.ask("pod_list").get("pods", []) == []


@pytest.mark.native
def test_second_pod_of_one_name_is_refused(host):
    host.berth("pod", "create", "--name", "p")
    host.refused("pod", "create", "--name", "p", text="p", code=1)


@pytest.mark.native
def test_a_run_hears_that_its_pod_cannot_start_though_its_row_is_not_on_the_disk_yet():
    with disk() as d, private_host(state=d.path + "/state") as host:
        host.ask("pod_create", {"name": "p", "spec": {"sysctls": [{"key": "net.ipv4.no_such_thing", "value": "1"}]}})
        d.freeze()
        try:
            p = host.popen("run", "--rm", "--pod", "p", "busybox", "true")
            eventually(lambda: "no_such_thing" in host.log(), "the holder has failed")
        finally:
            d.thaw()
        out, err = p.communicate(timeout=20 * SLOW)
        assert p.returncode == 125 and b"no_such_thing" in err, err
        assert not host.list()


def test_killed_holder_ends_the_pods_containers_or_is_replaced_and_nothing_hangs(host):
    import os
    host.berth("pod", "create", "--name", "p")
    a = host.detached("--pod", "p", "--restart", "always", "--", "sleep", "600")
    pod = host.ask("pod_inspect", {"ref": "p"})["pod"]
    if not pod.get("holder_pid"):
        pytest.fail("a pod with a container has no holder: %r" % pod)
    first = host.status(a)["incarnation"]
    os.kill(pod["holder_pid"], 9)
    eventually(lambda: host.status(a)["state"].endswith("RUNNING") and host.ask("pod_inspect", {"ref": "p"})["pod"].get("state") == "ready",
               "the pod is up again", 15 * SLOW)
    assert host.status(a)["incarnation"] >= first
