"""Users of two projects: what a member of the one can see and touch of the other's, over every request that there is; who gets in at all;
what of the host a member cannot ask for."""

import json
import os
import time

import pytest

from host import eventually
from proto import SCHEMA, Client, Refused

# Whom berthd answers what is the same on every kernel.
pytestmark = pytest.mark.native

# Everything of project A bears this word, so that a look at any answer tells whether something of it is in there.
MARK = "mark-of-a"

REQUESTS = sorted(name for name, f in SCHEMA.messages["Envelope"].items() if 20 <= f.number < 100)


class A:
    """What there is of project a, made by its member; and what must not change of it."""

    def __init__(self, host):
        self.host, self.since = host, time.time_ns()
        self.secret = host.token("a", "alice")
        self.client = host.api(self.secret)
        ask = self.ask
        self.volume = MARK + "-volume"
        ask("volume_create", {"name": self.volume})
        self.pod = ask("pod_create", {"name": MARK + "-pod", "spec": {"labels": [{"key": MARK, "value": MARK}]}})["pod"]["meta"]
        spec = {"image": "busybox", "labels": [{"key": MARK, "value": MARK}], "command": ["sh", "-c", "echo %s; exec sleep 1000" % MARK],
                "env": ["M=" + MARK], "mounts": [{"type": "VOLUME", "source": self.volume, "target": "/data"}], "stdin_open": True}
        self.running = ask("container_create", {"name": MARK, "spec": spec, "start": True})["container"]["meta"]
        self.stopped = ask("container_create", {"name": MARK + "-stopped", "spec": spec})["container"]["meta"]
        self.uuids = [self.running["uuid"], self.stopped["uuid"], self.pod["uuid"]]
        eventually(lambda: MARK in host.berth("logs", self.running["uuid"]).out, "its output")

    def ask(self, body, fields=None):
        return self.client.request(body, fields)[0]

    def state(self):
        got = [self.ask("container_inspect", {"ref": u})["container"] for u in self.uuids[:2]]
        got.append(self.ask("pod_inspect", {"ref": self.pod["uuid"]})["pod"])
        got.append(self.ask("volume_inspect", {"name": self.volume})["volumes"][0])
        return got

    def mentioned_in(self, answer):
        text = json.dumps(answer, default=repr)
        return [m for m in [MARK, *self.uuids, *(u.replace("-", "") for u in self.uuids)] if m in text]


@pytest.fixture
def a(host):
    a = A(host)
    yield a
    a.client.close()


@pytest.fixture
def b(host):
    with host.api(host.token("b", "bob")) as c:
        yield c


def refs(a):
    return [a.running["name"], a.running["uuid"], a.running["uuid"][:12], a.running["uuid"].replace("-", "")[:20], a.stopped["uuid"]]


# ------------------------------------------------------------------ one entry for each request

def foreign(fields=None, key="ref", what="refs"):
    """About one object: those of another project do not exist, whatever they are called by."""
    def play(a, b, body):
        names = {"refs": refs(a), "pods": [a.pod["name"], a.pod["uuid"], a.pod["uuid"][:8]], "volumes": [a.volume]}[what]
        for ref in names:
            with pytest.raises(Refused) as e:
                b.request(body, {key: ref, **(fields or {})})
            assert e.value.code == "NOT_FOUND", (body, ref, e.value)
            assert not [m for m in a.mentioned_in(e.value.text) if m != ref and m not in ref and ref not in m], e.value
    return play


def both(*plays):
    def play(a, b, body):
        for p in plays:
            p(a, b, body)
    return play


def listed(fields=None, unfitting=()):
    """A list: nothing of another project is in it, with whatever filter; and `all_projects` is not for members."""
    def play(a, b, body):
        for more in ({}, *unfitting):
            answer = b.request(body, {**(fields or {}), **more})[0]
            assert not a.mentioned_in(answer), answer
        if "all_projects" in SCHEMA.messages[SCHEMA.messages["Envelope"][body].type]:
            with pytest.raises(Refused) as e:
                b.request(body, {"all_projects": True})
            assert e.value.code == "DENIED" and e.value.field == "all_projects"
    return play


def filters(*pairs):
    return [{"filters": [{"key": k, "value": v}]} for k, v in pairs]


