"""Registries for tests: Debian's docker-registry, and one of our own that does wrong what it is told to."""

import base64
import hashlib
import http.server
import itertools
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.parse

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def loopback_up():
    subprocess.run(["busybox", "ip", "link", "set", "lo", "up"], check=True)


def wait_port(port):
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, "nobody listens on %d" % port
            time.sleep(0.02)


def make_ca(folder):
    """A CA and, signed by it, a certificate for localhost."""
    def openssl(*argv):
        subprocess.run(["openssl", *argv], check=True, capture_output=True, cwd=folder)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    with open(os.path.join(folder, "san"), "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "san", "-out", "server.crt")
    return folder


class DockerRegistry:
    def __init__(self, folder, port, user=None, password=None, tls=None):
        os.makedirs(folder)
        config = {"version": "0.1", "log": {"level": "error", "accesslog": {"disabled": True}},
                  "storage": {"filesystem": {"rootdirectory": folder + "/data"}, "delete": {"enabled": True}},
                  "http": {"addr": "127.0.0.1:%d" % port}}
        if tls:
            config["http"]["tls"] = {"certificate": tls + "/server.crt", "key": tls + "/server.key"}
        if user:
            text = subprocess.run(["htpasswd", "-nbB", user, password], check=True, capture_output=True).stdout
            with open(folder + "/htpasswd", "wb") as f:
                f.write(text)
            config["auth"] = {"htpasswd": {"realm": "test", "path": folder + "/htpasswd"}}
        with open(folder + "/config.yml", "w") as f:
            json.dump(config, f)            # JSON is YAML
        self.host = "localhost:%d" % port
        self.log = open(folder + "/log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", folder + "/config.yml"], stdout=self.log, stderr=self.log)
        wait_port(port)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """Serves images of tests/system/oci.py. `on(pattern, fn)`: for paths that contain it, fn(handler) answers instead; true means
    that it did. What was asked is in `asked`: (method, path, headers). It takes what is pushed (`taken`: the manifests); the body of a
    PUT or PATCH is read by read_body."""

    def __init__(self, port, tls=None):
        self.host = "localhost:%d" % port
        self.blobs, self.manifests, self.hooks, self.asked = {}, {}, [], []
        self.uploads, self.taken, self.serial = {}, {}, itertools.count(1)
        self.lock = threading.Lock()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.do_GET()

            def read_body(self):
                length, self.unread = self.unread, 0
                return self.rfile.read(length)

            def do_GET(self):
                self.unread = int(self.headers.get("Content-Length", 0)) if self.command in ("PUT", "PATCH") else 0
                self.look()
                if self.unread and not self.close_connection:
                    self.read_body()            # or it would be taken for the next request

            def look(self):
                with registry.lock:
                    registry.asked.append((self.command, self.path, dict(self.headers)))
                    hooks = list(registry.hooks)
                try:
                    for pattern, fn in hooks:
                        if pattern in self.path and fn(self):
                            return
                    registry.serve(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_HEAD = do_PUT = do_PATCH = do_GET

            def answer(self, status, body=b"", type="application/octet-stream", length=None, **headers):
                self.send_response(status)
                self.send_header("Content-Type", type)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                return True

            def error(self, status, code, message, **headers):
                body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
                return self.answer(status, body, "application/json", **headers)

            def cut(self, status, body, length, **headers):
                """Fewer bytes than promised, and the line goes dead."""
                self.answer(status, body, length=length, **headers)
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return True

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request, client_address):
                pass                        # clients that hang up are what is tested

        self.server = Server(("127.0.0.1", port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls + "/server.crt", tls + "/server.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def reset(self):
        with self.lock:
            self.hooks, self.asked, self.taken, self.uploads = [], [], {}, {}

    def on(self, pattern, fn):
        with self.lock:
            self.hooks.insert(0, (pattern, fn))

    def add(self, image, name, tag="1", type=MANIFEST):
        manifest = image.blobs[image.manifest["digest"]]
        with self.lock:
            self.blobs.update(image.blobs)
            for ref in (tag, digest(manifest)):
                self.manifests[name, ref] = (type, manifest)
        return "%s/%s:%s" % (self.host, name, tag)

    def add_manifest(self, name, tag, document, type):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        with self.lock:
            for ref in (tag, digest(data)):
                self.manifests[name, ref] = (type, data)
        return "%s/%s:%s" % (self.host, name, tag)

    def serve_upload(self, h, name, id_, query):
        """POST begins one, PATCH adds to it, PUT ends it."""
        here = "/v2/%s/blobs/uploads/" % name
        if h.command == "POST":
            mounted = query.get("mount", [""])[0]
            if mounted in self.blobs and query.get("from"):
                return h.answer(201, Location="/v2/%s/blobs/%s" % (name, mounted))
            id_ = "%d" % next(self.serial)
            self.uploads[id_] = b""
            return h.answer(202, Location=here + id_ + "?state=a%20b")
        body = h.read_body()
        if id_ not in self.uploads:
            return h.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        self.uploads[id_] += body
        if h.command == "PATCH":
            return h.answer(202, Location=here + id_ + "?state=a%20b", Range="0-%d" % (len(self.uploads[id_]) - 1))
        data = self.uploads.pop(id_)
        if digest(data) != query.get("digest", [""])[0] or query.get("state") != ["a b"]:
            return h.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.blobs[digest(data)] = data
        return h.answer(201, Docker_Content_Digest=digest(data))

    def serve(self, h):
        url = urllib.parse.urlparse(h.path)
        path, query = url.path, urllib.parse.parse_qs(url.query)
        parts = path.strip("/").split("/")
        if "uploads" in path and h.command in ("POST", "PUT", "PATCH"):
            return self.serve_upload(h, path.split("/blobs/uploads/")[0][len("/v2/"):], path.split("/blobs/uploads/")[1], query)
        if h.command == "PUT":
            data = h.read_body()
            self.taken["/".join(parts[1:-2]), parts[-1]] = (h.headers["Content-Type"], data)
            return h.answer(201, Docker_Content_Digest=digest(data))
        name, kind, ref = "/".join(parts[1:-2]), parts[-2] if len(parts) > 2 else "", parts[-1]
        if kind == "manifests" and (name, ref) in self.manifests:
            type, data = self.manifests[name, ref]
            return h.answer(200, data, type, Docker_Content_Digest=digest(data))
        if kind == "blobs" and ref in self.blobs:
            data, wanted = self.blobs[ref], h.headers.get("Range")
            if wanted:
                first = int(wanted[len("bytes="):].split("-")[0])
                return h.answer(206, data[first:], Content_Range="bytes %d-%d/%d" % (first, len(data) - 1, len(data)))
            return h.answer(200, data)
        return h.error(404, "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN", "unknown")

    def asked_for(self, pattern):
        with self.lock:
            return [(m, p, h) for m, p, h in self.asked if pattern in p]


class TokenAuth:
    """Bearer tokens for a Registry: given at `giver`/token for user and password (none: to anybody), good for n requests."""

    def __init__(self, registry, giver=None, user=None, password=None, good_for=1000, realm=None):
        self.user, self.password, self.given, self.left, self.good_for = user, password, 0, {}, good_for
        self.realm = realm or "http://%s/token" % (giver or registry).host
        (giver or registry).on("/token", self.give)
        registry.on("/v2/", self.check)

    def give(self, h):
        if self.user:
            want = "Basic " + base64.b64encode(("%s:%s" % (self.user, self.password)).encode()).decode()
            if h.headers.get("Authorization") != want:
                return h.answer(401, b'{"details": "incorrect username or password"}', "application/json")
        self.given += 1
        token = "token-%d" % self.given
        self.left[token] = self.good_for
        return h.answer(200, json.dumps({"token": token, "expires_in": 60}).encode(), "application/json")

    def check(self, h):
        token = (h.headers.get("Authorization") or "").replace("Bearer ", "")
        if self.left.get(token, 0) > 0:
            self.left[token] -= 1
            return False
        return h.error(401, "UNAUTHORIZED", "authentication required",
                       WWW_Authenticate='Bearer realm="%s",service="test registry",scope="repository:x:pull"' % self.realm)


def have_docker_registry():
    return all(shutil.which(n) for n in ("docker-registry", "skopeo", "htpasswd", "openssl"))
