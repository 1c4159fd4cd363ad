"""The part `networks` of bench/run: what a network costs at the start and at the end of a container, with few and with many others, and what
passes between two of them, beside podman with netavark.

The driver's starts are from the request to the first instruction of the program, which is held until its interface is there: the same
with and without a network, in turns. Traffic is iperf3's, run in the network namespaces of two containers, and from the host's."""

import json
import os
import shutil
import subprocess
import time

BESIDE = (0, 1, 100, 1000, 5000)
SECONDS = 3
PINGS = ("no groups", "1 group, 2 rules, 2 members", "1 group, 2 rules, 10,000 members", "1 group, 100 rules, 10,000 members")


def missing():
    return [t for t in ("podman", "iperf3", "iptables", "nsenter") if not shutil.which(t)] + \
        ([] if os.path.exists("/usr/lib/podman/netavark") else ["netavark"])


def sh(*argv, **kw):
    r = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **kw)
    if r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(map(str, argv)), (r.stderr or r.stdout).strip()[-500:]))
    return r.stdout.strip()


class Networks:
    def __init__(self, b):
        self.b = b
        sh("ip", "link", "set", "lo", "up")

    def driver(self, *args, network="default"):
        return self.b.driver("-n", network, *args) if network else self.b.driver(*args)

    # -------------------------------------------------------------- attach and detach

    def starts(self, beside, some):
        for how, network in (("with a network", "default"), ("without", None)):
            got = self.driver("-p", "20", "first", some(100), network=network)
            self.b.put("networks", "start %s, beside %d" % (how, beside), "berth", got["first"])
            got = self.driver("starts", some(400), 10, network=network)
            self.b.put("networks", "starts per second %s, beside %d" % (how, beside), "berth", dict(got["starts"], per_second=got["rate"]["per_second"]))

    def attaches(self, beside, some):
        """To a container that runs, and from it again; nothing else is started or ended."""
        got = self.driver("connects", "plug", some(40), network="plugged")
        self.b.put("networks", "attach, beside %d" % beside, "berth", got["attach"])
        self.b.put("networks", "detach, beside %d" % beside, "berth", got["detach"])
        self.b.put("networks", "attached and detached, beside %d" % beside, "berth", got["pairs"])

    def density(self, rounds, some):
        self.driver("lives", some(30))
        self.b.berth("network", "create", "--subnet", "10.206.0.0/24", "plugged")
        self.b.berth("run", "-d", "--name", "plug", "--network", "default", "bench", "/bin/guest", "sleep")
        for beside in BESIDE:
            many = some(beside) if beside > 1 else beside
            if many:
                got = self.driver("fill", many, 20)
                self.b.put("networks", "%d attached" % beside, "berth", got["fill"])
            for _ in range(rounds if beside < 5000 else 1):
                self.starts(beside, some)
                self.attaches(beside, some)
            if beside == 1000:
                self.teardown(many, some)
            elif many:
                self.b.put("networks", "%d removed" % beside, "berth", self.driver("empty", many)["empty"])
        self.b.berth("rm", "-f", "plug")
        self.b.berth("network", "rm", "plugged")

    def teardown(self, many, some):
        """Starts while all of the others are removed."""
        other = subprocess.Popen([self.b.driver_path, "-s", self.b.socket, "empty", str(many)], stdout=subprocess.PIPE, text=True)
        got = self.driver("first", some(300))
        self.b.put("networks", "start with a network, others torn down", "berth", got["first"])
        name, n, rate = other.communicate()[0].split()
        self.b.put("networks", "1000 removed", "berth", {"per_second": float(rate.split("=")[1])})

    # -------------------------------------------------------------- traffic

    def iperf(self, who, what, server, client, address):
        """In the network namespaces of these two processes (client 0: the host's)."""
        listen = subprocess.Popen(["nsenter", "-t", str(server), "-n", "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 10
            words = (["nsenter", "-t", str(client), "-n"] if client else []) + ["iperf3", "-J", "-t", str(SECONDS), "-c", address]
            words += ["-u", "-b", "0", "-l", "64"] if "packets" in what else []
            while True:
                r = subprocess.run(words, capture_output=True, text=True)
                got = json.loads(r.stdout or "{}")
                if "error" not in got and r.returncode == 0:
                    break
                if time.monotonic() > end:
                    raise RuntimeError("iperf3 to %s: %s" % (address, got.get("error") or r.stderr))
                time.sleep(0.1)
            end = got["end"]
            figure = {"per_second": round((end["sum"]["packets"] * (1 - end["sum"]["lost_percent"] / 100)) / end["sum"]["seconds"])} if "packets" in what else \
                {"gbit_s": round(end["sum_received"]["bits_per_second"] / 1e9, 2)}
            self.b.put("networks", what, who, figure)
        finally:
            listen.kill()
            listen.wait()

    def traffic_of(self, who, nodes):
        (a, _), (c, address) = nodes
        for what, client in (("TCP between containers", a), ("TCP from the host", 0), ("packets between containers", a), ("packets from the host", 0)):
            self.iperf(who, what, c, client, address)

    def berth_nodes(self):
        nodes = []
        for name in ("net-a", "net-b"):
            self.b.berth("run", "-d", "--name", name, "--network", "default", "bench", "/bin/guest", "sleep")
            c = json.loads(self.b.berth("inspect", name))[0]
            nodes.append((c["status"]["pid"], c["networks"][0]["addresses"][0]))
        return nodes

    def podman_nodes(self):
        conf = self.b.dir + "/containers.conf"
        with open(conf, "w") as f:
            f.write('[network]\nnetwork_backend = "netavark"\n')
        os.environ["CONTAINERS_CONF"] = conf
        self.podman = [*self.b.podman, "--network-config-dir", self.b.dir + "/podman-networks"]
        sh(*self.podman, "network", "create", "bench-net")
        nodes = []
        for name in ("net-a", "net-b"):
            sh(*self.podman, "run", "-d", "--name", name, "--pids-limit=-1", "--cgroups=disabled", "--network", "bench-net", "bench", "/bin/guest", "sleep")
            c = json.loads(sh(*self.podman, "inspect", name))[0]
            nodes.append((c["State"]["Pid"], c["NetworkSettings"]["Networks"]["bench-net"]["IPAddress"]))
        return nodes

    def podman_starts(self, some):
        for who, argv in (("podman", [*self.podman, "run", "--rm", "--pids-limit=-1", "--cgroups=disabled", "--network"]), ("berth", [self.b.build + "/berth", "run", "--rm", "--network"])):
            for how, network in (("with a network", "bench-net" if who == "podman" else "default"), ("without", "none")):
                got = self.b.commands(who, some(12), [*argv, network, "bench", "/bin/guest", "exit", "0"])
                self.b.put("networks", "command line %s" % how, who, got[who])

    def connect_commands(self, some):
        """The command lines, as an operator has them: an interface more for a container that runs, and gone again."""
        network = "bench-more"
        for who, tool in (("podman", self.podman), ("berth", [self.b.build + "/berth"])):
            took = {"connect": [], "disconnect": []}
            sh(*tool, "network", "create", "--subnet", "10.205.%d.0/24" % (who == "podman"), network)
            for _ in range(some(10)):
                for verb in took:
                    begun = time.perf_counter()
                    sh(*tool, "network", verb, network, "net-a")
                    took[verb].append((time.perf_counter() - begun) * 1e6)
            sh(*tool, "network", "rm", network)
            for verb, figures in took.items():
                self.b.put("networks", "network " + verb, who, {"n": len(figures), "p50": round(sorted(figures)[len(figures) // 2], 1), "p99": round(max(figures), 1)})

    # -------------------------------------------------------------- security groups

    def groups(self):
        """In a network namespace of its own, with a berth-net of its own (bench/groups.py)."""
        out = sh("unshare", "-n", "python3", os.path.dirname(os.path.abspath(__file__)) + "/groups.py", self.b.build)
        for line in out.splitlines():
            what, *pairs = line.rsplit(" ", line.count("="))
            self.b.put("networks", "groups: " + what, "berth", {k: float(v) for k, v in (p.split("=") for p in pairs)})

    def traffic(self, rounds, some):
        sides = {"berth": self.berth_nodes(), "podman": self.podman_nodes()}
        for _ in range(rounds):
            for who, nodes in sides.items():
                self.traffic_of(who, nodes)
            self.podman_starts(some)
        self.connect_commands(some)
        self.b.berth("rm", "-f", "net-a", "net-b")
        sh(*self.podman, "rm", "-f", "-t", "0", "net-a", "net-b")
        sh(*self.podman, "network", "rm", "bench-net")

    def run(self, rounds, some):
        self.traffic(rounds, some)
        self.density(rounds, some)
        self.groups()