def denied(fields=None, text=""):
    """Not for members at all."""
    def play(a, b, body):
        row = fields(a) if callable(fields) else fields or {}
        fds = [os.open("/dev/null", os.O_RDONLY)] if body in ("image_import", "image_export") else []
        with pytest.raises(Refused) as e:
            b.request(body, row, fds)
        for fd in fds:
            os.close(fd)
        assert e.value.code == "DENIED" and text in e.value.text, e.value
    return play


def made_beside(a, b, body):
    """A name that another project uses is free, and what it names there stays that project's."""
    name = {"container_create": a.running["name"], "pod_create": a.pod["name"], "volume_create": a.volume}[body]
    fields = {"name": name}
    if body == "container_create":
        fields.update(unique_name=True, spec={"image": "busybox", "command": ["sleep", "1000"],
                                              "mounts": [{"type": "VOLUME", "source": a.volume, "target": "/data"}]})
    answer = b.request(body, fields)[0]
    made = answer.get("container") or answer.get("pod") or answer["volumes"][0]
    assert made["meta"]["project"] == "b" and made["meta"]["owner"] == "bob@b" and made["meta"]["uuid"] not in a.uuids
    assert not [m for m in a.mentioned_in(answer) if m != MARK], answer
    if body == "volume_create":
        assert made["path"] != a.ask("volume_inspect", {"name": a.volume})["volumes"][0]["path"]
    if body == "container_create":       # neither may it join what it does not see
        for pod in (a.pod["name"], a.pod["uuid"]):
            with pytest.raises(Refused) as e:
                b.request(body, {"spec": {"image": "busybox", "command": ["true"], "pod": pod}})
            assert e.value.code == "NOT_FOUND"


def stats(a, b, body):
    listed()(a, b, body)
    for ref in refs(a):
        with pytest.raises(Refused) as e:
            b.request(body, {"refs": [ref]})
        assert e.value.code == "NOT_FOUND"


def events(a, b, body):
    own = b.request("container_create", {"name": "of-b", "spec": {"image": "busybox", "command": ["true"]}})[0]["container"]["meta"]
    a.ask("container_restart", {"ref": a.running["uuid"], "timeout_s": 0})
    for more in ({}, *filters(("container", MARK), ("label", MARK), ("kind", "container"), ("image", "busybox"))):
        id_, seen = b.ask(body, {"since_at": a.since, "until_at": time.time_ns(), **more}), []
        while True:
            env, _ = b.receive()
            assert env["id"] == id_ and "error" not in env, env
            seen += env.get("event_batch", {}).get("events", [])
            if env.get("event_batch", {}).get("end"):
                break
        assert not a.mentioned_in(seen) and all(e["project"] == "b" for e in seen), seen
        if not more:
            assert own["uuid"] in {e["uuid"] for e in seen}


def actions(a, b, body):
    b.request("volume_create", {"name": "of-b"})
    for fields in ({}, {"newest_first": True}, {"after_id": 1}):
        got = b.request(body, fields)[0].get("actions", [])
        assert not a.mentioned_in(got) and all(x["project"] == "b" for x in got), got
    ids = {x["request_id"] for x in a.ask("actions", {"ref": a.running["uuid"]})["actions"] if "request_id" in x}
    assert ids
    for i in ids:
        assert not b.request(body, {"request_id": i})[0].get("actions")
    foreign()(a, b, body)
    a.ask("container_remove", {"ref": a.stopped["uuid"]})       # gone ones are remembered, by their project alone
    assert a.ask("actions", {"ref": a.stopped["name"]})["actions"]
    foreign()(a, b, body)


def cancel(a, b, body):
    """On one connection, as a gateway has it."""
    waiting = b.ask("container_wait", {"ref": a.running["uuid"], "condition": "removed"}, token=a.secret)
    with pytest.raises(Refused) as e:
        b.request(body, {"id": waiting})
    assert e.value.code == "NOT_FOUND"


def info(a, b, body):
    mine, all_ = b.request(body)[0], a.host.ask("info")
    assert mine["containers"] == 0 and mine["pods"] == 0 and all_["containers"] == 2 and all_["pods"] == 1
    assert not {"state_dir", "run_dir", "pid", "host", "kernel", "cgroup_root", "clients", "store_error"} & set(mine), mine
    assert mine.get("controllers") == all_.get("controllers") and mine["memory_bytes"] == all_["memory_bytes"]


