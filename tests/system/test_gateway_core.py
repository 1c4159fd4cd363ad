"""The gateway's core: what clients, many or slow or gone or hostile, can do to it and to each other, and what berthd's end does to them."""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import threading
import time

import pytest

from gateway import PORT, Gateway, loopback_up
from host import SLOW, eventually

pytestmark = pytest.mark.native


class Raw:
    """A connection of which every byte is ours."""

    def __init__(self, port, rcvbuf=None):
        self.s = socket.socket(socket.AF_INET if isinstance(port, int) else socket.AF_UNIX)
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(20 * SLOW)
        self.got = b""
        self.s.connect(("127.0.0.1", port) if isinstance(port, int) else port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def more(self):
        chunk = self.s.recv(65536)
        if not chunk:
            raise ConnectionError("it ended with %r" % self.got[:200])
        self.got += chunk

    def head(self):
        while b"\r\n\r\n" not in self.got:
            self.more()
        text, self.got = self.got.split(b"\r\n\r\n", 1)
        lines = text.decode().split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}

    def answer(self):
        """Status, headers and body of the next answer; "100 Continue" is none."""
        status, headers = self.head()
        if status == 100:
            return self.answer()
        while len(self.got) < int(headers["content-length"]):
            self.more()
        body, self.got = self.got[:int(headers["content-length"])], self.got[int(headers["content-length"]):]
        return status, headers, body

    def ended(self, seconds):
        """Whether the other side ends it within so many seconds."""
        self.s.settimeout(seconds * SLOW)
        try:
            while self.s.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


def head(method, target, token=None, **headers):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: x"]
    lines += ["X-Auth-Token: " + token] if token else []
    lines += ["%s: %s" % (k.replace("_", "-"), v) for k, v in headers.items()]
    return "\r\n".join(lines) + "\r\n\r\n"


@contextlib.contextmanager
def gateway_with(host, port, options=(), **settings):
    """A gateway of a test's own."""
    path = os.path.join(host.run, "gateway-%d.conf" % port)
    with open(path, "w") as f:
        f.writelines("%s = %s\n" % s for s in settings.items())
    g = Gateway(host, ["--config", path, *options], port)
    g.log_path += ".%d" % port
    g.start()
    try:
        yield g
        assert g.process.poll() is None, g.log()[-4000:]
    finally:
        g.stop()
        log = g.log()
        for word in ("AddressSanitizer", "runtime error:", "LeakSanitizer", "gave up"):
            assert word not in log, log[-4000:]


@pytest.fixture
def g(host):
    with gateway_with(host, PORT + 1) as own:
        yield own


def rss_kib(g):
    with open("/proc/%d/status" % g.process.pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def metrics(g):
    text = g.admin.ask("GET", "/metrics", status=200).body.decode()
    return {m[1]: float(m[2]) for m in re.finditer(r"^berth_gateway_(\S+|\S+\{.*?\}) ([-+.\de]+)$", text, re.M)}


def quick(g, times=20):
    """How long the slowest of so many requests to berthd took, in seconds."""
    slowest = 0
    for _ in range(times):
        began = time.monotonic()
        g.admin.get("?limit=1")
        slowest = max(slowest, time.monotonic() - began)
    return slowest


# ------------------------------------------------------------------ rights


def test_a_gateway_that_root_started_has_no_rights_of_its_own(g):
    for token in (None, "", "berth_" + "A" * 43, "root", "0"):
        answer = g.caller().at(None)
        answer.token = token
        assert answer.ask("GET", "/v1/containers").status == 401, token
        assert answer.ask("POST", "/v1/containers", {"image": "busybox"}).status == 401, token
        assert answer.ask("GET", "/metrics").status == 401, token
        answer.token = g.token("shop", "alice")
    with open("/proc/%d/status" % g.process.pid) as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines())
    assert "0" not in status["Uid"].split() + status["Gid"].split() and not status["Groups"].strip()
    for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[caps], 16) == 0, caps
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"


