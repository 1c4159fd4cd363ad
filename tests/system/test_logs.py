"""Logs: what was written is what is read; rotation, following, and what happens when the disk does not keep up."""

import os
import re
import time

import pytest

from host import SLOW, eventually


def log_dir(host, name):
    return os.path.join(host.state, "containers", host.inspect(name)["meta"]["uuid"], "logs")


def test_logs_of_an_exited_container_keep_both_streams(host):
    name = host.detached("sh", "-c", "echo one; echo two >&2; printf 'no newline'")
    host.wait_state(name, "exited")
    r = host.berth("logs", name)
    assert r.out in ("one\nno newline", "one\nno newline\n") and r.err == "two\n"
    assert host.berth("logs", "--stdout", name).err == ""
    assert host.berth("logs", "--stderr", name).out == ""


@pytest.mark.native
def test_log_files_are_in_the_cri_format(host):
    name = host.detached("sh", "-c", "echo text; printf part")
    host.wait_state(name, "exited")
    files = sorted(os.listdir(log_dir(host, name)))
    lines = open(os.path.join(log_dir(host, name), files[0])).read().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F text", lines[0]), lines
    assert re.fullmatch(r"\S+ stdout [PF] part", lines[1]), lines


@pytest.mark.native
def test_long_lines_come_back_whole(host):
    name = host.detached("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' a; echo; echo end")
    host.wait_state(name, "exited")
    assert host.berth("logs", name).out == "a" * 100000 + "\nend\n"


@pytest.mark.native
def test_binary_output_is_not_mangled(host):
    name = host.detached("sh", "-c", r"printf '\001\377\000x\n\n\r\n'")
    host.wait_state(name, "exited")
    p = host.popen("logs", name)
    assert p.communicate()[0] == b"\x01\xff\x00x\n\n\r\n"


@pytest.mark.native
@pytest.mark.parametrize("tail, want", [("0", []), ("1", ["99"]), ("3", ["97", "98", "99"]), ("1000", [str(i) for i in range(100)]),
                                        ("all", [str(i) for i in range(100)])])
def test_tail_counts_lines_from_the_end(host, tail, want):
    name = host.detached("seq", "0", "99")
    host.wait_state(name, "exited")
    assert host.berth("logs", "--tail", tail, name).lines == want


@pytest.mark.native
def test_timestamps_are_shown_and_since_and_until_cut(host):
    name = host.detached("sh", "-c", "echo early; sleep 1.2; echo late")
    host.wait_state(name, "exited")
    lines = host.berth("logs", "--timestamps", name).lines
    stamp = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) early", lines[0]).group(1)
    late = lines[1].split()[0]
    assert stamp < late
    assert host.berth("logs", "--since", late, name).lines == ["late"]
    assert host.berth("logs", "--since", stamp, name).lines == ["early", "late"]
    assert host.berth("logs", "--until", stamp, name).lines in ([], ["early"])
    assert host.berth("logs", "--since", "1h", name).lines == ["early", "late"]


def test_follow_ends_with_the_container_and_misses_nothing(host):
    name = host.detached("sh", "-c", "i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); sleep 0.01; done")
    r = host.berth("logs", "-f", name)
    assert r.lines == [str(i) for i in range(50)]


def test_follow_of_an_exited_container_ends_at_once(host):
    name = host.detached("echo", "x")
    host.wait_state(name, "exited")
    assert host.berth("logs", "-f", name).out == "x\n"


def test_follow_goes_on_over_restarts(host):
    name = host.detached("--restart", "on-failure:2", "--", "sh", "-c", "echo run; exit 1")
    p = host.popen("logs", "-f", name)
    host.wait_state(name, "exited")
    out, _ = p.communicate(timeout=20 * SLOW)
    assert out.decode().splitlines() == ["run"] * 3


def test_rotation_keeps_size_and_count_and_follow_crosses_it(host, gate):
    with host.client() as c:
        c.request("container_create", {"name": "rot", "spec": {
            "image": "busybox", "command": ["sh", "-c", gate.WAIT + "i=0; while [ $i -lt 40 ]; do seq $((i*100)) $((i*100+99)); i=$((i+1)); sleep 0.02; done"],
            "mounts": [{"type": "BIND", "source": gate.folder, "target": "/gate"}],
            "log": {"max_size_bytes": 65536, "max_files": 3}}, "start": True})
    p = host.popen("logs", "-f", "rot")
    host.wait_reader()
    gate.open()
    out, err = p.communicate(timeout=30 * SLOW)
    assert out.decode().split() == [str(i) for i in range(4000)], err
    folder = log_dir(host, "rot")
    sizes = {f: os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)}
    assert 2 <= len(sizes) <= 3 and max(sizes.values()) <= 65536 + 4096, sizes
    kept = host.berth("logs", "rot").out.split()
    assert kept == [str(i) for i in range(4000)][-len(kept):] and len(kept) > 500


def test_flood_is_written_whole_when_the_disk_keeps_up(host):
    name = host.detached("sh", "-c", "i=0; while [ $i -lt 20 ]; do guest logflood 1000 100 2>/dev/null; i=$((i+1)); sleep 0.02; done")
    s = host.wait_state(name, "exited", seconds=30)
    r = host.berth("logs", name)
    gaps = re.findall(r"(\d+) lines?, \d+ bytes dropped", r.err)
    assert len(r.lines) + sum(map(int, gaps)) == 20000
    assert sum(map(int, gaps)) == s.get("log_dropped_lines", 0)


@pytest.mark.native
def test_since_bad_time_is_refused(host):
    name = host.detached("true")
    host.refused("logs", "--since", "yesterday-ish", name, text="yesterday-ish", code=2)
    host.refused("logs", "--tail", "x", name, text="x", code=2)


@pytest.mark.native
def test_logs_of_a_container_that_never_ran_are_empty(host):
    host.berth("create", "--name", "never", "busybox")
    assert host.berth("logs", "never").out == ""


def test_two_followers_see_the_same(host):
    name = host.detached("sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done")
    ps = [host.popen("logs", "-f", name) for _ in range(2)]
    assert {p.communicate(timeout=20 * SLOW)[0] for p in ps} == {b"1\n2\n3\n4\n5\n"}


def test_a_follower_that_leaves_ends_its_reader(host):
    name = host.detached("sleep", "60")
    p = host.popen("logs", "-f", name)
    host.wait_reader()
    p.kill()
    p.wait()
    eventually(lambda: not host.jobs(), "the reader is gone")


def test_a_terminals_output_is_logged_as_stdout(host):
    name = host.detached("-t", "--", "sh", "-c", "echo out; echo err >&2")
    host.wait_state(name, "exited")
    r = host.berth("logs", name)
    assert r.out.replace("\r", "") == "out\nerr\n" and r.err == ""