def image_shared(a, b, body):
    """Images are the host's: whoever may run them may see them."""
    answer = b.request(body, {"ref": "busybox"} if body == "image_inspect" else {})[0]
    assert not a.mentioned_in(answer) and [i for i in answer["images"] if "docker.io/library/busybox:latest" in i.get("names", [])]


def image_history(a, b, body):
    answer = b.request(body, {"ref": "busybox"})[0]
    assert not a.mentioned_in(answer) and answer["names"] == ["docker.io/library/busybox:latest"]


def shared_networks(a, b, body):
    a.host.berth("--project", "a", "network", "create", "--subnet", "10.83.0.0/24", MARK + "-net")
    answer = b.request(body)[0]
    a.host.berth("--project", "a", "network", "rm", MARK + "-net")
    assert [n["meta"]["name"] for n in answer["networks"]] == ["default", "none"]       # nor the host's


def drivers(a, b, body):
    assert {d["name"] for d in b.request(body)[0]["drivers"]} >= {"routed", "bridge"}       # the same for all


def network_of_another(a, b, body):
    """What is shared is seen, but not who else uses it."""
    a.host.berth("--project", "a", "network", "create", "--subnet", "10.83.0.0/24", MARK + "-net")
    with pytest.raises(Refused) as e:
        b.request(body, {"name": MARK + "-net"})
    a.host.berth("--project", "a", "network", "rm", MARK + "-net")
    assert e.value.code == "NOT_FOUND"
    assert not a.mentioned_in(b.request(body, {"name": "default"})[0])


def group_of_another(fields=None):
    """Neither its name nor its uuid means anything in another project, nor as the remote end of a rule or on an interface."""
    def play(a, b, body):
        group = a.ask("security_group_create", {"name": MARK + "-group"})["groups"][0]["meta"]
        try:
            for ref in (group["name"], group["uuid"]):
                for ask in ({"name": ref, **(fields or {})}, *([{"name": "default", "rule": {"direction": "INGRESS", "remote_group": ref}}]
                                                               if body == "security_group_rule_add" else [])):
                    with pytest.raises(Refused) as e:
                        b.request(body, ask)
                    assert e.value.code == "NOT_FOUND", e.value
            with pytest.raises(Refused) as e:
                b.request("container_create", {"spec": {"image": "busybox", "command": ["true"],
                                                        "networks": [{"network": "default", "security_groups": [group["uuid"]]}]}})
            assert e.value.code == "NOT_FOUND" and "no security group" in e.value.text
        finally:
            a.ask("security_group_remove", {"name": group["uuid"]})
    return play


def groups_of_its_own(a, b, body):
    """Each project has its `default`, and names are free that another uses."""
    group = a.ask("security_group_create", {"name": MARK + "-group"})["groups"][0]["meta"]
    try:
        if body == "security_group_create":
            made = b.request(body, {"name": group["name"]})[0]["groups"][0]["meta"]
            assert made["uuid"] != group["uuid"] and made["project"] == "b"
            b.request("security_group_remove", {"name": made["uuid"]})
        else:
            listed(unfitting=filters(("name", MARK)))(a, b, body)
            assert [g["meta"]["name"] for g in b.request(body)[0]["groups"]] == ["default"]
    finally:
        a.ask("security_group_remove", {"name": group["uuid"]})


def interface_of_another(a, b, body):
    foreign({"link": "eth0"})(a, b, body)
    foreign({"link": "eth0"}, what="pods")(a, b, body)


def with_floating_ip(play):
    """A pool and an address of a's, that b may not know of; gone again afterwards."""
    def around(a, b, body):
        berth = lambda *words: a.host.berth("--project", "a", "floating-ip", *words)
        berth("pool-create", "--range", "203.0.113.0/28", MARK + "-pool")
        address = berth("allocate").text
        try:
            play(a, b, body, address)
        finally:
            berth("release", address)
            berth("pool-rm", MARK + "-pool")
    return around


@with_floating_ip
def floating_pools(a, b, body, address):
    assert b.request(body)[0].get("pools", []) == []
    with pytest.raises(Refused) as e:
        b.request(body, {"all_projects": True})
    assert e.value.code == "DENIED"


