"""The part `groups` of bench/run: what security groups cost, with few and with many members: changes, the table made anew, and packets.

berth-net is asked directly, in a network namespace of its own (run it with `unshare -n`), by the messages that berthd would send. Milliseconds and
microseconds are the best and the middle of several: what else the host does is in neither for long."""

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../tests/system")
from berthnet import BerthNet  # noqa: E402

NETWORK, PINGS = 1, 20000
MEMBERS = [int(x) for x in os.environ.get("MEMBERS", "1,100,1000,10000").split(",")]


def four(i):
    return bytes([10, 209, i >> 8, i & 255])


def six(i):
    return bytes([0xfd] + [0] * 13 + [i >> 8, i & 255])


def port(i, link=None, groups=(1,), policy=100, mac=None):
    return {"host_link": link or "bt%x" % i, "link": "eth0", "mac": mac or bytes([2, 0, 0, 0, i >> 8, i & 255]), "addresses": [four(i), six(i)],
            "network_key": NETWORK, **({"policy": policy, "groups": list(groups)} if groups else {})}


def rules(n, group=1):
    """The last one is what lets pings through, from members."""
    many = [{"protocol": 6, "first": 1000 + i, "last": 1000 + i, "remote_group": group} for i in range(n - 2)]
    return [{"egress": True}, *many, {"remote_group": group}]


def state(ports, n_rules=10, groups=1):
    keys = list(range(1, groups + 1))
    return {"networks": [{"key": NETWORK, "masquerade": True, "subnets": [{"network": four(0), "prefix": 16, "gateway": four(1)}]}],
            "groups": [{"key": k, "rules": rules(n_rules)} for k in reversed(keys)], "policies": [{"key": 100, "groups": list(reversed(keys))}],
            "ports": ports}


def times(fn, n):
    got = sorted(fn(i) for i in range(n))
    return got[0], got[n // 2]


# ---------------------------------------------------------------- packets

class Ends:
    """Two namespaces on two links of the host, as pods are."""

    def __init__(self):
        self.p, self.macs = [], []
        for i in (2, 3):
            p = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
            self.p.append(p)
            while os.readlink("/proc/%d/ns/net" % p.pid) == os.readlink("/proc/self/ns/net"):
                time.sleep(0.01)
            sh("ip link add bte%d type veth peer name eth0 netns %d" % (i, p.pid))
            sh("ip link set bte%d up" % i)
            for words in ("link set lo up", "link set eth0 up", "addr add 10.209.0.%d/32 dev eth0" % i, "route add 10.209.0.1 dev eth0",
                          "route add default via 10.209.0.1"):
                sh("nsenter -t %d -n ip %s" % (p.pid, words))
            sh("ip route add 10.209.0.%d dev bte%d" % (i, i))
            out = sh("nsenter -t %d -n ip -o link show eth0" % p.pid)
            self.macs.append(bytes.fromhex(out.split("link/ether ")[1].split()[0].replace(":", "")))

    def ports(self, **kw):
        return [port(i, link="bte%d" % i, mac=m, **kw) for i, m in zip((2, 3), self.macs)]

    def ping(self):
        """Microseconds there and back, the best of some runs of many pings without a pause."""
        best = []
        for _ in range(5):
            out = sh("nsenter -t %d -n ping -4 -f -q -c %d 10.209.0.3" % (self.p[0].pid, PINGS))
            assert " 0% packet loss" in out, out
            best.append(float(out.rsplit("= ", 1)[1].split("/")[1]) * 1000)
        return min(best)

    def end(self):
        for p in self.p:
            p.kill()
            p.wait()


def sh(words):
    return subprocess.run(words.split(), check=True, capture_output=True, text=True).stdout


def figures(what, times):
    print("%s min=%.1f p50=%.1f" % (what, times[0] * 1e6, times[1] * 1e6), flush=True)


def changes(net, members, groups=1):
    """The last group is the one that is changed; all members are in it."""
    others = [port(i, groups=(groups,)) for i in range(10, 10 + members)]
    beside = "%d members" % members if groups == 1 else "%d groups" % groups
    all_of_it = state(others, groups=groups)
    all_of_it["policies"] = [{"key": 99 + k, "groups": [k]} for k in range(1, groups + 1)]
    figures("the table made anew, " + beside, times(lambda i: net.ask("state", all_of_it), 3))
    one, none = port(60000), port(60000, groups=())
    figures("one member more, " + beside,
            times(lambda i: (net.ask("port_update", {"was": one, "port": none}), net.ask("port_update", {"was": none, "port": one}))[1], 200))
    figures("one member less, " + beside,
            times(lambda i: (net.ask("port_update", {"was": none, "port": one}), net.ask("port_update", {"was": one, "port": none}))[1], 200))
    for n in (10, 100):
        figures("%d rules replaced, %s" % (n, beside), times(lambda i: net.ask("group_put", {"group": {"key": groups, "rules": rules(n)}}), 30))
    figures("a new policy, " + beside, times(lambda i: net.ask("policy_put", {"policy": {"key": 20000 + i, "groups": [1]}}), 30))


def main(build):
    sh("ip link set lo up")
    net = BerthNet(build + "/berth-net")
    for members in MEMBERS:
        changes(net, members)
    changes(net, 1000, groups=1000)
    ends = Ends()
    for what, ports, kw in (("no groups", dict(groups=(), policy=0), {}), ("1 group, 2 rules, 2 members", {}, dict(n_rules=2)),
                            ("1 group, 2 rules, 10,000 members", {}, dict(n_rules=2, more=10000)), ("1 group, 100 rules, 10,000 members", {}, dict(n_rules=100, more=10000))):
        more = [port(i) for i in range(10, 10 + kw.pop("more", 0))]
        net.ask("state", state(ends.ports(**ports) + more, **kw))
        best = ends.ping() / 1e6
        figures("ping there and back, " + what, (best, best))
    ends.end()
    net.end()


main(sys.argv[1] if len(sys.argv) > 1 else "build")
