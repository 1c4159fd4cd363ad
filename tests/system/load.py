"""Clients that ask until they are answered, while what answers them is killed again and again: what the campaigns are made of."""

import os
import random
import signal
import threading
import time

from host import PATIENCE
from proto import Client, Refused

LOST = (OSError, EOFError)      # the connection died with berthd: ask again


class Load:
    """Workers call life(who, n) again and again; run() meanwhile calls shoot() until it is enough."""

    def __init__(self, host, seed):
        self.host, self.seed, self.random = host, seed, random.Random(seed)
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.counts = {}
        self.wrong = []

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + n

    def connect(self, until=30):
        end = time.monotonic() + until * PATIENCE
        while True:
            try:
                return Client(self.host.socket, timeout=20 * PATIENCE)
            except LOST:
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)

    def insist(self, body, fields, tolerated=(), **kw):
        """Asks until there is an answer; None when it was refused for a tolerated reason."""
        while True:
            c = self.connect()
            try:
                answer, fds = c.request(body, fields, **kw)
                for fd in fds:
                    os.close(fd)
                return answer
            except Refused as e:
                if e.code in tolerated:
                    return None
                if e.code != "UNAVAILABLE":
                    raise
            except LOST:
                pass
            finally:
                c.close()

    def worker(self, who):
        n = 0
        try:
            while not self.stop.is_set():
                self.life(who, n)
                n += 1
        except BaseException as e:      # told at the end, by the test
            self.wrong.append("worker %d, life %d: %r" % (who, n, e))

    def shoot_berthd(self):
        self.host.kill()
        self.count("berthd")
        self.host.start()

    def shoot_process(self, pid, what, group):
        """By pidfd, and only while it is in the group: the number may be another's by now."""
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            with open("/proc/%d/cgroup" % pid) as f:
                if group in f.read():
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    self.count(what)
        except (FileNotFoundError, ProcessLookupError):
            pass
        finally:
            os.close(fd)

    def run(self, enough, workers=3):
        """enough(seconds since the start) ends it."""
        threads = [threading.Thread(target=self.worker, args=(i,)) for i in range(workers)]
        for t in threads:
            t.start()
        start = time.monotonic()
        try:
            while not self.wrong and not enough(time.monotonic() - start):
                time.sleep(self.random.random() * 0.12)
                self.shoot()
        finally:
            self.stop.set()
            for t in threads:
                t.join(90 * PATIENCE)
        self.took = time.monotonic() - start