@with_floating_ip
def floating_list(a, b, body, address):
    assert b.request(body)[0].get("floating_ips", []) == []
    with pytest.raises(Refused) as e:
        b.request(body, {"all_projects": True})
    assert e.value.code == "DENIED"


@with_floating_ip
def floating_allocate(a, b, body, address):
    for pool in ({"pool": MARK + "-pool"}, {}, {"address": "203.0.113.5"}):
        with pytest.raises(Refused) as e:
            b.request(body, pool)
        assert e.value.code == "NOT_FOUND" and MARK not in e.value.text.replace("'%s-pool'" % MARK, "")


def floating_of_another(fields):
    @with_floating_ip
    def play(a, b, body, address):
        with pytest.raises(Refused) as e:
            b.request(body, {"ip": address, **fields})
        assert e.value.code == "NOT_FOUND" and e.value.text == "there is no floating IP '%s'" % address
    return play


def who_am_i(a, b, body):
    assert b.request(body)[0]["token"]["user"] == "bob" and "secret" not in b.request(body)[0]


def pruned(a, b, body):
    assert not b.request(body, {"all": True})[0].get("removed")
    made = b.request("volume_create", {"name": "mine"})[0]["volumes"][0]["meta"]["name"]
    assert b.request(body, {"all": True})[0]["removed"] == [made]


TABLE = {
    "container_commit": denied(lambda a: {"ref": a.running["uuid"], "name": "busybox"}),   # an image is the host's, and so is its name
    "container_diff": foreign(),
    "container_rebuild": foreign(),
    "container_create": made_beside,
    "container_start": foreign(),
    "container_stop": foreign({"timeout_s": 0}),
    "container_restart": foreign({"timeout_s": 0}),
    "container_kill": foreign(),
    "container_pause": foreign(),
    "container_unpause": foreign(),
    "container_rename": foreign({"name": "stolen"}),
    "container_remove": foreign({"force": True}),
    "container_update": foreign({"name": "stolen"}),
    "container_wait": foreign(),
    "container_inspect": foreign(),
    "container_list": listed({"all": True}, [{"full": True}, {"oldest_first": True}, *filters(("name", MARK), ("label", MARK), ("image", "busybox"))]),
    "container_logs": foreign({"want_stdout": True}),
    "container_attach": foreign({"want_stdin": True}),
    "container_exec": foreign({"exec": {"command": ["true"]}}),
    "container_top": foreign(),
    "container_copy": foreign({"path": "/", "direction": "STAT"}),
    "container_stats": stats,
    "events": events,
    "actions": actions,
    "cancel": cancel,
    "pod_create": made_beside,
    "pod_inspect": foreign(what="pods"),
    "pod_list": listed(unfitting=filters(("name", MARK), ("label", MARK))),
    "pod_remove": foreign({"force": True}, what="pods"),
    "image_import": denied(),
    "image_pull": denied({"name": "registry.example/x"}),
    "image_push": denied({"ref": "busybox", "destination": "registry.example/x"}),
    "image_export": denied({"refs": ["busybox"]}),
    "image_list": image_shared,
    "image_inspect": image_shared,
    "image_tag": denied({"ref": "busybox", "name": "stolen"}),
    "image_history": image_history,
    "image_prune": denied({"all": True}),
    "image_verify": denied(),
    "disk_usage": denied(),
    "image_remove": denied({"ref": "busybox", "force": True}),
    "volume_create": made_beside,
    "volume_update": foreign({"size_bytes": 1 << 30}, key="name", what="volumes"),
    "volume_prune": pruned,
    "volume_list": listed(unfitting=filters(("name", MARK))),
    "volume_inspect": foreign(key="name", what="volumes"),
    "volume_remove": foreign(key="name", what="volumes"),
    "network_create": denied({"name": "x", "spec": {"subnets": [{"cidr": "10.83.0.0/24"}]}}),
    "network_list": shared_networks,
    "network_inspect": network_of_another,
    "network_update": denied({"name": "default", "set_dns": True}),
    "network_connect": both(foreign({"spec": {"network": "default"}}), foreign({"spec": {"network": "default"}}, what="pods")),
    "network_disconnect": both(foreign({"network": "default"}), foreign({"network": "default"}, what="pods")),
    "network_remove": denied({"name": "default"}),
    "network_drivers": drivers,
    "security_group_create": groups_of_its_own,
    "security_group_list": groups_of_its_own,
    "security_group_inspect": group_of_another(),
    "security_group_remove": group_of_another(),
    "security_group_rule_add": group_of_another({"rule": {"direction": "INGRESS"}}),
    "security_group_rule_remove": group_of_another({"rule": "1"}),
    "security_group_attach": interface_of_another,
    "interface_limit": denied({"ref": "x", "link": "eth0"}),
    "floating_ip_pool_create": denied({"name": "x", "spec": {"range": "203.0.113.0/28"}}),
    "floating_ip_pool_list": floating_pools,
    "floating_ip_pool_remove": denied({"name": "x"}),
    "floating_ip_allocate": floating_allocate,
    "floating_ip_list": floating_list,
    "floating_ip_release": floating_of_another({}),
    "floating_ip_associate": floating_of_another({"target": "x"}),
    "floating_ip_disassociate": floating_of_another({}),
    "info": info,
    "check": denied(),
    "upgrade": denied(text="under a token"),
    "shutdown": denied(text="under a token"),
    "token_create": denied({"project": "b", "user": "bob", "role": "ADMIN"}, "under a token"),
    "token_list": denied(text="under a token"),
    "token_revoke": denied(lambda a: {"id": a.host.ask("token_list")["tokens"][0]["id"]}, "under a token"),
    "token_check": who_am_i,
}


