"""Hostile and broken clients on the raw socket: each is closed or refused, nobody else notices."""

import os
import random
import resource
import socket
import struct
import time

import pytest

from host import SLOW, eventually
from proto import SCHEMA, Client, Refused, varint

# What berthd reads from a socket is the same on every kernel.
pytestmark = pytest.mark.native


def closed(sock, seconds=5):
    """berthd hangs up on us (after whatever it still has to say)."""
    sock.settimeout(seconds * SLOW)
    try:
        while True:
            if not sock.recv(65536):
                return True
    except (ConnectionResetError, BrokenPipeError):
        return True
    except TimeoutError:
        return False


def alive(host):
    start = time.monotonic()
    assert host.ask("info")["pid"] == host.daemon.pid
    return time.monotonic() - start


@pytest.mark.parametrize("record", [b"\xff" * 10, b"\x00", b"garbage of some length that is no message at all", varint(10 << 3 | 2) + varint(1 << 40),
                                    b"\x08" * 59999], ids=["tags", "zero", "words", "overlong", "half"])
def test_garbage_closes_that_client_alone(host, record):
    good = host.client()
    bad = Client(host.socket)
    bad.send_raw(record)
    assert closed(bad.sock)
    assert good.request("info")
    good.close(), bad.close()


def test_first_record_must_be_hello(host):
    c = Client(host.socket, hello=False)
    c.send(id=1, info={})
    assert closed(c.sock)


@pytest.mark.parametrize("hello", [{"version": 999, "oldest": 999}, {"version": 0, "oldest": 0}])
def test_unknown_protocol_version_is_refused(host, hello):
    c = Client(host.socket, hello=False)
    c.send(hello=hello)
    assert closed(c.sock)


def test_empty_record_reads_as_the_end(host):
    c = host.client()
    c.sock.send(b"")
    assert closed(c.sock)
    alive(host)


def test_oversized_record_is_refused(host):
    c = host.client()
    try:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        c.send_raw(SCHEMA.encode("Envelope", {"id": 1, "request_id": "x" * 100000, "info": {}}))
    except OSError:
        pass                    # the kernel refused it first
    else:
        assert closed(c.sock)
    alive(host)


def test_spilled_record_must_be_sealed_and_bounded(host):
    env = SCHEMA.encode("Envelope", {"id": 1, "info": {}})
    fd = os.memfd_create("unsealed")
    os.write(fd, env)
    c = host.client()
    c.send_raw(SCHEMA.encode("Envelope", {"spill": True}), [fd])
    assert closed(c.sock)
    fd = os.memfd_create("huge", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 1 << 32)
    import fcntl
    fcntl.fcntl(fd, 1033, 1 | 2 | 4 | 8)      # F_ADD_SEALS: all
    c = host.client()
    c.send_raw(SCHEMA.encode("Envelope", {"spill": True}), [fd])
    assert closed(c.sock)
    alive(host)


def test_spilled_record_is_honoured_when_it_is_good(host):
    import fcntl
    fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    os.write(fd, SCHEMA.encode("Envelope", {"id": 77, "container_create": {"name": "spilled", "spec": {
        "image": "busybox", "env": ["BIG=" + "x" * 100000]}}}))
    fcntl.fcntl(fd, 1033, 1 | 2 | 4 | 8)
    with host.client() as c:
        c.send_raw(SCHEMA.encode("Envelope", {"spill": True}), [fd])
        env, _ = c.answer(77)
    os.close(fd)
    assert len(env["container_reply"]["container"]["spec"]["env"][0]) == 100004


def kept(host):
    """How many descriptors it has, but for those of spare shims, which may be coming just now."""
    return len(host.fds()) - 3 * len(host.spares())


@pytest.mark.parametrize("n", [1, 16, 200])
def test_unasked_descriptors_are_refused_and_not_kept(host, n):
    eventually(lambda: host.ask("info").get("spare_shims", 0) == len(host.spares()), "none is half made")
    before = kept(host)
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(n)]
    c = host.client()
    try:
        c.ask("info", fds=fds)
        c.answer(1)
    except (EOFError, ConnectionError):
        pass
    for fd in fds:
        os.close(fd)
    c.close()
    eventually(lambda: kept(host) <= before, "descriptors are closed")


