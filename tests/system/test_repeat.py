"""A crash eats the answer of a request that was done: asked again under the same client_token it is answered, and not done again."""

import contextlib
import os
import signal
import sqlite3

import pytest

from host import eventually
from test_networks import net_pid

pytestmark = pytest.mark.native

RULE = {"direction": "INGRESS", "protocol": "tcp", "port_min": 80}


@contextlib.contextmanager
def database(host):
    """The store, between the death of a berthd and the next."""
    host.settled()
    host.kill()
    db = sqlite3.connect(host.state + "/berth.db")
    try:
        yield db
        db.commit()
    finally:
        db.close()
        host.start()


@pytest.fixture
def crash(host):
    """crash(): berthd dies after the request's work was stored, and before its answer was."""
    with database(host) as db:
        db.execute("CREATE TABLE was (token TEXT, reply BLOB)")
        db.execute("CREATE TRIGGER keep AFTER UPDATE ON tokens BEGIN INSERT INTO was VALUES (OLD.token, OLD.reply); END")

    def now():
        with database(host) as db:
            n = db.execute("UPDATE tokens SET reply = (SELECT reply FROM was WHERE was.token = tokens.token ORDER BY was.rowid DESC) "
                           "WHERE token IN (SELECT token FROM was)").rowcount
            forget(db)
        return n

    def forget(db):
        db.execute("DROP TRIGGER IF EXISTS keep")
        db.execute("DROP TABLE IF EXISTS was")
    yield now
    with database(host) as db:
        forget(db)


def container(host):
    return {"ref": host.detached("--network", "default", "--", "sleep", "1000", name="c")}


def red(host):
    host.berth("network", "create", "--subnet", "10.77.0.0/24", "red")
    return {**container(host), "spec": {"network": "red"}}


def connected(host):
    ask = red(host)
    host.berth("network", "connect", "red", "c")
    return {"ref": ask["ref"], "network": "red"}


def group(host):
    host.berth("security-group", "create", "web")
    return {"name": "web", "rule": RULE}


def ruled(host):
    group(host)
    return {"name": "web", "rule": host.ask("security_group_rule_add", {"name": "web", "rule": RULE})["uuid"]}


def pool(host):
    host.ask("floating_ip_pool_create", {"name": "pool", "spec": {"range": "198.51.100.0/28"}})
    return {"pool": "pool"}


def allocated(host):
    return {"ip": host.ask("floating_ip_allocate", pool(host))["floating_ips"][0]["address"]}


def volume(host):
    host.berth("volume", "create", "v")
    return {"name": "v"}


REQUESTS = {
    "container_create": lambda host: {"name": "c", "spec": {"image": "busybox", "command": ["true"]}},
    "container_remove": lambda host: {**container(host), "force": True},
    "pod_create": lambda host: {"name": "p"},
    "volume_create": lambda host: {"name": "v"},
    "volume_remove": volume,
    "network_create": lambda host: {"name": "red", "spec": {"subnets": [{"cidr": "10.77.0.0/24"}]}},
    "network_connect": red,
    "network_disconnect": connected,
    "security_group_create": lambda host: {"name": "web"},
    "security_group_rule_add": group,
    "security_group_rule_remove": ruled,
    "floating_ip_pool_create": lambda host: {"name": "pool", "spec": {"range": "198.51.100.0/28"}},
    "floating_ip_allocate": pool,
    "floating_ip_release": allocated,
}


def uuids(answer):
    """Of whatever the answer names."""
    if isinstance(answer, dict):
        return [answer[k] for k in ("uuid",) if k in answer] + [u for v in answer.values() for u in uuids(v)]
    return [u for v in answer for u in uuids(v)] if isinstance(answer, list) else []


def everything(host):
    lists = {"container_list": {}, "pod_list": {}, "volume_list": {}, "network_list": {}, "security_group_list": {}, "floating_ip_pool_list": {}, "floating_ip_list": {}}
    found = sorted(u for body, fields in lists.items() for u in uuids(host.ask(body, fields)))
    return found, [x["link"] for c in host.list() for x in host.inspect(c["meta"]["name"]).get("networks", [])]


@pytest.mark.parametrize("body", REQUESTS)
def test_what_was_done_is_answered_and_not_done_again(host, crash, body):
    fields, token = REQUESTS[body](host), body
    first = host.ask(body, fields, client_token=token)
    before = everything(host)
    assert crash() > 0
    again = host.ask(body, fields, client_token=token)
    assert set(uuids(first)) <= set(uuids(again)) and first.get("text") == again.get("text")
    assert everything(host) == before
    assert host.ask(body, fields, client_token=token) == again      # from now on from what is stored


@pytest.mark.parametrize("body", ["network_connect", "network_disconnect"])
def test_what_was_done_has_raised_the_revision_that_it_was_asked_for(host, crash, body):
    fields = REQUESTS[body](host)
    more = {"client_token": "revision-" + body, "if_revision": host.inspect("c")["meta"]["revision"]}
    first = host.ask(body, fields, **more)
    before = everything(host)
    assert crash() > 0
    assert host.ask(body, fields, **more).get("text") == first["text"]
    assert everything(host) == before
    with pytest.raises(Exception, match="at revision"):
        host.ask(body, fields, **{**more, "client_token": "stale-" + body})


def test_an_interface_that_was_on_its_way_is_waited_for(host):
    """berth-net stands still while berthd dies: nobody made the interface yet, and the answer comes when the next one has."""
    fields = red(host)
    with host.client() as c:
        os.kill(net_pid(host), signal.SIGSTOP)
        c.ask("network_connect", fields, client_token="waited-for")
        host.settled()
        host.kill()
    host.start()
    with host.client() as c:
        link = c.request("network_connect", fields, client_token="waited-for")[0]["text"]
    assert host.berth("exec", "c", "ls", "/sys/class/net").lines == ["eth0", link, "lo"]
    assert len(host.inspect("c")["networks"]) == 2


def test_a_change_of_interfaces_that_was_done_is_answered_in_any_state_of_the_container(host):
    """Here of one whose shim the next berthd has not heard yet; or it starts, or ends."""
    fields = connected(host)
    shim = host.status("c")["shim_pid"]
    with host.client() as c:
        os.kill(net_pid(host), signal.SIGSTOP)
        c.ask("network_disconnect", fields, client_token="leaves")
        eventually(lambda: host.inspect("c")["networks"][1].get("leaving"), "it is begun")
        host.settled()
    os.kill(shim, signal.SIGSTOP)
    try:
        host.restart()
        host.wait_state("c", "unknown")
        assert host.ask("network_disconnect", fields, client_token="leaves")["text"] == "eth1"
        host.refused("network", "disconnect", "default", "c", text="cannot disconnect: container is Unknown")
    finally:
        os.kill(shim, signal.SIGCONT)
    host.wait_state("c", "running")
    assert [x["link"] for x in host.inspect("c")["networks"]] == ["eth0"]
    eventually(lambda: host.berth("exec", "c", "ls", "/sys/class/net").lines == ["eth0", "lo"], "it is gone")
