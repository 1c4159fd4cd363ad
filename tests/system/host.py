"""One berthd on private folders, the ways to talk to it, and the question whether anything of it is left."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

from proto import Client, Refused

SLOW = float(os.environ.get("BERTH_SLOW", "1"))
# What is waited for may take longer still: those beside us have the processors too (workers.py). What is measured may not.
PATIENCE = SLOW * float(os.environ.get("BERTH_BESIDE", "1"))
IN_VM = os.environ.get("BERTH_VM") == "1"
VM_ALL = os.environ.get("BERTH_VM_ALL") == "1"
BIN = os.environ["BERTH_BIN"]
DIR = os.environ["BERTH_TEST_DIR"]
CGROUP = os.environ["BERTH_TEST_CGROUP"]


class TimeLimit(Exception):
    pass


def eventually(question, what, seconds=10.0, pause=0.01):
    """The first true answer of question(); fails with the last one. Asks less often by and by: asking keeps a slow machine from getting there."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s (last: %r)" % (seconds * PATIENCE, what() if callable(what) else what, answer))
        time.sleep(pause)
        pause = min(pause * 1.2, max(pause, 0.1))


def processes():
    """pid -> (state, ppid, name) of everything in our pid namespace."""
    out = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                text = f.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        out[int(pid)] = (rest[0], int(rest[1]), name)
    return out