def test_request_without_its_descriptor_is_refused(host):
    with host.client() as c, pytest.raises(Refused):
        c.request("image_import", {})


def test_envelope_without_a_body_and_with_a_reply_as_body(host):
    for body in ({}, {"done": {}}, {"container_reply": {}}):
        c = host.client()
        c.send(id=5, **body)
        c.sock.settimeout(5 * SLOW)
        try:
            env, _ = c.receive()
            assert "error" in env
        except (EOFError, ConnectionError):
            pass
        c.close()
    alive(host)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"a\x00b"])
def test_strings_that_are_no_text_are_refused(host, text):
    c = host.client()
    c.send_raw(SCHEMA.encode("Envelope", {"id": 1, "container_inspect": {"ref": text}}))
    try:
        env, _ = c.receive()
        assert "error" in env
    except (EOFError, ConnectionError):
        pass
    c.close()
    alive(host)


@pytest.mark.parametrize("spec, field", [
    ({"image": "busybox", "mounts": [{"type": "BIND", "source": "/etc", "target": "/a/../../b"}]}, "mounts"),
    ({"image": "busybox", "mounts": [{"target": "/x"}]}, "mounts"),
    ({"image": "busybox", "mounts": [{"type": "VOLUME", "source": "../up", "target": "/x"}]}, "mounts"),
    ({"image": "../../etc", "command": ["true"]}, "image"),
    ({"command": ["true"]}, "image"),
    ({"image": "busybox", "workdir": "../x"}, "workdir"),
    ({"image": "busybox", "env": ["NO_EQUALS"]}, "env"),
    ({"image": "busybox", "hostname": "a" * 65}, "hostname"),
    ({"image": "busybox", "restart": {"kind": 77}}, "restart"),
    ({"image": "busybox", "tty": True, "tty_rows": 1 << 20}, "tty"),
    ({"image": "busybox", "stop_signal": "9999"}, "stop_signal"),
    ({"image": "busybox", "resources": {"cpu_weight": 0xffffffff}}, "cpu_weight"),
    ({"image": "busybox", "oom_score_adj": -5000}, "oom_score_adj"),
    ({"image": "busybox", "security": {"seccomp": "profile", "seccomp_profile": b"\x00"}}, "seccomp"),
    ({"image": "busybox", "security": {"masked_paths": ["/proc"]}}, "masked_paths"),
    ({"image": "busybox", "security": {"apparmor": "../../x"}}, "apparmor"),
    ({"image": "busybox", "devices": [{"source": "/etc/passwd"}]}, "devices"),
    ({"image": "busybox", "labels": [{"value": "no key"}]}, "labels"),
    ({"image": "busybox", "log": {"max_size_bytes": 1}}, "log"),
    ({"image": "busybox", "pid_mode": "container:x"}, "pid_mode"),
])
def test_bad_spec_is_refused_with_its_field_and_changes_nothing(host, spec, field):
    with host.client() as c:
        env, _ = c.answer(c.ask("container_create", {"name": "bad", "spec": spec}))
    assert env["error"]["code"] in ("INVALID", "NOT_FOUND", "UNSUPPORTED"), env
    assert field in env["error"].get("field", "") + env["error"].get("text", ""), env
    assert host.list() == []


def test_client_that_stops_reading_is_dropped_and_delays_nobody(host):
    host.detached("sleep", "600")
    c = host.client()
    c.sock.setblocking(False)
    sent = 0
    try:
        for i in range(200000):
            c.send(id=i + 1, container_list={"all": True})
            sent += 1
    except (BlockingIOError, ConnectionError, BrokenPipeError):
        pass
    assert sent > 10
    assert max(alive(host) for _ in range(5)) < 1 * SLOW
    c.close()
    eventually(lambda: host.ask("info")["clients"] <= 1, "it is gone")