def test_every_request_of_the_protocol_has_an_entry():
    assert sorted(TABLE) == REQUESTS


@pytest.mark.parametrize("body", REQUESTS)
def test_a_member_neither_sees_nor_touches_another_project(host, a, b, body):
    before = a.state()
    TABLE[body](a, b, body)
    if body not in ("events", "actions"):       # there a itself does something meanwhile
        assert a.state() == before


# ------------------------------------------------------------------ who gets in

@pytest.fixture
def strangers(host):
    """Connections and tokens that are nobody's, by name."""
    made = {k: host.ask("token_create", {"project": "b", "user": "bob", "role": "ADMIN",
                                         **({"expires_at": time.time_ns() + 10 ** 8} if k == "expired" else {})}) for k in ("revoked", "expired")}
    host.ask("token_revoke", {"id": made["revoked"]["token"]["id"]})
    time.sleep(0.15)
    return {"none": None, "empty": "", "unknown": "berth_" + "A" * 43, "its id": made["revoked"]["token"]["id"], "too long": "berth_" + "A" * 5000,
            "revoked": made["revoked"]["secret"], "expired": made["expired"]["secret"]}


def test_who_shows_no_good_token_is_told_nothing_by_any_request(host, strangers):
    texts = set()
    for kind, secret in strangers.items():
        for path in (host.run + "/api.sock", host.socket):
            if secret is None and path == host.socket:
                continue        # there the peer is somebody by its credentials
            with Client(path, token=secret) as c:
                for body in REQUESTS:
                    with pytest.raises(Refused) as e:
                        c.request(body, {"project": "a", "user": "x", "role": "ADMIN"} if body == "token_create" else {})
                    assert e.value.code == "UNAUTHENTICATED" and e.value.field == "token", (kind, body, e.value)
                    texts.add((secret is None, e.value.text))
    assert len(texts) == 2, texts       # which of the reasons it is remains ours


def test_who_connects_to_the_api_socket_need_not_be_anybody_on_the_host(host):
    secret = host.token("b", "bob")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.chdir(host.run)      # the folders above are root's alone here
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with Client("api.sock", token=secret) as c:
                ok = c.request("token_check")[0]["token"]["user"] == "bob"
            try:
                Client("control.sock")
            except PermissionError:
                code = 0 if ok else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_token_survives_a_kill_and_an_upgrade_and_its_end_too(host):
    kept, gone = (host.ask("token_create", {"project": "b", "user": u, "role": "MEMBER"}) for u in ("bob", "eve"))
    host.ask("token_revoke", {"id": gone["token"]["id"]})

    def holds():
        with host.api(kept["secret"]) as c:
            assert c.request("token_check")[0]["token"] == kept["token"]
            with pytest.raises(Refused) as e:
                c.request("token_check", token=gone["secret"])
            assert e.value.code == "UNAUTHENTICATED"
    host.restart()
    holds()
    host.berth("upgrade")
    eventually(lambda: host.ask("info").get("generation"), "upgraded")
    holds()