def test_healthcheck_tells_whether_berthd_is_there_and_metrics_are_for_admins(host, g):
    nobody = g.caller()
    a = nobody.ask("GET", "/healthcheck", status=200)
    assert a.body == b"OK\n" and a.headers["x-openstack-request-id"].startswith("req-")
    assert nobody.ask("GET", "/nowhere", status=404).headers["x-openstack-request-id"].startswith("req-")
    assert nobody.ask("GET", "/metrics", status=403)
    m = metrics(g)
    assert m["upstream_up"] == 1 and m['connections{state="waiting"}'] == 1
    assert m['requests_total{dialect="self",route="GET /healthcheck",status="200"}'] >= 1
    assert m['requests_total{dialect="self",route="GET /metrics",status="403"}'] == 1
    host.kill()
    eventually(lambda: nobody.ask("GET", "/healthcheck").status == 503, "it is noticed")
    assert nobody.ask("GET", "/healthcheck").headers["retry-after"]
    host.start()
    eventually(lambda: nobody.ask("GET", "/healthcheck").status == 200, "it is back")


# ------------------------------------------------------------------ limits


def test_what_is_too_large_is_refused_and_the_connection_goes_on(g):
    token = g.admin.token
    mib = 1 << 20
    with Raw(g.port) as c:
        # One byte too many, said before …
        c.send(head("POST", "/v1/containers", token, Content_Type="application/json", Content_Length=mib + 1, Expect="100-continue"))
        assert c.answer()[0] == 413
    with Raw(g.port) as c:
        # … or sent all the same, and then another request.
        c.send(head("POST", "/v1/containers", token, Content_Type="application/json", Content_Length=2 * mib) + " " * (2 * mib))
        status, headers, body = c.answer()
        assert status == 413 and "1048576" in body.decode(), body
        assert c.send(head("GET", "/v1/containers", token)).answer()[0] == 200
        # Its size is not said, but it comes.
        c.send(head("POST", "/v1/containers", token, Content_Type="application/json", Transfer_Encoding="chunked"))
        c.send(b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(32)) + b"0\r\n\r\n")
        assert c.answer()[0] == 413
        # As much as may be.
        c.send(head("POST", "/v1/containers", token, Content_Type="application/json", Content_Length=mib) + " " * mib)
        assert c.answer()[0] == 400
        assert c.send(head("GET", "/v1/containers", token)).answer()[0] == 200
    for headers in ({"X-%d" % i: "v" for i in range(70)}, {"X-Long": "v" * 9000}, {"X-Longer": "v" * 200000}):
        with Raw(g.port) as c:
            with contextlib.suppress(ConnectionError):
                c.send(head("GET", "/v1/containers", token, **headers))
                assert c.answer()[0] == 431
    with Raw(g.port) as c:
        assert c.send(head("GET", "/v1/containers", token, **{"X-%d" % i: "v" * 120 for i in range(60)})).answer()[0] == 200
    with Raw(g.port) as c:
        with contextlib.suppress(ConnectionError):
            c.send("GET /" + "a" * 100000 + " HTTP/1.1\r\n")
            assert c.answer()[0] in (414, 431)
    assert g.admin.get("").status == 200


def test_a_byte_a_second_gains_nothing(host):
    with gateway_with(host, PORT + 1, head_timeout="1s", body_timeout="1s") as g:
        slow = {}

        def drip(name, first, byte):
            with Raw(g.port) as c:
                began = time.monotonic()
                try:
                    c.send(first)
                    while time.monotonic() - began < 10 * SLOW:
                        c.send(byte)
                        time.sleep(0.1)
                except OSError:
                    pass
                slow[name] = time.monotonic() - began
        token = g.admin.token
        threads = [threading.Thread(target=drip, args=a) for a in (
            ("head", "GET / HTTP/1.1\r\nX-Slow: ", "x"),
            ("body", head("POST", "/v1/containers", token, Content_Type="application/json", Content_Length=100000), " "),
            ("refused body", head("POST", "/nothing", token, Content_Length=100000), " "),
            ("chunks", head("POST", "/v1/containers", token, Content_Type="application/json", Transfer_Encoding="chunked"), "1\r\n \r\n"))]
        for t in threads:
            t.start()
        assert quick(g) < 1 * SLOW
        with Raw(g.port) as c:
            assert c.ended(3), "nothing comes at all"
        for t in threads:
            t.join()
        assert len(slow) == 4 and all(s < 4 * SLOW for s in slow.values()), slow
        assert metrics(g)["connections_timed_out_total"] >= 5


