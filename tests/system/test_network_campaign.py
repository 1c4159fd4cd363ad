"""Attach, detach and kill, at random: at the end no link, route, address, element or lease is left without an owner (the leak checker of
host.py, behind every test), and what is left running has the interfaces that its leases say.

Short in check; `make soak-networks` does BERTH_OPERATIONS of them (10,000) and writes a record."""

import os
import platform
import random
import subprocess
import time

from host import IN_VM, SLOW, eventually
from load import LOST, Load
from proto import Refused

NETWORKS = {"camp-a": "10.77.1.0/24", "camp-b": "10.77.2.0/28", "camp-c": "10.77.3.0/24"}      # b is soon full
# What another operation or a kill may have brought about in the meantime.
USUAL = ("CONFLICT", "NOT_FOUND", "START_FAILED", "EXISTS", "EXHAUSTED", "AMBIGUOUS")


class Networks(Load):
    SLOTS = 5       # containers of each worker

    def __init__(self, host, seed, operations):
        super().__init__(host, seed)
        self.operations, self.done = operations, 0

    def ask(self, rnd):
        asks = []
        for net in rnd.sample(["default", *NETWORKS], rnd.choice([1, 1, 1, 2, 3])):
            ask = {"network": net}
            if net in NETWORKS and rnd.random() < 0.2:
                ask["addresses"] = [NETWORKS[net].rsplit(".", 1)[0] + ".%d" % rnd.randrange(2, 14)]
            asks.append(ask)
        return asks

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
        what = rnd.choice(["create", "run", "run", "run", "start", "stop", "kill", "restart", "remove", "remove", "remove", "network"])
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
            self.insist("container_create", {"name": "t%d" % who, "start": True,
                                             "spec": {"image": "busybox", "command": ["true"], "networks": [{"network": own}]}}, USUAL)
            self.insist("container_remove", {"ref": "t%d" % who, "force": True}, USUAL)
            self.insist("network_remove", {"name": own}, USUAL)
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
            first = c["networks"][0]["addresses"][0]
            got = subprocess.run(["ping", "-c", "1", "-W", "5", first], capture_output=True, text=True)
            assert got.returncode == 0, "%s does not answer: %s" % (first, got.stdout)


def campaign(host, seed, operations=None, seconds=None):
    for name, cidr in NETWORKS.items():
        host.berth("network", "create", "--subnet", cidr, name)
    c = Networks(host, seed, operations)
    c.run(lambda t: operations is not None and c.done >= operations or seconds is not None and t > seconds)
    assert not c.wrong, c.wrong
    settle = ("STARTING", "STOPPING", "DELETING", "BACKOFF", "CREATING")
    eventually(lambda: not [r for r in host.list() if r["state"].endswith(settle)], "what was begun is ended", 70)
    as_leased(host)
    host.restart()
    as_leased(host)
    host.remove_all()
    for name in [*NETWORKS, *["camp-own%d" % i for i in range(3)]]:
        host.berth("network", "rm", name, code=None)
    assert "camp-" not in host.berth("network", "ls").out
    host.assert_clean(seconds=60)
    return c


def test_attach_detach_and_kill_at_random_leave_nothing_without_an_owner(host):
    seed = int(os.environ.get("BERTH_SEED") or time.time())
    print("seed %d" % seed)
    c = campaign(host, seed, seconds=15 * (3 if IN_VM else 1))
    print(c.counts)


test_attach_detach_and_kill_at_random_leave_nothing_without_an_owner.limit_s = 240


def test_soak_networks(host):
    seed = int(os.environ.get("BERTH_SEED") or time.time())
    operations = int(os.environ.get("BERTH_OPERATIONS", "10000"))
    print("seed %d" % seed)
    c = campaign(host, seed, operations=operations)
    lines = ["# Networks attached and detached at random, under kill -9", "",
             "- date: " + time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
             "- machine: %s, %d processors, kernel %s" % (platform.machine(), os.cpu_count(), platform.release()),
             "- seed: %d, 3 clients, %.0f s" % (seed, c.took),
             "- operations: %d" % c.done]
    lines += ["- %s: %d" % (k, v) for k, v in sorted(c.counts.items())]
    lines += ["- result: no address, MAC or link given twice; what ran had what its leases say, before and after one more kill -9 of berthd;",
              "  nothing left: links, routes, addresses, elements, leases, namespaces, processes, groups, folders, descriptors", ""]
    print("\n".join(lines))
    path = os.environ.get("BERTH_CAMPAIGN")
    if path:
        with open(path, "w") as f:
            f.write("\n".join(lines))


test_soak_networks.limit_s = 7200
