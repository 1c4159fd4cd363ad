"""The control protocol spoken by hand: proto/berth.proto is read as text, messages are dictionaries.

No generated code and no library, so the suite needs nothing but pytest, and hostile records are as easy to make as good ones.
"""

import array
import contextlib
import os
import re
import socket
import struct

SCALARS = {"string": 2, "bytes": 2, "bool": 0, "int32": 0, "int64": 0, "uint32": 0, "uint64": 0, "double": 1}
RECORD_MAX = 65536
SESSION_HELLO, SESSION_STDIN, SESSION_STDOUT, SESSION_STDERR, SESSION_CLOSE, SESSION_RESIZE, SESSION_SIGNAL, SESSION_EXIT, SESSION_ERROR, SESSION_DETACH = range(1, 11)


class Field:
    def __init__(self, repeated, type_, name, number):
        self.repeated, self.type, self.name, self.number = repeated, type_, name, number


class Schema:
    def __init__(self, text):
        self.messages, self.enums = {}, {}
        text = re.sub(r"//[^\n]*", "", text)
        self.tokens = re.findall(r"\"[^\"]*\"|[\w.]+|[{}=;]", text)
        self.at = 0
        while self.at < len(self.tokens):
            word = self.take()
            if word == "message":
                self.message()
            elif word == "enum":
                self.enum("")
            else:
                while self.take() != ";":
                    pass

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def message(self, outer=""):
        name = outer + self.take()
        fields = self.messages[name] = {}
        assert self.take() == "{"
        self.body(name, fields)

    def body(self, name, fields):
        while (word := self.take()) != "}":
            if word == "enum":
                self.enum(name + ".")
            elif word == "message":
                self.message(name + ".")
            elif word == "oneof":
                self.take(), self.take()
                self.body(name, fields)
            else:
                repeated = word == "repeated"
                type_ = self.take() if word in ("optional", "repeated", "required") else word
                field = Field(repeated, type_, self.take(), 0)
                assert self.take() == "="
                field.number = int(self.take())
                assert self.take() == ";"
                fields[field.name] = field

    def enum(self, outer):
        values = self.enums[outer + self.take()] = {}
        assert self.take() == "{"
        while (word := self.take()) != "}":
            assert self.take() == "="
            values[word] = int(self.take())
            assert self.take() == ";"

    def find(self, scope, type_):
        return next(n for n in (scope + "." + type_, type_) if n in self.messages or n in self.enums)

    def encode(self, name, values):
        out = b""
        for key, value in values.items():
            f = self.messages[name][key]
            for v in value if f.repeated else [value]:
                out += self.encode_field(name, f, v)
        return out

    def encode_field(self, name, f, v):
        if f.type in ("string", "bytes"):
            data = v.encode() if isinstance(v, str) else v
            return varint(f.number << 3 | 2) + varint(len(data)) + data
        if f.type == "double":
            return varint(f.number << 3 | 1) + struct.pack("<d", v)
        if f.type in SCALARS:
            return varint(f.number << 3) + varint(int(v) & 0xFFFFFFFFFFFFFFFF)
        inner = self.find(name, f.type)
        if inner in self.enums:
            return varint(f.number << 3) + varint(self.enums[inner][v] if isinstance(v, str) else v)
        data = self.encode(inner, v)
        return varint(f.number << 3 | 2) + varint(len(data)) + data

    def decode(self, name, data):
        by_number = {f.number: f for f in self.messages[name].values()}
        out, at = {}, 0
        while at < len(data):
            key, at = unvarint(data, at)
            kind = key & 7
            if kind == 0:
                raw, at = unvarint(data, at)
            elif kind == 1:
                raw, at = struct.unpack_from("<d", data, at)[0], at + 8
            else:
                assert kind == 2, "wire type %d" % kind
                size, at = unvarint(data, at)
                raw, at = data[at:at + size], at + size
            f = by_number.get(key >> 3)
            if f is None:
                continue
            value = self.decode_field(name, f, raw)
            if f.repeated:
                out.setdefault(f.name, []).append(value)
            else:
                out[f.name] = value
        return out

    def decode_field(self, name, f, raw):
        if f.type == "string":
            return raw.decode()
        if f.type == "bool":
            return bool(raw)
        if f.type in ("int32", "int64"):
            return raw - (1 << 64) if raw >> 63 else raw
        if f.type in SCALARS:
            return raw
        inner = self.find(name, f.type)
        if inner in self.enums:
            return next((k for k, v in self.enums[inner].items() if v == raw), raw)
        return self.decode(inner, raw)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def unvarint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return n, at