def test_two_thousand_idle_connections_cost_little(host):
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with gateway_with(host, PORT + 1, max_per_peer=4096) as g, contextlib.ExitStack() as stack:
        g.admin.get("")
        before = rss_kib(g)
        conns = [stack.enter_context(Raw(g.port)) for _ in range(2000)]
        eventually(lambda: metrics(g)['connections{state="idle"}'] == 2000, "all are there")
        fresh = rss_kib(g)
        request = head("GET", "/v1/containers", g.admin.token)
        for c in conns:
            assert c.send(request).answer()[0] == 200
        used = rss_kib(g)
        slowest = quick(g)
        print("2,000 idle connections: %.1f KiB each, %.1f after a request of theirs; slowest of 20 requests beside them %.1f ms"
              % ((fresh - before) / 2000, (used - before) / 2000, slowest * 1000))
        assert (used - before) / 2000 < 24
        assert slowest < 1 * SLOW


def test_a_full_house_makes_room_by_its_longest_idle(host):
    with gateway_with(host, PORT + 1, max_connections=20, max_per_peer=20) as g, contextlib.ExitStack() as stack:
        conns = [stack.enter_context(Raw(g.port)) for _ in range(20)]
        for c in conns:
            c.send(head("GET", "/healthcheck"))
            assert c.answer()[0] == 200
        conns[0].send(head("GET", "/healthcheck")).answer()       # not the longest idle one any more
        g.admin.get("")
        assert conns[1].ended(5) and not conns[0].ended(0.3)
        # But who is in the middle of something stays, and the next is told to come later.
        busy = [stack.enter_context(busy_one(g)) for _ in range(20)]
        refused(g)
        for c in busy:
            assert c.send("0123456789").answer()[0] == 400
        m = metrics(g)
        assert m["connections_evicted_total"] >= 20 and m["connections_refused_total"] == 1


def busy_one(g, where=None):
    """A connection whose body has begun, and no more."""
    c = Raw(where or g.port)
    c.send(head("POST", "/v1/containers", g.admin.token, Content_Type="application/json", Content_Length=10, Expect="100-continue"))
    assert c.head()[0] == 100
    return c


def refused(g, where=None):
    with Raw(where or g.port) as c:
        status, headers, _ = c.answer()
        assert status == 503 and headers["retry-after"] and headers["connection"] == "close"


def test_one_peer_cannot_have_all_connections(host):
    path = os.path.join(host.run, "http.sock")
    with gateway_with(host, PORT + 1, ["--listen", "unix:" + path], max_connections=40, max_per_peer=10) as g, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(busy_one(g)) for _ in range(10)]
        refused(g)
        busy += [stack.enter_context(busy_one(g, path)) for _ in range(10)]
        refused(g, path)
        for c in busy:
            assert c.send("0123456789").answer()[0] == 400


def test_slow_readers_harm_nobody(host):
    name = host.detached("--", "sh", "-c", "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 6000000")
    host.wait_state(name, "exited", seconds=30)
    with gateway_with(host, PORT + 1, max_memory="64m", max_per_peer=1000) as g, contextlib.ExitStack() as stack:
        admin = g.caller("default", "root", "admin")
        assert len(admin.get("/%s/logs?stdout=true" % name).body) > 2 << 20
        before = rss_kib(g)
        request = head("GET", "/v1/containers/%s/logs?stdout=true" % name, admin.token)
        readers = [stack.enter_context(Raw(g.port, rcvbuf=4096)).send(request) for _ in range(100)]
        slowest = max(quick(g, 5) for _ in range(10))
        grown = rss_kib(g) - before
        print("100 slow readers of 2.7 MB: slowest of 50 requests beside them %.1f ms; %d MiB more memory" % (slowest * 1000, grown / 1024))
        assert slowest < 2 * SLOW
        assert grown < 160 * 1024, "the ceiling is 64 MiB, and one answer in the making"
        m = metrics(g)
        assert m["memory_bytes"] <= 64 << 20
        for c in readers:
            c.s.close()
        eventually(lambda: metrics(g)["memory_bytes"] < 1 << 20, "it is given back")


def test_bodies_have_a_ceiling_together(host):
    with gateway_with(host, PORT + 1, max_memory="16m") as g, contextlib.ExitStack() as stack:
        most = " " * ((1 << 20) - 1)
        request = head("POST", "/v1/containers", g.admin.token, Content_Type="application/json", Content_Length=1 << 20)
        conns = [stack.enter_context(Raw(g.port)).send(request + most) for _ in range(40)]
        eventually(lambda: metrics(g)["memory_bytes"] > 12 << 20, "many are under way")
        assert g.admin.get("").status == 200 and metrics(g)["memory_bytes"] <= 16 << 20
        statuses = [c.send(" ").answer()[0] for c in conns]
        # How many: what was still on its way finds the room of those that are answered by then.
        assert set(statuses) == {400, 503} and statuses.count(400) >= 10, statuses
        assert metrics(g)["memory_bytes"] < 1 << 20