def test_slow_watcher_lags_and_is_told_nobody_waits(host):
    c = host.client()
    id_ = c.ask("events")
    c.receive()
    with host.client() as w:
        for i in range(300):
            w.request("container_create", {"name": "e%d" % i, "spec": {"image": "busybox"}})
            w.request("container_remove", {"ref": "e%d" % i})
    assert alive(host) < 1 * SLOW
    c.sock.settimeout(2 * SLOW)
    seen, lagged = 0, False
    try:
        while seen < 600 and not lagged:
            env, _ = c.receive()
            if env.get("id") == id_:
                seen += len(env.get("event_batch", {}).get("events", []))
                lagged = lagged or env.get("event_batch", {}).get("lagged", False)
    except (TimeoutError, EOFError, ConnectionError):
        pass
    assert lagged or seen >= 600, seen
    c.close()


def test_a_thousand_connections_are_served_or_refused_and_given_back(host):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    many, refused = [], 0
    try:
        for _ in range(1000):
            try:
                many.append(Client(host.socket, timeout=5 * SLOW))
            except (OSError, EOFError):
                refused += 1
        assert len(many) >= 500, (len(many), refused)
        for c in random.sample(many, 50):
            assert c.request("info")[0]["pid"] == host.daemon.pid
    finally:
        for c in many:
            c.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: alive(host) and host.ask("info")["clients"] <= 1, "they are gone")


def test_connections_that_never_speak_cost_nothing_but_themselves(host):
    socks = []
    for _ in range(100):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(host.socket)
        socks.append(s)
    assert alive(host) < 1 * SLOW
    for s in socks:
        s.close()


def test_mutated_requests_never_bring_it_down(host):
    """A small fuzz of the whole path: valid records with bytes changed."""
    random.seed(11)
    good = [SCHEMA.encode("Envelope", {"id": 1, "container_create": {"name": "f", "spec": {"image": "busybox", "env": ["A=b"], "mounts": [
        {"type": "TMPFS", "target": "/x", "size_bytes": 4096}], "resources": {"memory_swap_bytes": -1}, "labels": [{"key": "a", "value": "b"}]}}}),
            SCHEMA.encode("Envelope", {"id": 2, "container_list": {"all": True, "filters": [{"key": "name", "value": "x"}]}}),
            SCHEMA.encode("Envelope", {"id": 3, "container_logs": {"ref": "x", "tail_lines": -1}}),
            SCHEMA.encode("Envelope", {"id": 4, "container_exec": {"ref": "x", "exec": {"command": ["a"], "timeout_ms": 5}}})]
    c = host.client()
    for _ in range(3000 if SLOW == 1 else 300):
        data = bytearray(random.choice(good))
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        try:
            c.send_raw(bytes(data))
            c.sock.settimeout(0.002)
            try:
                c.receive()
            except (TimeoutError, UnicodeDecodeError):
                pass
        except (EOFError, ConnectionError):
            c.close()
            c = host.client()
    c.close()
    alive(host)


def test_session_descriptor_misused_hurts_only_that_session(host):
    name = host.detached("-i", "--", "cat")
    with host.client() as c:
        for junk in (b"\xff\xff", b"", b"\x02" * 40000, bytes([1, 99]), struct.pack("=BH", 6, 1)):
            _, fds = c.request("container_attach", {"ref": name, "want_stdin": True})
            s = socket.socket(fileno=fds[0])
            try:
                s.send(junk)
                s.send(junk)
            except OSError:
                pass
            s.close()
    with host.client() as c:
        from proto import Session
        _, fds = c.request("container_attach", {"ref": name, "want_stdin": True})
        s = Session(fds[0], 10 * SLOW)
        s.write(b"fine\n")
        s.read_until(b"fine\n")
        s.close()
    assert host.state_of(name) == "running"


def test_the_shims_socket_is_no_door_for_others(host):
    name = host.detached("sleep", "600")
    path = os.path.join(host.run, "shims", host.inspect(name)["meta"]["uuid"])
    assert os.stat(path).st_mode & 0o077 == 0
    assert os.stat(os.path.dirname(path)).st_mode & 0o077 == 0 or os.stat(path).st_mode & 0o077 == 0
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(path)
    s.send(b"\xff" * 100)
    s.close()
    eventually(lambda: host.berth("exec", name, "echo", "well", code=None).text == "well", "it is still led by berthd", 10, 0.1)