# ------------------------------------------------------------------ roles

def test_an_admin_looks_in_its_own_project_first_and_then_in_all(host, a):
    with host.api(host.token("c", "carol", "ADMIN")) as c:
        for ref in refs(a):
            got = c.inspect(ref)["meta"]
            assert got["uuid"] in a.uuids
        own = c.request("container_create", {"name": MARK, "spec": {"image": "busybox", "command": ["true"]}})[0]["container"]["meta"]
        assert own["project"] == "c" and own["owner"] == "carol@c"
        assert c.inspect(MARK)["meta"]["uuid"] == own["uuid"]
        listed_ = {x["meta"]["uuid"] for x in c.request("container_list", {"all": True})[0]["containers"]}
        assert listed_ == {own["uuid"]}
        all_ = {x["meta"]["uuid"] for x in c.request("container_list", {"all": True, "all_projects": True})[0]["containers"]}
        assert all_ == {own["uuid"], *a.uuids[:2]}
        other = c.request("container_create", {"name": MARK, "spec": {"image": "busybox", "command": ["true"]}}, project="d")[0]["container"]["meta"]
        assert other["project"] == "d"
        c.request("container_remove", {"ref": own["uuid"]})
        with pytest.raises(Refused) as e:       # now the name fits two, neither its own
            c.inspect(MARK)
        assert e.value.code == "AMBIGUOUS"
        c.request("container_remove", {"ref": other["uuid"]})
        c.request("container_stop", {"ref": a.running["name"], "timeout_s": 0})
        assert c.request("volume_inspect", {"name": a.volume})[0]["volumes"][0]["meta"]["project"] == "a"


def test_an_action_says_which_user_of_which_project_it_was(host, a):
    a.client.request("container_stop", {"ref": a.running["uuid"], "timeout_s": 0}, request_id="req-of-alice")
    (action,) = a.ask("actions", {"request_id": "req-of-alice", "newest_first": True})["actions"]
    assert action["principal"] == "alice@a" and action["project"] == "a" and action["verb"] == "stop"


# ------------------------------------------------------------------ what would be a way out

ESCAPES = {
    "spec.security.privileged": {"security": {"privileged": True}},
    "spec.mounts[0].source": {"mounts": [{"type": "BIND", "source": "/", "target": "/host"}]},
    "spec.devices[0]": {"devices": [{"source": "/dev/mem"}]},
    "spec.security.cap_add[0]": {"security": {"cap_add": ["SYS_ADMIN"]}},
    "spec.security.seccomp": {"security": {"seccomp": "unconfined"}},
    "spec.security.apparmor": {"security": {"apparmor": "unconfined"}},
    "spec.network": {"network": "host"},
    "spec.networks[0].allow_spoofing": {"networks": [{"network": "default", "allow_spoofing": True}]},
    "spec.pid_mode": {"pid_mode": "host"},
    "spec.ipc_mode": {"ipc_mode": "host"},
    "spec.oom_score_adj": {"oom_score_adj": -500},
    "spec.ulimits[0]": {"ulimits": [{"name": "rtprio", "soft": 99, "hard": 99}]},
}


@pytest.mark.parametrize("field", sorted(ESCAPES))
def test_a_member_may_not_ask_for_what_makes_him_root_on_the_host(host, b, field):
    with pytest.raises(Refused) as e:
        b.request("container_create", {"spec": {"image": "busybox", "command": ["true"], **ESCAPES[field]}, "start": True})
    assert e.value.code == "DENIED" and e.value.field == field, e.value
    assert not b.request("container_list", {"all": True})[0].get("containers")