# ------------------------------------------------------------------ HTTP


def test_what_is_no_http_harms_nobody(g):
    post = "POST /v1/containers HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\nContent-Type: application/json\r\n" % g.admin.token
    rows = [
        (b"\r\n" * 10000, None), (b"\0" * 1000, None), (bytes(range(256)) * 40, None), (b"GET\r\n\r\n", None), (b"GET /\r\n\r\n", None),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", None), (b"G\0T / HTTP/1.1\r\nHost: x\r\n\r\n", None), (b"GET / HTTP/1.1\r\n\r\n", (400,)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500, None),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", (400,)), (b"GET / a HTTP/1.1\r\nHost: x\r\n\r\n", (400,)),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\nxxxx", (400,)), (b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", (400,)),
        (b"GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n", None), (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", None),
        (b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", (400, 401)), (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", (401, 404)),
        ((post + "Content-Length: 99999999999999999999\r\n\r\n").encode(), None),
        (head("GET", "/v1/containers", g.admin.token, x_auth_token="other").encode(), (400,)),
        (head("GET", "/v1/containers", g.admin.token, authorization="Bearer other").encode(), (400,)),
        ((post + "Content-Length: 4\r\nContent-Length: 5\r\n\r\n{}  x").encode(), (400,)),
        ((post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n").encode(), (400,)),
        ((post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n").encode(), (400,)),
        ((post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n").encode(), (400,)),
        ((post + "Transfer-Encoding: chunked\r\n\r\nzzz\r\n").encode(), None),
        ((post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx").encode(), None),
        ((post + "Transfer-Encoding: chunked\r\n\r\n-5\r\nx").encode(), None),
        ((post + "Content-Length: 2\r\n\r\n{").encode(), None), ((post + "X: \0\r\n\r\n").encode(), None),
    ]
    for data, statuses in rows:
        with Raw(g.port) as c:
            with contextlib.suppress(ConnectionError, BrokenPipeError):
                c.send(data)
            if statuses is None:
                with contextlib.suppress(OSError):
                    c.s.shutdown(socket.SHUT_WR)
            got = b""
            c.s.settimeout(5 * SLOW)
            try:
                while chunk := c.s.recv(65536):
                    got += chunk
                    if statuses and b"\r\n\r\n" in got:
                        break
            except ConnectionResetError:
                pass
            except socket.timeout:
                raise AssertionError("neither answered nor ended: %r, %r" % (data[:200], got))
            assert statuses is None or int(got.split()[1]) in statuses, (data[:200], got[:300])
            assert b"OK\n" not in got, "what was smuggled in was answered: %r, %r" % (data[:200], got)
    assert g.admin.get("").status == 200


def test_requests_in_a_row_are_answered_in_a_row(g):
    with Raw(g.port) as c:
        c.send(head("GET", "/healthcheck") * 3 + head("GET", "/v1/containers", g.admin.token) + head("GET", "/healthcheck"))
        assert [c.answer()[0] for _ in range(5)] == [200] * 5
    with Raw(g.port) as c:
        c.send("GET /healthcheck HTTP/1.0\r\n\r\n")
        assert c.answer()[0] == 200 and c.ended(5)


def test_a_login_is_a_token_for_a_password(g):
    token = g.token("shop", "alice", "member")

    def login(user, password, project):
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": {"id": "default"}, "password": password}}}, "scope": {"project": {"name": project, "domain": {"id": "default"}}}}}
        return g.caller().at(None).ask("POST", "/v3/auth/tokens", body)
    answer = login("alice", token, "shop")
    assert answer.status == 201 and answer.headers["x-subject-token"] == token, answer
    catalog = answer.json()["token"]["catalog"]
    assert "http://127.0.0.1:%d/v1" % g.port in json.dumps(catalog)
    for wrong in (("alice", token[:-1] + "x", "shop"), ("bob", token, "shop"), ("alice", token, "other"), ("alice", "", "shop")):
        assert login(*wrong).status == 401, wrong


# ------------------------------------------------------------------ who goes away


def exec_in(g, name, command):
    return head("POST", "/v1/containers/%s/execute?command=%s" % (name, command), g.admin.token, Content_Length=0)


def test_a_client_that_goes_away_leaves_nothing_waiting(host, g):
    name = host.detached("--", "sleep", "600")
    conns = [Raw(g.port).send(exec_in(g, name, "sleep+4")) for _ in range(20)]
    eventually(lambda: metrics(g)['connections{state="waiting"}'] == 21, "they wait", 5)
    fds = len(os.listdir("/proc/%d/fd" % g.process.pid))
    for c in conns:
        c.s.close()
    eventually(lambda: metrics(g)['connections{state="waiting"}'] == 1, "nobody waits for the dead", 3, 0.05)
    assert len(os.listdir("/proc/%d/fd" % g.process.pid)) <= fds - 19
    assert metrics(g)["requests_given_up_total"] == 20


def test_the_end_waits_for_what_is_under_way(host, g):
    name = host.detached("--", "sleep", "600")
    with Raw(g.port) as idle, Raw(g.port) as waiting:
        idle.send(head("GET", "/healthcheck")).answer()
        waiting.send(exec_in(g, name, "sleep+1"))
        eventually(lambda: metrics(g)['connections{state="waiting"}'] == 2, "it is under way", 5)
        g.process.send_signal(signal.SIGTERM)
        assert idle.ended(3)
        eventually(lambda: not connects(g.port), "nobody new is let in", 3)
        status, headers, body = waiting.answer()
        assert status == 200 and headers["connection"].lower() == "close" and json.loads(body)["exit_code"] == 0
        assert waiting.ended(3)
    assert g.process.wait(5 * SLOW) == 0
    g.start()


def connects(port):
    try:
        Raw(port).s.close()
        return True
    except ConnectionRefusedError:
        return False


def test_two_gateways_at_once(host, g):
    with gateway_with(host, PORT + 2) as other:
        uuid = g.caller().create("sleep", "600", run=True)["uuid"]
        assert other.caller().show(uuid)["uuid"] == uuid
        g.process.kill()
        g.process.wait()
        other.caller().wait(uuid, "Running")
        g.start()
        assert g.caller().show(uuid)["status"] == "Running"


# ------------------------------------------------------------------ berthd goes away


def loop_of_requests(g, stop, seen, number):
    me, n = g.caller("shop", "alice"), 0
    while not stop.is_set():
        n += 1
        name = "k%d-%d" % (number, n)
        try:
            answer = me.ask("POST", "/v1/containers", {"image": "busybox", "name": name, "command": ["true"]})
            seen.append(("create", name, answer.status, answer.headers.get("retry-after")))
            if answer.status == 202:
                assert answer.json()["name"] == name
                shown = me.ask("GET", "/v1/containers/" + name)
                seen.append(("show", name, shown.status, shown.headers.get("retry-after")))
                if shown.status == 200:
                    assert shown.json()["name"] == name, shown
            listed = me.ask("GET", "/v1/containers?limit=3")
            seen.append(("list", None, listed.status, listed.headers.get("retry-after")))
            if listed.status == 200:
                assert len(listed.json()["containers"]) <= 3
            time.sleep(0.02)
        except Exception as e:          # noqa: BLE001 (a thread has nobody else to tell)
            seen.append(("failed", name, repr(e), None))


@pytest.mark.parametrize("how", ["killed", "upgraded"])
def test_berthd_is_replaced_under_a_loop_of_requests(host, g, how):
    stop, seen = threading.Event(), []
    threads = [threading.Thread(target=loop_of_requests, args=(g, stop, seen, i)) for i in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(4):
            time.sleep(0.7)
            if how == "killed":
                host.restart()
            else:
                host.berth("upgrade")
        eventually(lambda: sum(what == "create" and status == 202 for what, _, status, _ in seen) > 20, "they have asked for some")
    finally:
        stop.set()
        for t in threads:
            t.join()
    expected = {"create": 202, "show": 200, "list": 200}
    for what, name, status, retry in seen:
        assert status == expected.get(what) or (status == 503 and retry), (what, name, status)
    created = [name for what, name, status, _ in seen if what == "create" and status == 202]
    there = [c["meta"]["name"] for c in host.list(all_projects=True)]
    assert len(there) == len(set(there)), "a request was done twice"
    assert set(created) <= set(there), "what was said to be created is not there"
    unavailable = sum(status == 503 for _, _, status, _ in seen)
    print("%s 4 times: %d requests, %d of them 503" % (how, len(seen), unavailable))
    assert len(created) > 20
