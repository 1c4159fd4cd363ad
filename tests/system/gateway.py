"""One berth-gateway beside a berthd of the tests, and HTTP to it by hand: every header, every byte of a body is seen."""

import fcntl
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess

from host import BIN, IN_VM, SLOW, eventually

PORT = 9517


def loopback_up():
    """In the network namespace of the tests nothing is up at first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh", b"lo", 0x1 | 0x40)     # IFF_UP, IFF_RUNNING
        fcntl.ioctl(s, 0x8914, request)                      # SIOCSIFFLAGS


def tables():
    """berth-gateway --routes: what can be asked, as the program itself has it."""
    if IN_VM and not os.path.exists(os.path.join(BIN, "berth-gateway")):
        return {"zun": {"routes": [], "actions": {}}}       # what goes through them is not run there
    return json.loads(subprocess.run([os.path.join(BIN, "berth-gateway"), "--routes"], check=True, capture_output=True).stdout)


class Answer:
    def __init__(self, response, asked):
        self.status, self.asked = response.status, asked
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The one error of a Zun body."""
        body = self.json()
        assert list(body) == ["errors"] and len(body["errors"]) == 1, self
        return body["errors"][0]

    @property
    def title(self):
        return self.error["title"]

    def __repr__(self):
        return "%s -> %d %s\n%s" % (self.asked, self.status, self.headers, self.body[:2000].decode(errors="replace"))


class Caller:
    """Asks with one token; refers to containers by name or uuid."""

    def __init__(self, gateway, token, version="1.40", project=None, user=None):
        self.gateway, self.token, self.version, self.project, self.user = gateway, token, version, project, user

    def at(self, version):
        return Caller(self.gateway, self.token, version, self.project, self.user)

    def ask(self, method, target, body=None, status=None, headers=None, raw=None):
        """status: asserted. body: sent as JSON; raw: as it is."""
        sent = {"Accept": "application/json"}
        if self.token is not None:
            sent["X-Auth-Token"] = self.token
        if self.version:
            sent["OpenStack-API-Version"] = "container " + self.version
        data = raw if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        sent = {k: v for k, v in sent.items() if v is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=40 * SLOW)
        try:
            connection.request(method, target, data, sent)
            answer = Answer(connection.getresponse(), "%s %s %s" % (method, target, (data or b"")[:300]))
        finally:
            connection.close()
        if status is not None:
            assert answer.status == status, answer
        return answer

    def get(self, target, status=200, **kw):
        return self.ask("GET", "/v1/containers" + target, status=status, **kw)

    def post(self, target, body=None, status=202, **kw):
        return self.ask("POST", "/v1/containers" + target, body, status, **kw)

    def patch(self, ref, body, status=200, **kw):
        return self.ask("PATCH", "/v1/containers/" + ref, body, status, **kw)

    def delete(self, ref, query="", status=204, **kw):
        return self.ask("DELETE", "/v1/containers/" + ref + query, status=status, **kw)

    # -------------------------------------------------------------- containers

    def create(self, *command, run=False, status=202, **fields):
        body = {"image": "busybox", "command": list(command) or ["sleep", "600"], **fields}
        return self.post("?run=true" if run else "", body, status).json()

    def show(self, ref):
        return self.get("/" + ref).json()

    def wait(self, ref, status, task=None, seconds=10):
        last = []

        def reached():
            last[:] = [self.show(ref)]
            return last[0]["status"] == status and last[0]["task_state"] == task and last[0]
        return eventually(reached, lambda: "%s is %s: %r" % (ref, status, last), seconds, 0.02)

    def running(self, *command, **fields):
        uuid = self.create(*command, run=True, **fields)["uuid"]
        self.wait(uuid, "Running")
        return uuid

    def gone(self, ref, seconds=15):
        eventually(lambda: self.ask("GET", "/v1/containers/" + ref).status == 404, "%s is gone" % ref, seconds, 0.02)


class Gateway:
    def __init__(self, host, options=(), port=PORT):
        self.host, self.options, self.port = host, list(options), port
        self.control = os.path.join(host.run, "api.sock")
        self.log_path = host.log_path.replace("berthd.", "gateway.")
        self.callers = {}
        self.process = None

    def start(self):
        loopback_up()
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([os.path.join(BIN, "berth-gateway"), "--control", self.control,
                                         "--listen", "127.0.0.1:%d" % self.port, *self.options],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))    # nobody may look into it, no sanitizer either
        log.close()
        self.host.own.add(self.process.pid)
        eventually(self.answers, lambda: "the gateway answers: " + self.log(), 10)
        return self

    def answers(self):
        assert self.process.poll() is None, self.log()
        try:
            return Caller(self, None, None).ask("GET", "/healthcheck").status == 200
        except OSError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            assert self.process.returncode == 0, self.log()[-4000:]

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def token(self, project, user, role="member", *flags):
        return self.host.berth("token", "create", "--project", project, "--user", user, "--role", role, *flags).text

    def caller(self, project="shop", user="alice", role="member"):
        """The same one for the same words: tokens are made once."""
        key = project, user, role
        if key not in self.callers:
            self.callers[key] = Caller(self, self.token(*key), project=project, user=user)
        return self.callers[key]

    @property
    def admin(self):
        return self.caller("default", "root", "admin")

    @property
    def boss(self):
        """An admin of the same project as caller()'s."""
        return self.caller("shop", "boss", "admin")


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
