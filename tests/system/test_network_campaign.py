"""Attach, detach and kill, at random: at the end no link, route, address, element or lease is left without an owner (the leak checker of
host.py, behind every test), what is left running has the interfaces that its leases say, and the table of the many small changes is the one
that is made of the whole.

Short in check; `make soak-networks` does BERTH_OPERATIONS of them (10,000) and writes a record."""

import json
import os
import random
import re
import subprocess
import time

import record
from host import IN_VM, SLOW, eventually
from load import LOST, Load
from proto import Refused
from test_networks import sh

FLOATING = "203.0.113.0/29"
GROUPS = ("camp-g0", "camp-g1", "camp-g2")
NETWORKS = {"camp-a": "10.77.1.0/24", "camp-b": "10.77.2.0/28", "camp-c": "10.77.3.0/24"}      # b is soon full
# What another operation or a kill may have brought about in the meantime.
USUAL = ("CONFLICT", "NOT_FOUND", "START_FAILED", "EXISTS", "EXHAUSTED", "AMBIGUOUS")


class Networks(Load):
    SLOTS = 5       # containers of each worker

    def __init__(self, host, seed, operations):
        super().__init__(host, seed)
        self.operations, self.done = operations, 0

    def insist(self, body, fields, tolerated=(), **kw):
        try:
            return super().insist(body, fields, tolerated, **kw)
        except Refused as e:
            if e.code != "INTERNAL" or "berth-net: it" not in e.text:
                raise
            self.count("given up by berth-net, which was shot each time that it tried")
            return None

    def ask(self, rnd):
        asks = []
        for net in rnd.sample(["default", *NETWORKS], rnd.choice([1, 1, 1, 2, 3])):
            ask = {"network": net}
            if net in NETWORKS and rnd.random() < 0.2:
                ask["addresses"] = [NETWORKS[net].rsplit(".", 1)[0] + ".%d" % rnd.randrange(2, 14)]
            asks.append(ask)
        return asks

    def change(self, what, name, rnd):
        """Of one that perhaps runs."""
        link = rnd.choice(("eth0", "eth0", "eth1"))
        if what == "connect":
            spec = self.ask(rnd)[0]
            if rnd.random() < 0.3:
                spec["security_groups"] = rnd.sample(GROUPS, rnd.choice([1, 2]))
            self.insist("network_connect", {"ref": name, "spec": spec}, USUAL)
        elif what == "disconnect":
            self.insist("network_disconnect", {"ref": name, "network": rnd.choice([link, "default", *NETWORKS])}, USUAL)
        elif what == "groups":
            self.insist("security_group_attach", {"ref": name, "link": link, "groups": rnd.sample(GROUPS, rnd.randrange(3))}, USUAL)
        elif what == "limit":
            self.insist("interface_limit", {"ref": name, "link": link, "ingress_bps": rnd.choice([0, 10**8]), "egress_bps": rnd.choice([0, 10**8])}, USUAL)
        elif what == "rule":
            group = rnd.choice(GROUPS)
            rules = self.insist("security_group_inspect", {"name": group})["groups"][0].get("rules", [])
            if len(rules) > 6:
                self.insist("security_group_rule_remove", {"name": group, "rule": rnd.choice(rules)["uuid"]}, USUAL)
            else:
                rule = {"direction": "INGRESS", "protocol": rnd.choice(("tcp", "udp")), "port_min": rnd.randrange(1, 60000)}
                rule.update(rnd.choice(({}, {"remote_group": rnd.choice(GROUPS)}, {"remote_cidr": "10.77.0.0/16"})))
                self.insist("security_group_rule_add", {"name": group, "rule": rule}, USUAL)
        elif what == "associate":
            self.insist("floating_ip_associate", {"ip": rnd.choice(self.floating), "target": name, **({"link": link} if rnd.random() < 0.5 else {})}, USUAL)
        elif what == "disassociate":
            self.insist("floating_ip_disassociate", {"ip": rnd.choice(self.floating)}, USUAL)

    def create(self, name, rnd, start):
        spec = {"image": "busybox", "command": ["sleep", "1000"], "networks": self.ask(rnd), "stop_signal": "KILL"}
        if rnd.random() < 0.3:
            spec["restart"] = {"kind": "ALWAYS"}
        if rnd.random() < 0.3:
            spec["ports"] = [{"host_port": 20000 + rnd.randrange(8), "container_port": 80}]
        self.insist("container_create", {"name": name, "spec": spec, "start": start, "unique_name": True}, USUAL)

    def life(self, who, n):
        """One operation."""
        rnd = random.Random(self.seed * 1000003 + who * 100003 + n)
        name = "n%d-%d" % (who, rnd.randrange(self.SLOTS))
        what = rnd.choice(["create", "run", "run", "run", "start", "stop", "kill", "restart", "remove", "remove", "remove", "network",
                           "connect", "connect", "connect", "disconnect", "disconnect", "disconnect", "groups", "groups", "rule", "limit",
                           "associate", "associate", "disassociate"])
        ref = {"ref": name}
        if what in ("create", "run"):
            self.create(name, rnd, what == "run")
        elif what in ("start", "restart"):
            self.insist("container_" + what, ref, USUAL)
        elif what == "stop":
            self.insist("container_stop", ref, USUAL)
        elif what == "kill":
            self.insist("container_kill", ref, USUAL)
        elif what == "remove":
            self.insist("container_remove", dict(ref, force=True), USUAL)
        elif what == "network":
            own = "camp-own%d" % who
            cidr = "10.77.%d.0/24" % (10 + who)
            self.insist("network_create", {"name": own, "spec": {"subnets": [{"cidr": cidr}]}}, USUAL)
            self.insist("container_create", {"name": "t%d" % who, "start": True, "unique_name": True,
                                             "spec": {"image": "busybox", "command": ["true"], "networks": [{"network": own}]}}, USUAL)
            self.insist("container_remove", {"ref": "t%d" % who, "force": True}, USUAL)
            self.insist("network_remove", {"name": own}, USUAL)
        else:
            self.change(what, name, rnd)
        self.count(what)
        with self.lock:
            self.done += 1

    def shoot(self):
        dice = self.random.random()
        try:
            if dice < 0.1:
                self.shoot_berthd()
            elif dice < 0.4:
                pids = subprocess.run(["pgrep", "-x", "-P", str(self.host.daemon.pid), "berth-net"], capture_output=True, text=True).stdout.split()
                for pid in pids:
                    self.shoot_process(int(pid), "berth-net", "/net")
            elif dice < 0.7:
                self.shoot_shim()
        except LOST:
            pass

    def shoot_shim(self):
        with self.connect() as c:
            rows = c.request("container_list", {"all": False})[0].get("containers", [])
            if not rows:
                return
            try:
                pid = c.inspect(self.random.choice(rows)["meta"]["uuid"])["status"].get("shim_pid")
            except Refused:
                return
        if pid:
            self.shoot_process(pid, "shim", "/shims")


