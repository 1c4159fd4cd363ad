"""Runs the system suite as several at a time, each in namespaces of its own: workers.py N ARGUMENTS (of pytest), called by run.

Each is a tests/system/run; they take tests from one queue (turns.py), so they end together. What a test says is told at once if it failed,
and counted; at the end stands one line as pytest's own. A test that nobody has told of, because who had taken it died, has failed; so has a run
of which one ended otherwise than its tests."""

import collections
import json
import os
import selectors
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Worker:
    def __init__(self, number, beside, argv):
        self.number, self.text, self.tests, self.failed = number, b"", None, False
        self.ask, theirs = os.pipe()
        answers, self.answer = os.pipe()
        env = dict(os.environ, BERTH_JOBS="1", BERTH_BESIDE=str(beside), BERTH_TURNS="%d,%d" % (theirs, answers), PYTHONPATH=HERE)
        self.process = subprocess.Popen([HERE + "/run", "-p", "turns", *argv], env=env, pass_fds=(theirs, answers), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0)
        os.close(theirs)
        os.close(answers)
        self.output, self.running, self.ended, self.told = b"", True, False, False

    def tell(self, number):
        try:
            os.write(self.answer, b"%d\n" % number)
        except BrokenPipeError:
            pass


class Suite:
    def __init__(self):
        self.turn = 0
        self.wanted, self.same = None, None     # the tests, and a digest of them in their order
        self.took = {}                          # test -> seconds
        self.outcome = {}                       # test -> the worst of its phases
        self.ended = set()
        self.skips = collections.Counter()
        self.trouble = []
        self.said = 0

    def hear(self, worker, line):
        if line == "next":
            worker.tell(self.turn)
            self.turn += 1
            return
        if line == "ended":
            worker.ended = True
            return
        what = json.loads(line)
        if "tests" in what:
            worker.tests = what["tests"]
            if self.wanted is None:
                self.wanted, self.same = what["tests"], what["same"]
            elif self.same != what["same"]:     # then a number is not the same piece for all
                self.trouble.append("worker %d sees other tests than the first, or in another order" % worker.number)
            return
        test, outcome = what["test"], what["outcome"]
        rank = ("passed", "skipped", "failed")
        self.outcome[test] = max(self.outcome.get(test, "passed"), outcome, key=rank.index)
        self.took[test] = self.took.get(test, 0) + what["seconds"]
        if outcome == "failed":
            worker.failed = True
            print("  %d | %s" % (worker.number, what["text"].strip().replace("\n", "\n  %d | " % worker.number)), flush=True)
        elif outcome == "skipped":
            self.skips[what["text"]] += 1
        if what["when"] == "teardown":
            self.ended.add(test)
            tenth = len(self.ended) * 10 // max(1, len(self.wanted or ()))
            if tenth > self.said and tenth < 10:
                self.said = tenth
                print("  SYSTEM  %d of %d tests" % (len(self.ended), len(self.wanted)), flush=True)

    def all_ended(self, workers):
        """What measures has the machine for itself: the first goes on when the others have gone, with all that is theirs."""
        left = [w for w in workers if w.running]
        if all(w.ended for w in left):
            for i, worker in enumerate(left):
                if not worker.told and (i or len(left) == 1):
                    worker.told = True
                    worker.tell(i)

    def summary(self, workers, seconds):
        if not self.wanted:
            self.trouble.append("no test was found")
        for test in self.wanted or ():
            if test not in self.ended:
                self.outcome[test] = "failed"
                self.trouble.append("%s was not run to its end" % test)
        for why, n in sorted(self.skips.items()):
            print("SKIPPED [%d] %s" % (n, why))
        for test, outcome in self.outcome.items():
            if outcome == "failed":
                print("FAILED " + test)
        for what in self.trouble:
            print("TROUBLE " + what)
        files = collections.Counter()
        for test, took in self.took.items():
            files[test.split("::")[0]] += took
        print("  SYSTEM  the longest: " + ", ".join("%s %d s" % x for x in files.most_common(8)))
        n = collections.Counter(self.outcome.values())
        n["failed"] = n["failed"] or bool(self.trouble)
        print(", ".join("%d %s" % (n[k], k) for k in ("failed", "passed", "skipped") if n[k]) + " in %.2fs, %d at a time" % (seconds, workers))
        return not n["failed"]


def main(number, *argv):
    if not number.isdecimal() or not int(number):
        sys.exit("tests/system: %r at a time (JOBS): a number from 1 on" % number)
    sys.stdout.reconfigure(errors="backslashreplace")      # whatever a test that failed has quoted
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    suite, workers, selector = Suite(), [], selectors.DefaultSelector()
    try:
        for i in range(int(number)):
            workers.append(Worker(i + 1, int(number), argv))
            selector.register(workers[-1].ask, selectors.EVENT_READ, (workers[-1], "ask"))
            selector.register(workers[-1].process.stdout, selectors.EVENT_READ, (workers[-1], "output"))
        while selector.get_map():
            for key, _ in selector.select():
                worker, kind = key.data
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                    worker.running = worker.running and kind == "output"
                elif kind == "output":
                    worker.output += data
                else:
                    *lines, worker.text = (worker.text + data).split(b"\n")
                    for line in lines:
                        suite.hear(worker, line.decode())
                suite.all_ended(workers)
        for worker in workers:
            code = worker.process.wait()
            if code != int(worker.failed) or worker.tests is None:
                print("  %d | %s" % (worker.number, worker.output.decode(errors="replace")[-6000:].strip().replace("\n", "\n  %d | " % worker.number)))
                suite.trouble.append("worker %d ended with %d" % (worker.number, code))
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                os.killpg(worker.process.pid, signal.SIGTERM)
                worker.process.wait()
    good = suite.summary(len(workers), time.monotonic() - start)
    times = os.environ.get("BERTH_TIMES")
    if times:
        with open(times, "w") as f:
            for test, took in sorted(suite.took.items(), key=lambda x: -x[1]):
                f.write("%.2f %s\n" % (took, test))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
