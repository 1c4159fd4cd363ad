"""A pytest plugin: tests are taken in pieces, of a few of one file, from a queue that others take from too. All of them agree on what the
pieces are; which is the next is answered by who hands out the numbers: the host on a serial port (tests/vm/run), or workers.py on two pipes,
which is also told how each test went. BERTH_TURNS says which: a path, or two descriptors ("5,6": ask, answer)."""

import collections
import hashlib
import itertools
import json
import os

import pytest

PIECE = 8


class Port:
    """No descriptor of it may get to a program that a test starts: who counts descriptors would count it."""

    def __init__(self, where):
        if "," in where:
            self.ask, self.answer = map(int, where.split(","))
        else:
            self.ask = self.answer = os.open(where, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        for fd in {self.ask, self.answer}:
            os.set_inheritable(fd, False)
        self.reports = self.ask != self.answer

    def say(self, line):
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(self.ask, data):]

    def next(self, question):
        self.say(question)
        text = b""
        while not text.endswith(b"\n"):
            got = os.read(self.answer, 1)
            if not got:
                raise pytest.exit.Exception("nobody hands out tests any more")
            text += got
        return int(text)

    def report(self, **what):
        if self.reports:
            self.say(json.dumps(what))


port = Port(os.environ["BERTH_TURNS"])


def alone(items):
    """Those that measure, and run when the others have done. In the VM nobody waits for that: there all limits are wide."""
    return [i for i in items if port.reports and i.get_closest_marker("alone")]


def pieces(items):
    """Tests that may take long each for itself, then the files with most tests: what is left at the end should be short."""
    later = set(alone(items))
    items = [i for i in items if i not in later]
    slow = [i for i in items if getattr(i.function, "limit_s", 0)]
    files = [list(tests) for _, tests in itertools.groupby((i for i in items if i not in slow), lambda i: i.path)]
    files.sort(key=len, reverse=True)
    return [[i] for i in slow] + [tests[at:at + PIECE] for tests in files for at in range(0, len(tests), PIECE)]


def turns(all_pieces):
    while True:
        number = port.next("next")
        if number >= len(all_pieces):
            return
        yield from all_pieces[number]


def turn_alone(items):
    """Whoever asks first when all have ended gets them."""
    if port.reports and port.next("ended") == 0:
        yield from alone(items)


passed = {}
took = collections.defaultdict(lambda: collections.Counter())


def pytest_report_teststatus(report):
    """The dots of several at a time tell nobody anything."""
    if port.reports and report.passed:
        return ("passed" if report.when == "call" else ""), "", ""
    return None


def pytest_runtest_logreport(report):
    """A failure is told at once: who knows whether this one comes to an end."""
    took[report.fspath][report.when] += report.duration
    took[report.fspath]["tests"] += report.when == "call"
    good, seconds = passed.get(report.nodeid, (True, 0.0))
    passed[report.nodeid] = good and report.passed, seconds + report.duration
    text = ""
    if report.failed:
        text = "\n".join(["", "--- %s (%s)" % (report.nodeid, report.when), report.longreprtext, *("- %s\n%s" % s for s in report.sections)])
    elif report.skipped:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    port.report(test=report.nodeid, when=report.when, outcome=report.outcome, seconds=report.duration, text=text)
    if port.reports:
        return
    if report.failed:
        print(text, flush=True)
    if report.when == "teardown" and passed[report.nodeid][0]:
        print("\nBERTH-VM-PASSED %.1f %s" % (passed[report.nodeid][1], report.nodeid), flush=True)     # tests/vm/run, BERTH_VM_DONE


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if port.reports:
        return
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
    names = [i.nodeid for i in session.items]
    port.report(tests=names, same=hashlib.sha256("\n".join(names).encode()).hexdigest())
    for todo in turns(pieces(session.items)), turn_alone(session.items):
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
