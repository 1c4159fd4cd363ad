"""berth as systemd runs it on this machine: the installed programs, the units, the one control socket."""

import os
import subprocess
import sys
import time

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TESTS, "system"))

from proto import Client  # noqa: E402

SLOW = float(os.environ.get("BERTH_SLOW", "1"))
SOCKET = "/run/berth/control.sock"
TREE = "/sys/fs/cgroup/berth.slice/berth-tree.service"


def left_over(berth, *more):
    """What belongs to no container, of groups, shims and (more) folders; shims that wait for one to come have theirs."""
    with Client(SOCKET, timeout=20 * SLOW) as c:
        known = {x["meta"]["uuid"] for x in c.request("container_list", {"all": True})[0].get("containers", [])}
        known |= {p["meta"]["uuid"] for p in c.request("pod_list")[0].get("pods", [])}
        info = c.request("info")[0]
    found = {f: set(e.name for e in os.scandir(f) if not e.is_file()) - known for f in (TREE + "/shared", "/run/berth/shims", *more)}
    return {f: names for f, names in found.items() if len(names) > info.get("spare_shims", 0)} or info.get("cgroups_undead")


def nothing_is_stale(berth):
    eventually(lambda: not left_over(berth, "/var/lib/berth/containers"), lambda: left_over(berth, "/var/lib/berth/containers"))
    eventually(lambda: not os.listdir("/var/lib/berth/trash"), "the trash is empty")


def run(*args, code=0, input=None):
    p = subprocess.run([str(a) for a in args], input=input or "", capture_output=True, text=True, timeout=60 * SLOW)
    if code is not None:
        assert p.returncode == code, "%s: exit %d\n%s%s" % (" ".join(map(str, args)), p.returncode, p.stdout, p.stderr)
    return p


def systemctl(*args, **kw):
    return run("systemctl", *args, **kw).stdout.strip()


def read(path):
    with open(path) as f:
        return f.read()


def eventually(question, what, seconds=20.0):
    end = time.monotonic() + seconds * SLOW
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, "not within %g s: %s" % (seconds * SLOW, what() if callable(what) else what)
        time.sleep(0.05)


class Berth:
    def __call__(self, *args, **kw):
        return run("berth", *args, **kw)

    def names(self):
        with Client(SOCKET, timeout=20 * SLOW) as c:
            return [x["meta"]["name"] for x in c.request("container_list", {"all": True})[0].get("containers", [])]

    def inspect(self, name):
        with Client(SOCKET, timeout=20 * SLOW) as c:
            return c.inspect(name)

    def status(self, name):
        return self.inspect(name)["status"]

    def stats(self, name):
        with Client(SOCKET, timeout=20 * SLOW) as c:
            return c.request("container_stats", {"refs": [name]})[0]["stats"][0]

    def group(self, name):
        return "/sys/fs/cgroup" + self.status(name)["cgroup"]

    def answers(self):
        try:
            with Client(SOCKET, timeout=20 * SLOW) as c:
                return c.request("info")[0]
        except (FileNotFoundError, ConnectionError, EOFError):
            return None

    def state(self, name):
        return self.status(name)["state"].replace("CONTAINER_STATE_", "").lower()

    def wait_state(self, name, *states):
        eventually(lambda: self.state(name) in states, lambda: "%s is %s, not %s" % (name, self.state(name), states))
        return self.status(name)

    def log(self, name):
        return self("logs", name).stdout


@pytest.fixture(scope="session")
def machine():
    b = Berth()
    assert systemctl("is-active", "berthd", code=None) == "active", run("journalctl", "-n", "50", "-u", "berthd").stdout
    eventually(b.answers, "berthd answers")
    if "busybox" not in b("image", "ls").stdout:
        b("image", "import", os.path.join(os.path.dirname(TESTS), "busybox"))
    return b


@pytest.fixture
def berth(machine):
    yield machine
    for name in machine.names():
        machine("rm", "-f", name)
    eventually(lambda: not left_over(machine), lambda: left_over(machine))