def as_leased(host):
    """Every container that runs has what its leases say; no address and no MAC is anybody else's."""
    seen = {}
    for row in host.list():
        c = host.inspect(row["meta"]["uuid"])
        for l in c.get("networks", []):
            for what in [*l["addresses"], l["mac"], l["host_link"]]:
                assert what not in seen, "%s is %s's and %s's" % (what, seen[what], c["meta"]["name"])
                seen[what] = c["meta"]["name"]
        if c["status"]["state"].endswith("RUNNING"):
            out = host.berth("exec", c["meta"]["uuid"], "ip", "addr").out
            for l in c.get("networks", []):
                for a in l["addresses"]:
                    assert "%s/" % a in out and l["mac"] in out, "%s has %r and not %r" % (c["meta"]["name"], out, l)
            if not c.get("networks") or c["networks"][0].get("policy"):
                continue
            first = c["networks"][0]["addresses"][0]
            got = subprocess.run(["ping", "-c", "1", "-W", "5", first], capture_output=True, text=True)
            assert got.returncode == 0, "%s does not answer: %s%s%r" % (first, got.stdout, host.berth("exec", c["meta"]["uuid"], "ip", "route").out, c["networks"])


def groups_of_links():
    return {x["ifname"]: x.get("group", "default") for x in json.loads(sh("ip", "-j", "link")) if x["ifname"].startswith("bt")}


def in_table():
    """Chain by chain and set by set, without handles."""
    out = json.loads(sh("nft", "-j", "list", "table", "inet", "berth"))["nftables"]
    parts = {}
    for x in out:
        kind, = x
        x = x[kind]
        if kind in ("set", "map"):
            parts[x["name"]] = sorted(json.dumps(e) for e in x.get("elem", []))
        elif kind == "chain":
            parts.setdefault(x["name"], [])
        elif kind == "rule":
            parts.setdefault(x["chain"], []).append(json.dumps(x["expr"]))
    return parts


