"""Fixtures of the system suite: one berthd for the session, a new one only after a test that left something behind."""

import contextlib
import os
import re
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# Who runs in the background has it ignored, and would hand that on to the tools that are interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)

from between import Between  # noqa: E402
from gateway import Gateway  # noqa: E402
from host import BIN, DIR, IN_VM, VM_ALL, PATIENCE, Gate, Host, TimeLimit, processes  # noqa: E402
from oci import Image, busybox_entries, layer  # noqa: E402

LIMIT_S = 90


def busybox_image(name="busybox", config=None, more=()):
    base = layer(busybox_entries("/bin/busybox", os.path.join(BIN, "guest")))
    return Image(name, [base, *more], config or {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]})


def natively(*rows):
    """Further rows of a table of which others run in the VM too."""
    return [pytest.param(*row, marks=pytest.mark.native) for row in rows]


class Current:
    host = None
    spoiled = False     # a test failed: what it left its berthd in is not the next one's
    gateway = None


def host_new(**kw):
    h = Host(**kw)
    h.start()
    folder = os.path.join(DIR, "state", "busybox-layout")
    if not os.path.exists(folder):
        busybox_image().write_layout(folder)
    h.berth("image", "import", folder)
    h.berth("run", "--rm", "busybox", "true")   # what the first container leaves in caches is no leak
    return h


@pytest.fixture
def host(request):
    if Current.gateway and "gateway" not in request.fixturenames:      # it is a client of berthd too, as many a test counts
        Current.gateway.stop()
        Current.gateway = None
    if Current.host is None or Current.spoiled or Current.host.daemon.poll() is not None:
        if Current.host:
            Current.host.destroy()
        Current.spoiled, Current.host = False, host_new()
    h = Current.host
    h.own = set(processes()) - {h.daemon.pid}
    yield h
    try:
        assert h.daemon.poll() is None, "berthd is gone (%s):\n%s" % (h.daemon.returncode, h.log()[-4000:])
        h.remove_all()
        h.assert_clean(trash=False)
    except BaseException:
        Current.host = None
        print(h.log()[-4000:])
        h.destroy()
        raise


@pytest.fixture
def gateway(host):
    """One berth-gateway for as long as its berthd lives; it keeps nothing of a test."""
    g = Current.gateway
    if not g or g.host is not host or g.process.poll() is not None:
        if g:
            g.stop()
        g = Current.gateway = Gateway(host).start()
    g.callers = {}      # their tokens ended with the test that made them
    yield g
    assert g.process.poll() is None, "berth-gateway is gone (%s):\n%s" % (g.process.returncode, g.log()[-4000:])
    for word in ("AddressSanitizer", "runtime error:", "LeakSanitizer"):
        assert word not in g.log(), g.log()[-4000:]


@pytest.fixture(scope="module", autouse=True)
def emptied():
    """After each file: the trash too."""
    yield
    if Current.host and Current.host.daemon.poll() is None:
        Current.host.assert_clean(trash=True)


@pytest.fixture
def gate(tmp_path):
    (tmp_path / "gate").mkdir()
    return Gate(tmp_path / "gate")


@pytest.fixture
def between(host, tmp_path):
    """Who stands between berthd and berth-net, until the test has ended."""
    b = Between(host, tmp_path)
    yield b
    b.end()


@pytest.fixture
def needs(host):
    """needs("memory"): skips, with the reason, where this host's cgroup v2 lacks the controller."""
    def check(*controllers):
        for c in controllers:
            if c not in host.info.get("controllers", []):
                pytest.skip("the %s controller is not on this host's cgroup v2; runs in check-vm" % c)
    return check


@pytest.fixture
def lacks(host):
    """lacks("memory"): only a host without the controller can show this refusal."""
    def check(controller):
        return controller not in host.info.get("controllers", [])
    return check


def pytest_sessionfinish(session):
    if Current.gateway:
        Current.gateway.stop()
    if Current.host:
        Current.host.destroy()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    limit = int(getattr(item.function, "limit_s", LIMIT_S) * PATIENCE)

    def expired(*_):
        raise TimeLimit("the test took more than %d s" % limit)
    signal.signal(signal.SIGALRM, expired)
    signal.alarm(limit)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if IN_VM and report.skipped:
        report.outcome, report.longrepr = "failed", "skipped in the VM, where nothing may: %s" % (report.longrepr,)
    Current.spoiled |= report.failed


def pytest_configure(config):
    config.addinivalue_line("markers", "native: not run in the VM, where a test costs several times as much and all have 12 minutes: what asks "
                            "no kernel for anything in particular (words of the tool, the model of image layers, the protocols of gateway and registry) or needs "
                            "tools of the host (skopeo, a registry). BERTH_VM_ALL=1 runs those of the first kind there too; those of the second have a skipif")
    config.addinivalue_line("markers", "alone: measures, or disturbs the whole host, and is not run beside others (turns.py)")


def pytest_ignore_collect(collection_path):
    """In the VM a file that is native as a whole is not even read: emulated, that took longer than many a test."""
    if IN_VM and not VM_ALL and collection_path.suffix == ".py":
        return bool(re.search(r"^pytestmark = .*pytest\.mark\.native", collection_path.read_text(), re.M)) or None


def native_only(item):
    """Left out in the VM: what is marked so; of all of them, what lacks a tool of the host."""
    if not IN_VM or not item.get_closest_marker("native"):
        return False
    return not VM_ALL or any(m.args[0] for m in item.iter_markers("skipif"))


def passed_before():
    """Of a run in the VM that goes on with another one (BERTH_VM_DONE)."""
    try:
        with open(os.path.join(BIN, "..", "done")) as f:
            return set(f.read().splitlines())
    except FileNotFoundError:
        return set()


def pytest_collection_modifyitems(config, items):
    wanted, done = "soak" in (config.getoption("-k") or ""), passed_before() if IN_VM else ()
    dropped = [i for i in items if ("soak" in i.name and not wanted) or native_only(i) or i.nodeid in done]
    items[:] = [i for i in items if i not in dropped]
    config.hook.pytest_deselected(items=dropped)


@contextlib.contextmanager
def private_host(**kw):
    """A berthd of a test's own, beside or instead of the session's."""
    h = host_new(**kw)
    try:
        yield h
        h.remove_all()
        h.assert_clean()
    except BaseException:
        print(h.log()[-4000:])
        raise
    finally:
        h.destroy()
