"""A pytest plugin: tests are taken in pieces, of a few of one file, from a queue that other machines take from too. Who runs them all
agrees on what the pieces are; which is the next, the host says, on a serial port (tests/vm/run)."""

import collections
import itertools

import pytest

PORT, PIECE = "/dev/ttyS2", 8


def pieces(items):
    """Tests that may take long each for itself, then the files with most tests: what is left at the end should be short."""
    slow = [i for i in items if getattr(i.function, "limit_s", 0)]
    files = [list(tests) for _, tests in itertools.groupby((i for i in items if i not in slow), lambda i: i.path)]
    files.sort(key=len, reverse=True)
    return [[i] for i in slow] + [tests[at:at + PIECE] for tests in files for at in range(0, len(tests), PIECE)]


def turns(all_pieces):
    with open(PORT, "r+b", buffering=0) as port:
        while True:
            port.write(b"next\n")
            text = b""
            while not text.endswith(b"\n"):
                text += port.read(1)
            if int(text) >= len(all_pieces):
                return
            yield from all_pieces[int(text)]


passed = {}
took = collections.defaultdict(lambda: collections.Counter())


def pytest_runtest_logreport(report):
    """A failure is told at once: who knows whether this machine comes to an end."""
    took[report.fspath][report.when] += report.duration
    took[report.fspath]["tests"] += report.when == "call"
    good, seconds = passed.get(report.nodeid, (True, 0.0))
    passed[report.nodeid] = good and report.passed, seconds + report.duration
    if report.when == "teardown" and passed[report.nodeid][0]:
        print("\nBERTH-VM-PASSED %.1f %s" % (passed[report.nodeid][1], report.nodeid), flush=True)     # tests/vm/run, BERTH_VM_DONE
    if report.failed:
        print("\n".join(["", "--- %s (%s)" % (report.nodeid, report.when), report.longreprtext, *("- %s\n%s" % s for s in report.sections)]), flush=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    session.config.option.tbstyle = "no"    # not once more
    for path, t in took.items():
        print("\nBERTH-VM-TOOK %d %s: %d tests; %d s in setups, %d s in calls, %d s in teardowns" % (
            sum(t[w] for w in ("setup", "call", "teardown")), path, t["tests"], t["setup"], t["call"], t["teardown"]), end="", flush=True)
    print()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """As pytest's own, but for where the next one comes from."""
    if session.config.option.collectonly or session.testsfailed:
        return None
    todo = turns(pieces(session.items))
    item = next(todo, None)
    while item:
        following = next(todo, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True
