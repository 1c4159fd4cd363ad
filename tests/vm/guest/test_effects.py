"""Limits, by what they do. (That each is in its file, the system suite checks; it runs in this machine too.)"""

import time

from conftest import eventually, read

MI = 1 << 20


def events_of(path):
    return {k: int(v) for k, v in (line.split() for line in read(path).splitlines())}


def test_memory_max_kills_the_hog_and_only_the_hog(berth):
    berth("run", "-d", "--name", "quiet", "-m", "16m", "busybox", "sleep", "1000")
    pid = berth.status("quiet")["pid"]
    p = berth("run", "--name", "hog", "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", "tail /dev/zero", code=None)
    assert p.returncode == 137, p
    end = berth.status("hog")["last_exit"]
    assert end["oom_killed"] and end["signal"] == 9
    assert berth.status("quiet")["pid"] == pid
    assert berth.stats("quiet").get("oom_kills", 0) == 0


def test_cpu_max_throttles(berth):
    berth("run", "-d", "--name", "busy", "--cpus", "0.25", "busybox", "sh", "-c", "while :; do :; done")

    def used():
        first, start = berth.stats("busy")["cpu_usec"], time.monotonic()
        time.sleep(3)
        return (berth.stats("busy")["cpu_usec"] - first) / 1e6 / (time.monotonic() - start)
    # What this machine itself waits for a processor of its host counts as use, so one look may be off.
    eventually(lambda: 0.1 < used() < 0.4, "a quarter of a processor is used")
    s = berth.stats("busy")
    assert s["cpu_throttled_periods"] > 5 and s["cpu_throttled_usec"] > 0


def test_pids_max_refuses_the_next_process(berth):
    p = berth("run", "--rm", "--pids-limit", "8", "busybox", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; wait", code=None)
    assert p.returncode and "fork" in p.stderr, p


def test_cpuset_is_where_it_runs(berth):
    p = berth("run", "--rm", "--cpuset-cpus", "1", "busybox", "grep", "Cpus_allowed_list", "/proc/self/status")
    assert p.stdout.split()[1] == "1"


def test_io_max_slows_down_writing(berth):
    write = ["busybox", "dd", "if=/dev/zero", "of=/file", "bs=1M", "count=6", "oflag=direct"]

    def took(*flags):
        start = time.monotonic()
        berth("run", "--rm", *flags, *write)
        return time.monotonic() - start
    free, limited = took(), took("--io-max", "/dev/vda:wbps=2097152")
    assert limited > free + 1.5, (free, limited)


def test_memory_high_holds_back_without_killing(berth):
    berth("run", "-d", "--name", "high", "--memory-high", "24m", "busybox", "sh", "-c",
          "dd if=/dev/zero of=/dev/shm/x bs=1M count=32; echo done; sleep 1000")
    eventually(lambda: events_of(berth.group("high") + "/memory.events")["high"] > 0, "it was held back")
    assert berth.status("high")["state"].endswith("RUNNING")
    assert berth.stats("high").get("oom_kills", 0) == 0