def test_what_an_admin_made_in_a_project_is_no_way_out_for_its_members(host, b):
    for name, spec in (("bound", {"mounts": [{"type": "BIND", "source": "/", "target": "/host"}]}), ("free", {"security": {"privileged": True}})):
        host.ask("container_create", {"name": name, "start": True, "spec": {"image": "busybox", "command": ["sh"], "stdin_open": True, **spec}}, project="b")
        assert b.inspect(name)["meta"]["project"] == "b"
        for body, fields in (("container_exec", {"exec": {"command": ["true"]}}), ("container_attach", {"want_stdin": True}), ("container_attach", {})):
            with pytest.raises(Refused) as e:
                b.request(body, {"ref": name, **fields})
            assert e.value.code == "DENIED" and e.value.field == "ref"
        b.request("container_stop", {"ref": name, "timeout_s": 0})
        with pytest.raises(Refused) as e:
            b.request("container_start", {"ref": name, "attach": True})
        assert e.value.code == "DENIED"
    host.ask("pod_create", {"name": "wide", "spec": {"network": "host"}}, project="b")
    with pytest.raises(Refused) as e:
        b.request("container_create", {"spec": {"image": "busybox", "command": ["true"], "pod": "wide"}})
    assert e.value.code == "DENIED" and e.value.field == "spec.pod"
    with pytest.raises(Refused) as e:
        b.request("pod_create", {"spec": {"network": "host"}})
    assert e.value.code == "DENIED" and e.value.field == "spec.network"


def test_a_member_runs_programs_in_his_containers_but_none_that_is_privileged(host, b):
    b.request("container_create", {"name": "mine", "start": True, "spec": {"image": "busybox", "command": ["sleep", "1000"]}})
    _, fds = b.request("container_exec", {"ref": "mine", "exec": {"command": ["true"]}})
    for fd in fds:
        os.close(fd)
    with pytest.raises(Refused) as e:
        b.request("container_exec", {"ref": "mine", "exec": {"command": ["true"], "privileged": True}})
    assert e.value.code == "DENIED" and e.value.field == "exec.privileged"


# ------------------------------------------------------------------ the tool

def test_the_tool_makes_shows_uses_and_revokes_tokens(host, tmp_path):
    secret = host.berth("token", "create", "--project", "shop", "--user", "alice@example.org", "--role", "member", "--expires", "30d").text
    assert secret.startswith("berth_") and len(secret) == 49
    (row,) = host.berth("token", "ls", "--format", "json").json()
    assert (row["user"], row["project"], row["role"], row["created_by"]) == ("alice@example.org", "shop", "member", "root")
    as_alice = {"BERTH_TOKEN": secret, "BERTH_SOCKET": host.run + "/api.sock"}

    def tool(*args, env=as_alice, code=0):
        p = host.popen(*args, env=env)
        out, err = p.communicate(timeout=30)
        assert p.returncode == code, (args, out, err)
        return out.decode(), err.decode()
    assert tool("token", "check")[0].startswith("alice@example.org, member of project shop, until ")
    assert tool("run", "--rm", "busybox", "echo", "hello")[0] == "hello\n"
    assert "a member of a project may not ask for this" in tool("run", "--privileged", "busybox", "true", code=125)[1]
    path = tmp_path / "token"
    path.write_text(secret + "\n")
    assert "alice" in tool("--token-file", str(path), "token", "check", env={"BERTH_SOCKET": host.run + "/api.sock"})[0]
    tool("create", "--name", "web", "busybox", "true")
    assert "web" not in host.berth("ps", "-a").out
    assert host.berth("ps", "-a", "--all-projects").lines[1].split()[-1] == "shop"
    assert "sees no other" in tool("ps", "-a", "--all-projects", code=1)[1]
    host.berth("token", "revoke", row["id"][:8])
    assert "unknown, has expired or was revoked" in tool("ps", code=1)[1]
    assert "a token is needed" in tool("ps", env={"BERTH_SOCKET": host.run + "/api.sock"}, code=1)[1]
    assert not host.berth("token", "ls", "-q").text


def test_a_secret_is_in_no_log_no_command_line_and_no_file(host, a):
    secret = a.secret[len("berth_"):].encode()
    with pytest.raises(Refused):
        a.client.request("container_inspect", {"ref": "nobody"})
    for root, _, files in os.walk(host.state):
        for f in files:
            path = os.path.join(root, f)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    assert secret not in file.read(), path
    assert secret.decode() not in host.log()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                assert secret not in f.read()
        except (FileNotFoundError, ProcessLookupError):
            pass