def policies_of(parts):
    """One of a single group has no chains of its own, but elements that lead to those of the group."""
    elements = [re.search(r'"concat": \[(\d+),', e) for name in ("enter", "leave") for e in parts.get(name, [])]
    return {n.split("_")[0] for n in parts if re.match(r"p\d", n)} | {"p" + e[1] for e in elements if e}


def as_made_anew(host):
    """What many small changes have left of the table is what one big one makes of it."""
    rows = [host.inspect(row["meta"]["uuid"]) for row in host.list()]
    leases = [l for c in rows for l in c.get("networks", [])]
    policies = {"p%d" % l["policy"] for l in leases if l.get("policy")}
    eventually(lambda: policies_of(in_table()) <= policies, "policies that nobody has any more go")
    now, links = in_table(), groups_of_links()
    sh("nft", "flush", "ruleset")
    fresh = {}

    def back():
        try:
            fresh.update(in_table())
        except subprocess.CalledProcessError:
            return False
        return "leave" in fresh
    eventually(back, "the table is put back")
    # Of what does not run, berth-net hears of the groups with the whole; of groups that nobody has any more it may know still.
    for name in sorted({*now, *fresh}):
        if name in ("enter", "leave"):
            assert set(now[name]) <= set(fresh[name])
        elif re.match(r"[gp]\d", name) and name not in now:
            continue
        elif re.match(r"g\d", name) and name not in fresh:
            assert name[-2:] not in ("_4", "_6") or not now[name], "%s is in nobody's policy and has members" % name
        else:
            assert now.get(name) == fresh.get(name), name
    assert links == groups_of_links()
    for l in leases:
        policy = str(l.get("policy") or "default")
        assert links.get(l["host_link"], policy) == policy, l


def campaign(host, seed, operations=None, seconds=None):
    for name, cidr in NETWORKS.items():
        host.berth("network", "create", "--subnet", cidr, name)
    for name in GROUPS:
        host.berth("security-group", "create", name)
    host.berth("floating-ip", "pool-create", "--range", FLOATING, "camp")
    c = Networks(host, seed, operations)
    c.floating = [host.berth("floating-ip", "allocate").text for _ in range(4)]
    c.run(lambda t: operations is not None and c.done >= operations or seconds is not None and t > seconds)
    assert not c.wrong, c.wrong
    settle = ("STARTING", "STOPPING", "DELETING", "BACKOFF", "CREATING")
    eventually(lambda: not [r for r in host.list() if r["state"].endswith(settle)], "what was begun is ended", 70)
    as_leased(host)
    as_made_anew(host)
    host.restart()
    as_leased(host)
    with host.client() as client:
        for name in GROUPS:     # they may name each other
            for rule in client.request("security_group_inspect", {"name": name})[0]["groups"][0].get("rules", []):
                client.request("security_group_rule_remove", {"name": name, "rule": rule["uuid"]})
    host.remove_all()
    for name in [*NETWORKS, *["camp-own%d" % i for i in range(3)]]:
        host.berth("network", "rm", name, code=None)
    assert "camp-" not in host.berth("network", "ls").out
    host.assert_clean(seconds=60)
    return c


def test_attach_detach_and_kill_at_random_leave_nothing_without_an_owner(host):
    seed = int(os.environ.get("BERTH_SEED") or time.time())
    print("seed %d" % seed)
    c = campaign(host, seed, seconds=15 * (2 if IN_VM else 1))
    print(c.counts)


test_attach_detach_and_kill_at_random_leave_nothing_without_an_owner.limit_s = 240


def test_soak_networks(host):
    seed = int(os.environ.get("BERTH_SEED") or time.time())
    operations = int(os.environ.get("BERTH_OPERATIONS", "10000"))
    print("seed %d" % seed)
    c = campaign(host, seed, operations=operations)
    record.write(record.head(
        "Networks attached and detached at random, under kill -9",
        "seed: %d, 3 clients, %.0f s" % (seed, c.took), "operations: %d" % c.done, *["%s: %d" % x for x in sorted(c.counts.items())],
        "result: no address, MAC or link given twice; what ran had what its leases say, before and after one more kill -9 of berthd;\n"
        "what many small changes had made of the table was what one large one makes of it;\n"
        "nothing left: links, routes, addresses, elements, leases, namespaces, processes, groups, folders, descriptors"))


test_soak_networks.limit_s = 7200