def wakings(pid):
    try:
        with open("/proc/%d/status" % pid) as f:
            return next(line for line in f if line.startswith("voluntary_ctxt_switches"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def mounts():
    with open("/proc/self/mountinfo") as f:
        return sorted(line.split(" ", 2)[2] for line in f)


def cgroup_mount():
    with open("/proc/mounts") as f:
        return next(line.split()[1] for line in f if line.split()[2] == "cgroup2")


class Gate:
    """What a container waits for until the test opens it: no sleep is long enough for every machine."""

    WAIT = "until [ -e /gate/open ]; do sleep 0.05; done; "

    def __init__(self, folder):
        self.folder = str(folder)
        self.flags = ["-v", self.folder + ":/gate:ro"]

    def open(self):
        open(self.folder + "/open", "w").close()


class Result:
    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err

    @property
    def text(self):
        return self.out.strip()

    @property
    def lines(self):
        return self.out.splitlines()

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return "berth %s -> %d\nstdout: %s\nstderr: %s" % (" ".join(self.args), self.code, self.out[-3000:], self.err[-3000:])


class Host:
    serial = 0

    def __init__(self, options=(), exe=None, state=None, before=()):
        Host.serial += 1
        tag = str(Host.serial)
        self.state, self.run = state or os.path.join(DIR, "state", tag), os.path.join(DIR, "run", tag)
        self.cgroup = CGROUP if Host.serial == 1 else CGROUP + "-" + tag
        self.cgroup_dir = cgroup_mount() + self.cgroup
        self.log_path = os.path.join(DIR, "berthd.%s.log" % tag)
        self.socket = os.path.join(self.run, "control.sock")
        self.options, self.before = list(options), list(before)
        self.exe = exe or os.path.join(BIN, "berthd")
        self.daemon = None
        self.fds_at_start = None
        self.clean_networks = None      # how often berth-net had been awake when it was last seen that nothing is left
        self.names = 0
        os.makedirs(self.state, exist_ok=True)
        os.makedirs(self.run)
        # Not in the run folder: it outlives a boot (test_boot.py). Whom this host asks for names: nobody answers there.
        self.resolv_conf = os.path.join(DIR, "etc." + tag, "resolv.conf")
        os.makedirs(os.path.dirname(self.resolv_conf))
        with open(self.resolv_conf, "w") as f:
            f.write("nameserver 127.77.0.1\n")
        if "--config" not in self.options:
            settings = os.path.join(os.path.dirname(self.resolv_conf), "berthd.conf")
            with open(settings, "w") as f:
                f.write("resolv_conf = %s\n" % self.resolv_conf)
            self.options += ["--config", settings]
        self.mounts = mounts()
        self.own = set(processes())

    # -------------------------------------------------------------- berthd

    def argv(self):
        return [*self.before, self.exe, "--state", self.state, "--run", self.run, "--cgroup", self.cgroup, *self.options]

    def start(self):
        log = open(self.log_path, "ab")
        self.daemon = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.wait_ready()

    def wait_ready(self):
        def answers():
            if self.daemon.poll() is not None:
                raise AssertionError("berthd ended with %d:\n%s" % (self.daemon.returncode, self.log()[-3000:]))
            try:
                with Client(self.socket) as c:
                    return c.request("info")[0]
            except (FileNotFoundError, ConnectionError, EOFError):
                return None
        self.info = eventually(answers, "berthd answers", 10)
        self.fds_at_start = None

    def kill(self, sig=signal.SIGKILL):
        self.daemon.send_signal(sig)
        return self.daemon.wait(20 * PATIENCE)

    def settled(self):
        """What inspect shows is on disk too. A kill -9 may take back what was merely seen, and the end that a stop has told of."""
        eventually(lambda: not self.ask("info").get("store_queue"), "all is on disk")

    def restart(self, sig=signal.SIGKILL):
        self.kill(sig)
        self.start()

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def destroy(self):
        """Whatever state it is in: all gone."""
        if self.daemon and self.daemon.poll() is None:
            self.kill()
        for root, _, files in os.walk(self.cgroup_dir):
            if "cgroup.kill" in files:
                with open(root + "/cgroup.kill", "w") as f:
                    f.write("1")
                break
        for pid in set(processes()) - self.own:
            try:
                if processes().get(pid, ("", 0, ""))[1] == 1:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.run, ignore_errors=True)
        for _ in range(100):
            for root, dirs, _ in os.walk(self.cgroup_dir, topdown=False):
                try:
                    os.rmdir(root)
                except OSError:
                    pass
            if not os.path.exists(self.cgroup_dir):
                break
            time.sleep(0.02)

    # -------------------------------------------------------------- talking to it

    def client(self, **kw):
        return Client(self.socket, timeout=20 * PATIENCE, **kw)

    def token(self, project, user="someone", role="MEMBER", **kw):
        """The secret of a new access token."""
        return self.ask("token_create", {"project": project, "user": user, "role": role, **kw})["secret"]

    def api(self, secret=None):
        """A client on api.sock, whose requests are that token's."""
        return Client(self.run + "/api.sock", timeout=20 * PATIENCE, token=secret)

    def ask(self, body, fields=None, **kw):
        with self.client() as c:
            return c.request(body, fields, **kw)[0]

    def popen(self, *args, **kw):
        for stream in ("stdin", "stdout", "stderr"):
            kw.setdefault(stream, subprocess.PIPE)
        kw.setdefault("bufsize", 0)     # communicate() after readline() would lose what the buffer had read ahead
        env = {**os.environ, "BERTH_SOCKET": self.socket, **kw.pop("env", {})}
        return subprocess.Popen([os.path.join(BIN, "berth"), *map(str, args)], env=env, **kw)

    def berth(self, *args, input=None, code=0, timeout=30):
        """Runs the tool; code: the exit status that is asserted (None: any)."""
        args = [str(a) for a in args]
        p = self.popen(*args, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
        try:
            out, err = p.communicate(input.encode() if isinstance(input, str) else input, timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise AssertionError("berth %s did not end in %g s\n%s\n%s" % (" ".join(args), timeout * PATIENCE, out, err))
        r = Result(args, p.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
        if code is not None:
            assert r.code == code, "expected exit %d: %r\nberthd's log: …%s" % (code, r, self.log()[-1500:])
        return r

    def refused(self, *args, text, code=1, **kw):
        """The tool must fail with this exit code and say `text` (a regular expression) on stderr."""
        r = self.berth(*args, code=code, **kw)
        assert re.search(text, r.err), "%r\nsays nothing like %r" % (r, text)
        return r

    def run_(self, *args, **kw):
        """berth run --rm with the busybox image."""
        flags, cmd = split_command(args)
        return self.berth("run", "--rm", *flags, "busybox", *cmd, **kw)

    def name(self):
        self.names += 1
        return "c%d" % self.names

    def detached(self, *args, **kw):
        """A detached container from busybox; its name."""
        flags, cmd = split_command(args)
        name = kw.pop("name", None) or self.name()
        self.berth("run", "-d", "--name", name, *flags, "busybox", *cmd, **kw)
        return name

    def inspect(self, ref):
        return self.ask("container_inspect", {"ref": ref})["container"]

    def status(self, ref):
        return self.inspect(ref)["status"]

    def state_of(self, ref):
        return self.status(ref)["state"].replace("CONTAINER_STATE_", "").lower()

    def wait_state(self, ref, *states, seconds=10):
        last = []

        def reached():
            last[:] = [self.status(ref)]
            return last[0]["state"].replace("CONTAINER_STATE_", "").lower() in states
        eventually(reached, lambda: "%s is %s; %r" % (ref, " or ".join(states), last), seconds)
        return last[0]

    def wait_pause(self, ref):
        """A pause between two restarts that is long enough for what the test does in it."""
        def paused():
            s = self.status(ref)
            return s["state"].endswith("BACKOFF") and s["next_retry_at"] > time.time_ns() + 700e6 + 130e6 * PATIENCE and s
        return eventually(paused, "%s waits, and for longer" % ref, pause=0.05)

    def jobs(self):
        """The groups of jobs. (Those of berth-net and berth-dns are among them, and stay.)"""
        folder = self.cgroup_dir + "/jobs"
        return [d for d in os.listdir(folder) if os.path.isdir(folder + "/" + d) and not d.startswith(("net.", "dns."))]

    def wait_reader(self):
        """A job reads: whoever follows a log is there."""
        eventually(self.jobs, "a reader")

    def wait_log(self, ref, text, seconds=10):
        def found():
            out = self.berth("logs", ref).out
            return out if text in out else None
        return eventually(found, "%r in the log of %s" % (text, ref), seconds, 0.05)

    def list(self, all_projects=False):
        """All pages of it."""
        out, after = [], 0
        with self.client() as c:
            while True:
                page = c.request("container_list", {"all": True, "after_id": after, "all_projects": all_projects})[0]
                out += page.get("containers", [])
                after = page.get("next_after_id", 0)
                if not after:
                    return out

    def actions(self, ref):
        return self.ask("actions", {"ref": ref}).get("actions", [])

    # -------------------------------------------------------------- what is left

    def remove_all(self):
        self.settled()      # what is being created cannot be removed yet
        containers = self.list(all_projects=True)
        with self.client() as c:
            for container in containers:
                remove(c, "container_remove", container["meta"]["uuid"])
            for pod in c.request("pod_list", {"all_projects": True})[0].get("pods", []):
                if not pod.get("implicit"):
                    remove(c, "pod_remove", pod["meta"]["uuid"])
            for volume in c.request("volume_list", {"all_projects": True})[0].get("volumes", []):
                c.request("volume_remove", {"name": volume["meta"]["name"]}, project=volume["meta"]["project"])
            for f in c.request("floating_ip_list", {"all_projects": True})[0].get("floating_ips", []):
                if f.get("target_uuid"):
                    c.request("floating_ip_disassociate", {"ip": f["address"]})
                c.request("floating_ip_release", {"ip": f["address"]})
            for pool in c.request("floating_ip_pool_list", {"all_projects": True})[0].get("pools", []):
                c.request("floating_ip_pool_remove", {"name": pool["meta"]["uuid"]})
            for network in c.request("network_list", {"all_projects": True})[0].get("networks", []):
                if network["meta"]["name"] not in ("default", "host", "none"):
                    c.request("network_remove", {"name": network["meta"]["uuid"]})
            groups = [g for g in c.request("security_group_list", {"all_projects": True})[0].get("groups", []) if g["meta"]["name"] != "default"]
            for group in groups:        # by whose rules others are held
                for rule in [r for r in group.get("rules", []) if r.get("remote_group")]:
                    c.request("security_group_rule_remove", {"name": group["meta"]["uuid"], "rule": rule["uuid"]})
            for group in groups:
                c.request("security_group_remove", {"name": group["meta"]["uuid"]})
            for token in c.request("token_list")[0].get("tokens", []):
                c.request("token_revoke", {"id": token["id"]})

    def spares(self):
        """uuid -> pid of the shims that wait for a container to come."""
        with self.client() as c:
            known = {x["meta"]["uuid"] for x in self.list(all_projects=True)} | {
                p["meta"]["uuid"] for p in c.request("pod_list", {"all_projects": True})[0].get("pods", [])}
        waiting = set(os.listdir(self.run + "/shims")) - known
        found = {}
        for pid, (state, parent, name) in processes().items():
            try:
                with open("/proc/%d/cmdline" % pid) as f:
                    uuid = f.read().rstrip("\0").split("\0")[-1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if name == "berth-shim" and parent == self.daemon.pid and state != "Z" and uuid in waiting:
                found[uuid] = pid
        return found

    def leftovers(self, trash):
        """Everything that should not be there when no container exists; empty when all is well."""
        left = []
        spares = self.spares()
        for kind in ("shared", "jobs"):
            folder = os.path.join(self.cgroup_dir, kind)
            left += ["cgroup %s/%s" % (kind, d) for d in os.listdir(folder)
                     if os.path.isdir(os.path.join(folder, d)) and d not in spares and not d.startswith(("net.", "dns."))]
        seen = processes()
        others = {pid for pid in self.own if seen.get(pid, ("", 0, ""))[2] == "berthd"}     # another berthd makes its shims as it likes
        others |= {pid for pid, p in seen.items() if p[1] in others}       # and in those somebody stands by
        strays = {pid: p for pid, p in seen.items() if pid not in self.own and p[1] not in others and pid != self.daemon.pid and not {pid, p[1]} & set(spares.values())      # nor who stands by
                  and not (p[0] == "Z" and p[1] == os.getpid())}      # a tool that a failed test did not wait for
        by_design = 3 * len(spares)     # descriptors of berthd: process, socket and network namespace
        for name, held in (("berth-net", 3), ("berth-dns", 4)):     # from the first network on one of each lives as long as this berthd
            ours = [pid for pid, p in seen.items() if p[1] == self.daemon.pid and p[2] == name]
            by_design += held * bool(ours)      # its group, process and socket; and of whom the host asks for names, a watch
            strays.pop(ours[0] if ours else None, None)
        left += ["process %d (%s) in state %s, parent %d" % (pid, p[2], p[0], p[1]) for pid, p in strays.items()]
        for folder in (self.run + "/shims", self.run + "/exits", self.run + "/staging",
                       self.state + "/containers", self.state + "/volumes", self.state + "/images/tmp", self.state + "/trash"):
            if os.path.isdir(folder) and (trash or not folder.endswith("/trash")):
                left += ["%s/%s" % (folder, f) for f in os.listdir(folder) if not f.endswith(".lock") and f not in spares]
        left += ["mount %s" % m for m in set(mounts()) - set(self.mounts)]
        info = self.ask("info")
        if info.get("spare_shims", 0) != len(spares):
            left.append("berthd has %d spare shims, there are %d" % (info.get("spare_shims", 0), len(spares)))
        if info.get("cgroups_undead"):
            left.append("%d cgroups undead" % info["cgroups_undead"])
        if info.get("store_error"):
            left.append("store: " + info["store_error"])
        for count in ("containers", "pods", "shims"):
            if info.get(count):
                left.append("info says %d %s" % (info[count], count))
        fds = self.fds()
        if self.fds_at_start is None and not left:
            self.fds_at_start = len(fds) - by_design
        # A few more may stay: a device program for each distinct rule set.
        if self.fds_at_start is not None and len(fds) > self.fds_at_start + by_design + 6:
            left.append("berthd has %d descriptors, had %d and %d by design: %s" % (len(fds), self.fds_at_start, by_design, sorted(fds.values())))
        return left or self.network_leftovers(seen)

    def network_leftovers(self, seen):
        """Links, routes, addresses and elements of ours, but for those of networks that are always there."""
        worked = {pid: wakings(pid) for pid, p in seen.items() if p[2] == "berth-net" and p[1] == self.daemon.pid}
        # Four programs to start, which is a third of what a test costs in an emulated machine: only when berth-net has been awake since.
        if not os.path.exists(self.run + "/net") or worked and worked == self.clean_networks:
            return []
        left = self.network_leftovers_now(self.ask("info").get("network_slots", []))
        self.clean_networks = None if left else worked
        return left

    def network_leftovers_now(self, slots):
        """slots: links that wait in spares for their container. Each is there, and has nothing but itself."""
        where = ["nsenter", "-t", str(self.daemon.pid), "-n"] if os.readlink("/proc/%d/ns/net" % self.daemon.pid) != os.readlink("/proc/self/ns/net") else []
        run = lambda *words, **kw: subprocess.run([*where, *words], capture_output=True, text=True, **kw).stdout
        families = [run("ip", family, "-o", "-batch", "-", input=what + "neigh show proxy\nroute\naddr show dev berth0 scope global\n").splitlines()
                    for family, what in (("-4", "link\n"), ("-6", ""))]
        left = ["link, neighbour or route " + x for x in sum(families, []) if " proto 190 " in x + " " or re.search(r"^\d+: b[tf]| dev bt", x)]
        is_slot = lambda line: re.match(r"link, neighbour or route \d+: (bt\w+)@", line) and re.split(r"[ @:]+", line)[5] in slots
        missing = set(slots) - {re.split(r"[ @:]+", x)[5] for x in left if is_slot(x)}
        left = [x for x in left if not is_slot(x)] + ["no link of the slot " + x for x in sorted(missing)]
        for lines in families:      # of the network `default`
            for kind in [[x for x in lines if " proto 191 " in x], [x for x in lines if re.search(r"berth0 +inet", x)]]:
                left += ["of several networks " + x for x in kind if len(kind) > 1]
        parts = [json.loads(run("nft", "-j", "list", "table", family, "berth") or "{}").get("nftables", []) for family in ("inet", "bridge")]
        for part in sum(parts, []):
            s = part.get("set") or part.get("map")
            if s and not s["name"].startswith(("masked", "gateways")):
                left += ["element %s of %s" % (json.dumps(x), s["name"]) for x in s.get("elem", [])]
        return left

    def fds(self):
        folder, out = "/proc/%d/fd" % self.daemon.pid, {}
        for fd in os.listdir(folder):
            try:
                out[fd] = os.readlink(folder + "/" + fd)
            except FileNotFoundError:
                pass
        return out

    def assert_clean(self, trash=True, seconds=30):
        """trash: what was removed is emptied once a second by a job; not every test waits for that. But for the job itself, which on a slow disk has
        thousands of files to remove."""
        last = []

        def clean():
            last[:] = self.leftovers(trash)
            return not last
        eventually(clean, lambda: "nothing is left: %d: %s" % (len(last), "; ".join(last[:20])), seconds, 0.02)
        log = self.log()
        for word in ("AddressSanitizer", "runtime error:", "LeakSanitizer"):
            assert word not in log, log[log.index(word) - 200:][:4000]


def remove(client, verb, ref):
    try:
        client.request(verb, {"ref": ref, "force": True})
    except Refused as e:
        if e.code != "NOT_FOUND":
            raise


def split_command(args):
    """("-e", "A=1", "--", "sh", "-c", "x") -> flags and command; without "--" the first word that is no flag starts the command
    only when there are no flags at all."""
    args = list(args)
    if "--" in args:
        at = args.index("--")
        return args[:at], args[at + 1:]
    assert not args or not str(args[0]).startswith("-"), "say -- before the command"
    return [], args
