"""The kill campaign: random kill -9 of berthd and of shims under load. At the end nothing is left, and only containers whose
own shim was killed were disturbed.

Short in check (BERTH_KILL_SECONDS, default 45); `make soak` runs the same until BERTH_KILLS kills and writes a record."""

import os
import random
import time

import record
from host import IN_VM, SLOW, eventually
from load import LOST, Load
from proto import Client, Refused


class Campaign(Load):
    def __init__(self, host, seed):
        super().__init__(host, seed)
        self.shot = set()               # uuids of containers whose shim was killed
        self.counts = {"berthd": 0, "shim": 0, "created": 0, "exits checked": 0, "execs": 0, "removed": 0}

    def life(self, who, n):
        """One container from create to remove, with known exit code; each step repeated until answered."""
        rnd = random.Random(self.seed * 1000 + who * 100000 + n)
        code, name = rnd.randrange(1, 100), "w%d-%d" % (who, n)
        token = "%s-%d" % (name, self.seed)
        command = rnd.choice([["guest", "exit", str(code)], ["sh", "-c", "sleep 0.%02d; exit %d" % (rnd.randrange(40), code)]])
        spec = {"image": "busybox", "command": command}
        try:
            made = self.insist("container_create", {"name": name, "spec": spec, "start": True}, client_token=token)
        except Refused as e:
            if e.code in ("START_FAILED", "CONFLICT", "NOT_FOUND", "EXISTS"):     # its shim was shot while it started
                made = None
            else:
                raise
        self.count("created")
        ref = made["container"]["meta"]["uuid"] if made else name
        if rnd.random() < 0.3:
            self.insist("container_exec", {"ref": ref, "exec": {"command": ["true"], "detach": True}}, ("CONFLICT", "NOT_FOUND", "START_FAILED", "INTERNAL", "AMBIGUOUS"))
            self.count("execs")
        if made and rnd.random() < 0.7:
            got = self.insist("container_wait", {"ref": ref}, ("NOT_FOUND",))
            if got and ref not in self.shot:
                e = got.get("exit", {})
                with self.lock:
                    shot = ref in self.shot
                if not shot and (not e.get("known") or e.get("code", 0) != code):
                    # It may have been shot between the answer and now; the killer notes its victims before it shoots.
                    self.wrong.append("%s ended with %r instead of %d" % (name, e, code))
                self.count("exits checked")
        self.insist("container_remove", {"ref": ref, "force": True}, ("NOT_FOUND", "CONFLICT"))
        self.count("removed")

    # -------------------------------------------------------------- kills

    def shoot_shim(self):
        with Client(self.host.socket, timeout=20 * SLOW) as c:
            rows = c.request("container_list", {"all": False})[0].get("containers", [])
            rows = [r for r in rows if not r["meta"]["name"].startswith("by")]
            if not rows:
                return
            ref = self.random.choice(rows)["meta"]["uuid"]
            try:
                pid = c.inspect(ref)["status"].get("shim_pid")
            except Refused:
                return
        if not pid:
            return
        with self.lock:
            self.shot.add(ref)
        self.shoot_process(pid, "shim", "/shims")

    def shoot(self):
        if self.random.random() < 0.5:
            self.shoot_berthd()
        else:
            try:
                self.shoot_shim()
            except LOST:
                pass

    def kills(self):
        return self.counts["berthd"] + self.counts["shim"]

    def something_of_each(self):
        return all(self.counts[what] > 3 for what in ("berthd", "shim", "exits checked"))


def campaign(host, seed, kills=None, seconds=None):
    bystanders = [host.detached("guest", "counter", "20", name="by%d" % i) for i in range(3)]
    bystanders.append(host.detached("--restart", "always", "--", "guest", "counter", "20", name="by-always"))
    victims = [host.detached("--restart", "always", "--", "guest", "tree", "3", name="victim%d" % i) for i in range(4)]
    before = {n: host.status(n) for n in bystanders}
    uuids = {n: host.inspect(n)["meta"]["uuid"] for n in victims}
    c = Campaign(host, seed)

    def enough(t):
        """A machine that is busy with others does little in those seconds."""
        if kills is not None:
            return c.kills() >= kills
        return t > seconds and (c.something_of_each() or t > 3 * seconds)
    c.run(enough)
    assert not c.wrong, c.wrong
    for n in bystanders:
        after = host.status(n)
        assert (after["pid"], after["shim_pid"], after["incarnation"]) == (before[n]["pid"], before[n]["shim_pid"], 1), n
        seen = [int(l.split()[0]) for l in host.berth("logs", n, timeout=60).lines]
        assert seen == list(range(1, len(seen) + 1)) and len(seen) > 10, "%s lost lines" % n
    for n in victims:
        s = eventually(lambda: (lambda s: s if s["state"].endswith("RUNNING") else None)(host.status(n)), lambda: "%s runs: %r" % (n, host.status(n)), 70)
        if uuids[n] not in c.shot:
            assert s["incarnation"] == 1, "%s was disturbed though its shim was not shot" % n
    host.remove_all()
    host.assert_clean(seconds=90)       # while berthd died every tenth of a second nobody came to empty the trash
    assert c.something_of_each(), c.counts
    return c


def test_pain_3_kill_loop_leaves_nothing_and_disturbs_only_whose_shim_was_shot(host):
    seed = int(os.environ.get("BERTH_SEED") or time.time())
    print("seed %d" % seed)
    seconds = float(os.environ.get("BERTH_KILL_SECONDS") or (40 if IN_VM else 45))
    c = campaign(host, seed, seconds=seconds)
    print(c.counts)


test_pain_3_kill_loop_leaves_nothing_and_disturbs_only_whose_shim_was_shot.limit_s = 240


def test_soak_kills(host):
    seed = int(os.environ.get("BERTH_SEED") or time.time())
    kills = int(os.environ.get("BERTH_KILLS", "1000"))
    print("seed %d" % seed)
    c = campaign(host, seed, kills=kills)
    record.write(record.head(
        "Random kill -9 of berthd and shims under load",
        "controllers of cgroup v2: " + (" ".join(host.info.get("controllers", [])) or "none"),
        "seed: %d, 3 clients, %.0f s" % (seed, c.took),
        "kills: %d of berthd, %d of shims" % (c.counts["berthd"], c.counts["shim"]),
        *["%s: %d" % (k, v) for k, v in c.counts.items() if k not in ("berthd", "shim")],
        "result: nothing left (cgroups, processes, mounts, sockets, folders, descriptors); 4 bystanders with the same pid and not a log line lost;\n"
        "every exit code right but for containers whose own shim was killed"))


test_soak_kills.limit_s = 7200