def load():
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("BERTH_PROTO") or os.path.join(here, "..", "..", "proto", "berth.proto")
    with open(path) as f:
        return Schema(f.read())


SCHEMA = load()


class ProtocolError(Exception):
    pass


class Refused(Exception):
    def __init__(self, error):
        self.code, self.text, self.field = error.get("code"), error.get("text", ""), error.get("field", "")
        super().__init__("%s: %s" % (self.code, self.text))


class Client:
    """One connection to the control socket."""

    def __init__(self, path, hello=True, timeout=20, token=None):
        self.token = token
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.last_id = 0
        if hello:
            self.send(hello={"version": 1, "oldest": 1, "software": "the system tests"})
            env, _ = self.receive()
            if "hello" not in env:
                raise ProtocolError(env)
            self.hello = env["hello"]

    def send_raw(self, data, fds=()):
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], anc)

    def send(self, fds=(), **envelope):
        self.send_raw(SCHEMA.encode("Envelope", envelope), fds)

    def receive(self):
        data, anc, flags, _ = self.sock.recvmsg(RECORD_MAX, socket.CMSG_SPACE(16 * 4))
        fds = array.array("i")
        for level, kind, payload in anc:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[:len(payload) - len(payload) % 4])
        if not data:
            raise EOFError("berthd closed the connection")
        env = SCHEMA.decode("Envelope", data)
        fds = list(fds)
        if env.get("spill"):
            fd = fds.pop()
            env = SCHEMA.decode("Envelope", os.pread(fd, os.fstat(fd).st_size, 0))
            os.close(fd)
        return env, fds

    def ask(self, body, fields=None, fds=(), **envelope):
        self.last_id += 1
        if self.token is not None:
            envelope.setdefault("token", self.token)
        self.send(fds, id=self.last_id, **{body: fields or {}}, **envelope)
        return self.last_id

    def answer(self, id_):
        while True:
            env, fds = self.receive()
            if env.get("id") == id_ and not env.get("more"):
                return env, fds

    def request(self, body, fields=None, fds=(), **envelope):
        """The terminal reply's body and descriptors; Refused when it is an error."""
        env, got = self.answer(self.ask(body, fields, fds, **envelope))
        if "error" in env:
            raise Refused(env["error"])
        name = next(k for k in env if isinstance(env[k], dict))
        return env[name], got

    def inspect(self, ref):
        return self.request("container_inspect", {"ref": ref})[0]["container"]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Session:
    """The client's end of an exec or attach (proto/session.h)."""

    def __init__(self, fd, timeout=20):
        self.sock = socket.socket(fileno=fd)
        self.sock.settimeout(timeout)
        with contextlib.suppress(BrokenPipeError):      # a short program's session is over before we greet; all is there to be read
            self.sock.send(bytes([SESSION_HELLO, 1]))

    def receive(self):
        try:
            data = self.sock.recv(RECORD_MAX)
        except ConnectionResetError:            # it hung up with our greeting unread: told once, before what it sent
            data = self.sock.recv(RECORD_MAX)
        if not data:
            raise EOFError("session closed")
        return data[0], data[1:]

    def write(self, data):
        self.sock.send(bytes([SESSION_STDIN]) + data)

    def close_stdin(self):
        self.sock.send(bytes([SESSION_CLOSE, 0]))

    def resize(self, rows, cols):
        self.sock.send(struct.pack("=BHH", SESSION_RESIZE, rows, cols))

    def signal(self, number):
        self.sock.send(bytes([SESSION_SIGNAL, number]))

    def run(self):
        """Until the end: stdout, stderr, (code, signal, timed_out, failed), text of an error."""
        out, err, error = bytearray(), bytearray(), ""
        while True:
            kind, data = self.receive()
            if kind == SESSION_STDOUT:
                out += data
            elif kind == SESSION_STDERR:
                err += data
            elif kind == SESSION_ERROR:
                error = data.decode()
            elif kind == SESSION_EXIT:
                return bytes(out), bytes(err), struct.unpack("=iiii", data), error

    def read_until(self, wanted):
        out = b""
        while wanted not in out:
            kind, data = self.receive()
            if kind in (SESSION_STDOUT, SESSION_STDERR):
                out += data
            elif kind == SESSION_EXIT:
                raise EOFError("ended before %r came: %r" % (wanted, out))
        return out

    def close(self):
        self.sock.close()
