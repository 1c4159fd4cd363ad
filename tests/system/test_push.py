"""Images sent to registries: Debian's docker-registry, read again by skopeo, podman and berth itself; and one that does wrong."""

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import threading

import pytest

import podman as pod
import registry as reg
from conftest import private_host
from host import BIN, DIR, IN_VM, eventually
from test_pull import MKIMAGE, SEEN, SHOWN, image, needs_docker_registry, sh, working

pytestmark = pytest.mark.native

PLAIN, LOCKED, BAD, OTHER = 5010, 5011, 5012, 5013


@pytest.fixture(scope="module")
def place():
    reg.loopback_up()
    folder = os.path.join(DIR, "push")
    os.makedirs(folder + "/ca")
    reg.make_ca(folder + "/ca")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pushes(place):
    os.makedirs("%s/certs.d/localhost:%d" % (place, LOCKED))
    shutil.copy(place + "/ca/ca.crt", "%s/certs.d/localhost:%d/ca.crt" % (place, LOCKED))
    with open(place + "/berthd.conf", "w") as f:
        f.write('plain_http = "localhost:%d localhost:%d localhost:%d"\n' % (PLAIN, BAD, OTHER))
        f.write("certs_dir = %s/certs.d\nauth_file = %s/auth.json\npull_stall = 1s\n" % (place, place))
    with private_host(options=["--config", place + "/berthd.conf"]) as h:
        yield h


@pytest.fixture
def host(pushes, place, monkeypatch):
    monkeypatch.setenv("HOME", place + "/home")
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    yield pushes
    pushes.remove_all()
    for im in pushes.ask("image_list").get("images", []):
        if "docker.io/library/busybox:latest" not in im.get("names", []):
            pushes.ask("image_remove", {"ref": im["meta"]["uuid"], "force": True})
    shutil.rmtree(place + "/home", ignore_errors=True)
    eventually(lambda: not working(), working)


@pytest.fixture(scope="module")
def plain(place, pushes):
    r = reg.DockerRegistry(place + "/plain", PLAIN)
    yield r
    r.stop()


@pytest.fixture(scope="module")
def locked(place, pushes):
    """htpasswd and TLS."""
    r = reg.DockerRegistry(place + "/locked", LOCKED, user="alice", password="s3cret:x", tls=place + "/ca")
    yield r
    r.stop()


@pytest.fixture
def imported(host, tmp_path):
    """An image in the store that no other test has: (its Image, its name)."""
    def get(name="local/made:1", **kw):
        img = image(**kw)
        img.name = name
        host.berth("image", "import", img.write_layout(str(tmp_path / name.replace("/", "_"))))
        return img
    return get


def inspect(name, *flags):
    out = subprocess.run(["skopeo", "inspect", "--raw", *flags, "docker://" + name], check=True, capture_output=True, timeout=60).stdout
    return reg.digest(out), json.loads(out)


# ------------------------------------------------------------------ docker-registry

@needs_docker_registry
def test_what_is_pushed_is_what_was_there(host, place, plain, imported, tmp_path):
    """The same bytes: manifest, config and layers have the digests that they had; and it runs when it is pulled again."""
    img = imported(layers=3, size=300000)
    name = plain.host + "/a/made:1"
    r = host.berth("push", "local/made:1", name)
    assert r.text == img.manifest["digest"]
    assert inspect(name, "--tls-verify=false")[0] == img.manifest["digest"]
    sh("skopeo", "copy", "-q", "--src-tls-verify=false", "docker://" + name, "oci:%s/copy:x" % tmp_path)
    assert sorted(os.listdir(tmp_path / "copy/blobs/sha256")) == sorted(d[7:] for d in img.blobs)
    host.berth("image", "rm", "local/made:1")
    assert host.berth("run", "--rm", name, "cat", "/n2").text.startswith("2 of")
    assert json.loads(host.berth("image", "inspect", name).out)[0]["image_id"] == img.id


@needs_docker_registry
def test_push_with_credentials_over_tls(host, place, locked, imported):
    img = imported()
    name = locked.host + "/c/made:1"
    host.refused("push", "local/made:1", name, text="access to c/made denied.*no credentials")
    host.berth("login", "-u", "alice", "--password-stdin", locked.host, input="s3cret:x\n")
    assert host.berth("push", "-q", "local/made:1", name).text == img.manifest["digest"]
    got = inspect(name, "--cert-dir", "%s/certs.d/localhost:%d" % (place, LOCKED), "--creds", "alice:s3cret:x")
    assert got[0] == img.manifest["digest"]
    assert "s3cret" not in host.log() and "czNjcmV0" not in host.log()


@needs_docker_registry
def test_dockers_manifests_stay_what_they_are(host, place, plain, tmp_path):
    """Pulled and pushed they have the digests that they had. In a layout they become OCI's, so that others see them; the id stays."""
    sh("sh", MKIMAGE, "-x", "-b", "/bin/busybox", str(tmp_path / "fixture"), "fixture:1")
    name = plain.host + "/v2s2/"
    sh("skopeo", "copy", "-q", "--dest-tls-verify=false", "--format", "v2s2", "oci:%s/fixture" % tmp_path, "docker://%sfrom:1" % name)
    host.berth("pull", name + "from:1")
    digest, manifest = inspect(name + "from:1", "--tls-verify=false")
    assert host.berth("push", "--tls-verify=false", name + "from:1", name + "to:1").text == digest
    assert inspect(name + "to:1", "--tls-verify=false") == (digest, manifest)
    assert "docker" in manifest["mediaType"] and "docker" in manifest["layers"][0]["mediaType"]
    host.berth("image", "export", "--format", "oci-dir", "-o", str(tmp_path / "out"), name + "from:1")
    sh("skopeo", "copy", "-q", "oci:%s/out:%sfrom:1" % (tmp_path, name), "oci:%s/again:x" % tmp_path)
    host.berth("image", "rm", name + "from:1")
    host.berth("image", "import", "-t", "local/again:1", str(tmp_path / "again"))
    assert json.loads(host.berth("image", "inspect", "local/again:1").out)[0]["image_id"] == manifest["config"]["digest"]


@pytest.fixture
def podman(tmp_path):
    if pod.missing():
        pytest.skip("not installed: " + ", ".join(pod.missing()))
    return pod.Podman(str(tmp_path / "podman"))


@needs_docker_registry
def test_what_was_pulled_and_pushed_runs_under_podman(host, place, locked, imported, podman):
    """By skopeo into the registry, by berth out of it and in again, by podman out of it: the same image, with whiteouts and owners."""
    creds = ["--creds", "alice:s3cret:x", "--cert-dir", "%s/certs.d/localhost:%d" % (place, LOCKED)]
    sh("sh", MKIMAGE, "-x", "-b", "/bin/busybox", place + "/fixture", "fixture:1")
    sh("skopeo", "copy", "-q", "--dest-creds", "alice:s3cret:x", "--dest-cert-dir", "%s/certs.d/localhost:%d" % (place, LOCKED),
       "oci:" + place + "/fixture", "docker://" + locked.host + "/d/from:1")
    host.berth("login", "-u", "alice", "--password-stdin", locked.host, input="s3cret:x\n")
    host.berth("pull", locked.host + "/d/from:1")
    r = host.berth("push", locked.host + "/d/from:1", locked.host + "/d/to:1")
    assert "taken over from d/from" in r.err
    assert podman("pull", "-q", *creds, locked.host + "/d/to:1") == json.loads(host.berth("image", "inspect", locked.host + "/d/from:1").out)[0]["image_id"][7:]
    assert podman.run(locked.host + "/d/to:1", "sh", "-c", SEEN).split() == SHOWN


@needs_docker_registry
def test_layers_that_are_not_compressed_run_under_podman_too(host, plain, podman, tmp_path):
    """As a docker-archive brings them: they are pushed as they are."""
    img = image(layers=3)
    img.name = "local/archive:1"
    host.berth("image", "import", img.write_docker_archive(str(tmp_path / "archive.tar")))
    r = host.berth("push", "local/archive:1", plain.host + "/d/plain:1")
    digest, manifest = inspect(plain.host + "/d/plain:1", "--tls-verify=false")
    assert r.text == digest
    assert [la["digest"] for la in manifest["layers"]] == [reg.digest(la) for la in img.layers] and manifest["config"]["digest"] == img.id
    podman("pull", "-q", "--tls-verify=false", plain.host + "/d/plain:1")
    assert podman.run(plain.host + "/d/plain:1", "cat", "/n2").startswith("2 of")


# ------------------------------------------------------------------ a registry that does wrong

@pytest.fixture(scope="module")
def bad_server(pushes):
    r = reg.Registry(BAD)
    yield r
    r.stop()


@pytest.fixture
def bad(bad_server):
    bad_server.reset()
    bad_server.blobs.clear()
    return bad_server


@pytest.fixture(scope="module")
def other_server(pushes):
    r = reg.Registry(OTHER)
    yield r
    r.stop()


@pytest.fixture
def other(other_server):
    other_server.reset()
    other_server.blobs.clear()
    return other_server


def pushed(host, registry, img, name="p/made", tag="1", flags=()):
    """It succeeds, and the registry has all of it."""
    r = host.berth("push", *flags, "local/made:1", "%s/%s:%s" % (registry.host, name, tag))
    assert r.text == img.manifest["digest"]
    type, data = registry.taken[name, tag]
    assert data == img.blobs[img.manifest["digest"]] and type == reg.MANIFEST
    assert set(img.blobs) - {img.manifest["digest"]} <= set(registry.blobs)
    return r


def asked(registry, method, pattern=""):
    return [a for a in registry.asked_for(pattern) if a[0] == method]


def test_blobs_first_and_the_manifest_last(host, bad, imported):
    img = imported(layers=3)
    r = pushed(host, bad, img)
    assert [a[0] for a in bad.asked][-1] == "PUT" and "/manifests/1" in bad.asked[-1][1]
    assert "layer 3 of 3: pushed" in r.err
    bad.reset()
    # Again: nothing is sent but the manifest.
    r = pushed(host, bad, img)
    assert len(asked(bad, "HEAD")) == 4 and not asked(bad, "POST") and len(asked(bad, "PUT")) == 1
    assert "is there already" in r.err


def test_by_its_own_name(host, bad, imported):
    img = imported(name=bad.host + "/q/made:2")
    assert host.berth("push", "-q", bad.host + "/q/made:2").text == img.manifest["digest"]
    assert ("q/made", "2") in bad.taken
    host.refused("push", img.id, text="say where to push", code=2)
    host.refused("push", bad.host + "/q/made:2", bad.host + "/q/made@" + img.id, text="not to a digest", code=2)
    host.refused("push", "no/such:1", text="no image")
    events = json.loads("[%s]" % ",".join(host.berth("push", "--format", "json", bad.host + "/q/made:2").lines))
    assert events[-1]["text"] == img.manifest["digest"] and {"exists"} <= {a for e in events[:-1] for a in [e["attributes"].get("state")] if e.get("attributes")}


def test_what_another_repository_has_is_mounted(host, bad, imported):
    img = imported(name=bad.host + "/first/made:1")
    host.berth("push", bad.host + "/first/made:1")
    bad.on("/v2/second", lambda h: h.command == "HEAD" and h.error(404, "BLOB_UNKNOWN", "not in this repository"))
    r = host.berth("push", bad.host + "/first/made:1", bad.host + "/second/made:1")
    assert "taken over from first/made" in r.err
    assert not [a for a in asked(bad, "PUT", "/second/") if "blobs" in a[1]] and ("second/made", "1") in bad.taken


def test_a_registry_that_cannot_mount_gets_it_sent(host, bad, imported):
    img = imported(name=bad.host + "/first/made:1")
    bad.blobs.clear()
    host.berth("push", bad.host + "/first/made:1", bad.host + "/second/made:1")
    assert set(img.blobs) - {img.manifest["digest"]} <= set(bad.blobs)


def test_a_busy_registry_is_asked_again(host, bad, imported):
    img, failures = imported(), [503, 429, 500]

    def busy(h):
        if failures and h.command == "POST":
            return h.error(failures.pop(), "BUSY", "come back", Retry_After="0")
    bad.on("/uploads/", busy)
    r = pushed(host, bad, img)
    assert not failures and "again in" in r.err


def test_an_upload_that_is_cut_is_sent_again(host, bad, imported):
    img, cuts = imported(size=3 << 20), [1, 2]

    def cut(h):
        if cuts and h.command == "PUT" and int(h.headers["Content-Length"]) > 1 << 20:
            cuts.pop()
            h.rfile.read(100000)
            h.connection.shutdown(2)
            h.close_connection = True
            return True
    bad.on("/blobs/uploads/", cut)
    pushed(host, bad, img)
    assert not cuts


@pytest.mark.parametrize("status,text", [(403, "access to p/made denied"), (405, "takes no uploads"),
                                         (404, "takes no uploads"), (400, "status 400: no"), (507, "status 507"), (413, "status 413: no")])
def test_a_refusal_is_a_clear_error(host, bad, imported, status, text):
    imported()
    bad.on("/uploads/", lambda h: (h.read_body() if h.command == "PUT" else True) is not None and h.error(status, "NO", "no"))
    host.refused("push", "local/made:1", bad.host + "/p/made:1", text=text)
    assert not bad.taken
    eventually(lambda: not working(), working)


def test_a_broken_upload_is_no_progress(host, bad, imported):
    """However much of it was taken: the pauses grow, until it is given up (after some 20 seconds, for which nobody waits here)."""
    imported(size=3 << 20)

    def broken(h):
        if h.command == "PUT" and int(h.headers["Content-Length"]) > 2 << 20:
            h.rfile.read(2 << 20)
            h.connection.shutdown(2)
            h.close_connection = True
            return True
    bad.on("/uploads/", broken)
    p = subprocess.Popen([os.path.join(BIN, "berth"), "--socket", host.socket, "push", "local/made:1", bad.host + "/p/made:1"], stderr=subprocess.PIPE, text=True)
    pauses = []
    for line in p.stderr:
        pauses += [float(s) for s in re.findall("again in ([0-9.]+) s", line)]
        if len(pauses) == 3:
            break
    p.kill()
    p.communicate()
    assert pauses[0] < pauses[1] < pauses[2] and not bad.taken


def test_a_registry_that_falls_silent(host, bad, imported):
    """pull_stall: neither an answer that does not come nor a body that is not taken holds it up for ever."""
    img, hold, silent = imported(size=24 << 20), threading.Event(), [1]

    def fall_silent(h):
        if silent and h.command == "PUT" and int(h.headers["Content-Length"]) > 20 << 20:
            silent.pop()
            h.rfile.read(1 << 20)
            h.close_connection = True
            return hold.wait(60)
    bad.on("/uploads/", fall_silent)
    try:
        r = pushed(host, bad, img)
    finally:
        hold.set()
    assert not silent and "takes nothing for 1 s; again" in r.err


def test_a_registry_that_lies_about_what_it_got(host, bad, imported):
    imported()
    bad.on("/manifests/", lambda h: h.command == "PUT" and h.read_body() and h.answer(201, Docker_Content_Digest="sha256:" + "0" * 64))
    host.refused("push", "local/made:1", bad.host + "/p/made:1", text="took sha256:.* for sha256:0000.*not to be trusted")


@pytest.mark.parametrize("location", ["", "ftp://localhost/x", "http://user:pass@localhost/x", "http://", "/" + "x" * 9000, "//\x01"],
                         ids=["none", "ftp", "user", "no host", "long", "control"])
def test_a_bad_place_for_uploads(host, bad, imported, location):
    imported()
    bad.on("/uploads/", lambda h: h.command == "POST" and h.answer(202, **({"Location": location} if location else {})))
    host.refused("push", "local/made:1", bad.host + "/p/made:1", text="has uploads sent to nowhere")
    assert not asked(bad, "PUT")


def test_credentials_do_not_follow_an_upload_elsewhere(host, bad, other, imported, tmp_path):
    """The registry may have it sent to another server: there it goes without what is ours."""
    img = imported()
    auth = tmp_path / "auth.json"
    auth.write_text(json.dumps({"auths": {bad.host: {"username": "alice", "password": "s3cret:x"}}}))
    basic = "Basic " + base64.b64encode(b"alice:s3cret:x").decode()

    def check(h):
        if h.headers.get("Authorization") != basic:
            return h.error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Basic realm="x"')
    bad.on("/v2/", check)

    def send_away(h):
        if h.command == "POST" and h.headers.get("Authorization") == basic:
            other.uploads["u"] = b""
            return h.answer(202, Location="http://%s%su?state=a%%20b" % (other.host, h.path))
    bad.on("/uploads/", send_away)
    pushes_to = bad.host + "/p/made:1"
    host.berth("push", "--authfile", str(auth), "local/made:1", pushes_to)
    assert asked(other, "PUT") and not [a for a in other.asked if "Authorization" in a[2]]
    assert ("p/made", "1") in bad.taken and set(other.blobs) == set(img.blobs) - {img.manifest["digest"]}
    # … and one that wants some gets none.
    other.reset()
    other.blobs.clear()
    bad.blobs.clear()
    other.on("/", lambda h: h.read_body() is not None and h.error(401, "UNAUTHORIZED", "who?", WWW_Authenticate='Basic realm="x"'))
    host.refused("push", "--authfile", str(auth), "local/made:1", pushes_to, text="sends to a server that wants credentials")
    assert not [a for a in other.asked if "Authorization" in a[2]]


def test_a_redirect_in_mid_upload(host, bad, other, imported):
    img = imported()

    def redirect(h):
        if h.command == "PUT" and "blobs" in h.path:
            h.read_body()
            id_ = h.path.split("/uploads/")[1].split("?")[0]
            other.uploads[id_] = b""
            return h.answer(307, Location="http://%s%s" % (other.host, h.path))
    bad.on("/uploads/", redirect)
    host.berth("push", "local/made:1", bad.host + "/p/made:1")
    assert set(other.blobs) == set(img.blobs) - {img.manifest["digest"]} and ("p/made", "1") in bad.taken


def test_redirects_in_circles(host, bad, imported):
    imported()
    bad.on("/uploads/", lambda h: h.command in ("POST", "PUT") and h.answer(307, Location=h.path))
    host.refused("push", "local/made:1", bad.host + "/p/made:1", text="more than 10 redirects")


def test_401_for_ever(host, bad, imported, tmp_path):
    imported()
    auth = tmp_path / "auth.json"
    auth.write_text(json.dumps({"auths": {bad.host: {"username": "alice", "password": "s3cret:x"}}}))
    bad.on("/v2/", lambda h: h.error(401, "UNAUTHORIZED", "no", WWW_Authenticate='Basic realm="x"'))
    host.refused("push", "--authfile", str(auth), "local/made:1", bad.host + "/p/made:1", text="denied")
    assert len(bad.asked) < 20
    bad.reset()
    reg.TokenAuth(bad, good_for=0)
    host.refused("push", "local/made:1", bad.host + "/p/made:1", text="denied")
    assert len(bad.asked) < 40


def test_a_token_is_for_pushing_too(host, bad, imported, tmp_path):
    """… and for the repository that blobs may be mounted from; one that runs out in the middle is exchanged."""
    imported(name=bad.host + "/first/made:1", layers=4)
    auth = tmp_path / "auth.json"
    auth.write_text(json.dumps({"auths": {bad.host: {"username": "alice", "password": "s3cret:x"}}}))
    tokens = reg.TokenAuth(bad, user="alice", password="s3cret:x", good_for=12)
    host.berth("push", "--authfile", str(auth), bad.host + "/first/made:1", bad.host + "/second/made:1")
    assert ("second/made", "1") in bad.taken and tokens.given > 1
    query = asked(bad, "GET", "/token")[0][1]
    assert "repository%3Asecond%2Fmade%3Apull%2Cpush" in query and "repository%3Afirst%2Fmade%3Apull" in query


def test_in_pieces_where_requests_must_be_small(host, bad, imported):
    img = imported(size=20 << 20)

    def small(h):
        if int(h.headers.get("Content-Length", 0)) > 5 << 20:
            h.close_connection = True
            return h.error(413, "TOO_LARGE", "request entity too large")
    bad.on("/uploads/", small)
    pushed(host, bad, img)
    pieces = [a[2]["Content-Range"] for a in asked(bad, "PATCH") if int(a[2]["Content-Length"]) <= 5 << 20]
    assert pieces[0] == "0-%d" % ((4 << 20) - 1) and len(pieces) > 4


def test_pieces_go_on_where_they_were(host, bad, imported):
    """After a break in the middle of one, and when a token has run out."""
    img, breaks = imported(size=20 << 20), [1, 1, 1]

    def small(h):
        if int(h.headers.get("Content-Length", 0)) > 5 << 20:
            h.close_connection = True
            return h.error(413, "TOO_LARGE", "request entity too large")
        if h.command == "PATCH" and breaks and not h.headers["Content-Range"].startswith("0-"):
            breaks.pop()
            id_ = h.path.split("/uploads/")[1].split("?")[0]
            bad.uploads[id_] += h.rfile.read(1 << 20)
            h.connection.shutdown(2)
            h.close_connection = True
            return True
        if h.command == "GET":
            id_ = h.path.split("/uploads/")[1].split("?")[0]
            return h.answer(204, Location=h.path, Range="0-%d" % (len(bad.uploads[id_]) - 1))
    bad.on("/uploads/", small)
    pushed(host, bad, img)
    sent = sum(int(a[2]["Content-Length"]) for a in asked(bad, "PATCH") if int(a[2]["Content-Length"]) <= 5 << 20)
    assert not breaks and sent < 36 << 20 and len(asked(bad, "POST")) == 5   # the three blobs, and the large one in pieces of 16 and of 4 MiB


@needs_docker_registry
def test_pieces_to_dockers_registry(host, bad, plain, imported):
    """Behind a front end that takes no more than 5 MiB."""
    img = imported(size=20 << 20)

    def front_end(h):
        if int(h.headers.get("Content-Length", 0)) > 5 << 20:
            h.close_connection = True
            return h.error(413, "TOO_LARGE", "request entity too large")
        up = http.client.HTTPConnection("localhost", PLAIN)
        up.request(h.command, h.path, h.read_body(), {k: v for k, v in h.headers.items() if k != "Expect"})
        r = up.getresponse()
        h.send_response(r.status)
        for k, v in r.getheaders():
            h.send_header(k, v)
        h.end_headers()
        h.wfile.write(r.read())
        up.close()
        return True
    bad.on("/v2/", front_end)
    assert host.berth("push", "local/made:1", bad.host + "/w/made:1").text == img.manifest["digest"]
    assert len(asked(bad, "PATCH")) > 4
    sh("skopeo", "copy", "-q", "--src-tls-verify=false", "docker://%s/w/made:1" % plain.host, "dir:%s" % os.path.join(DIR, "push/w"))


def test_trouble_with_tls_is_said_once_and_quiet_is_quiet(host, bad, imported):
    """Each layer meets the same trouble. Whoever wants no progress wants none as JSON either."""
    import socket
    import threading
    imported(layers=3)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(20)

        def alert():
            while True:
                try:
                    c, _ = s.accept()
                    with c:
                        c.recv(1000)
                        c.sendall(b"\x15\x03\x01\x00\x02\x02\x28")
                except OSError:
                    return
        threading.Thread(target=alert, daemon=True).start()
        name = "localhost:%d/a/b:1" % s.getsockname()[1]
        r = host.berth("push", "--tls-verify=false", "local/made:1", name, code=1)
        assert r.err.count("handshake failure") == r.err.count("trying without TLS") == 1, r
        r = host.berth("push", "-q", "--format", "json", "local/made:1", name, code=1)
        assert r.out == "" and len(r.err.splitlines()) == 1, r
        s.shutdown(socket.SHUT_RDWR)
    assert len(host.berth("push", "-q", "--format", "json", "local/made:1", bad.host + "/quiet/b:1").lines) == 1
    pulled = host.berth("pull", "-q", "--format", "json", bad.add(image(layers=3), "quiet/c")).lines
    assert len(pulled) == 1 and json.loads(pulled[0])["names"]


def test_damage_in_the_store_is_not_blamed_on_the_registry(host, bad, imported):
    img = imported()
    layer = json.loads(img.blobs[img.manifest["digest"]])["layers"][-1]["digest"]
    blob = host.state + "/images/blobs/sha256/" + layer[7:]
    data = open(blob, "rb").read()
    with open(blob, "wb") as f:
        f.write(data[:-1] + b"?")
    host.refused("push", "local/made:1", bad.host + "/p/made:1", text=layer + ".*damaged")
    os.unlink(blob)
    host.refused("push", "local/made:1", bad.host + "/p/made:1", text="not in the store any more")
    with open(blob, "wb") as f:
        f.write(data)
    os.truncate(blob, 3)
    host.refused("push", "local/made:1", bad.host + "/p/made:1", text="has 3 bytes and should have")
    assert not bad.taken


def test_a_push_ends_with_who_asked(host, bad, imported):
    imported(size=3 << 20)
    hold = threading.Event()
    bad.on("/uploads/", lambda h: h.command == "PUT" and hold.wait(60))
    p = subprocess.Popen([os.path.join(BIN, "berth"), "--socket", host.socket, "push", "local/made:1", bad.host + "/p/made:1"], stderr=subprocess.DEVNULL)
    eventually(lambda: asked(bad, "PUT"), "the upload")
    assert len(working()) == 2
    p.kill()
    p.wait()
    eventually(lambda: not working(), working)
    hold.set()
    actions = json.loads(host.berth("actions", "--format", "json").out)
    last = [a for a in actions if a["verb"] == "push"][-1]
    assert last["result"] == "error" and "nobody waits" in last["reason"]


def test_a_push_goes_on_with_the_next_berthd(host, bad, imported):
    """A kill -9 of berthd in the middle: the tool asks the next one, which sends what is missing."""
    img, hold, first = imported(size=3 << 20), threading.Event(), [1]

    def slow(h):
        if h.command == "PUT" and "blobs" in h.path and first:
            first.pop()
            h.close_connection = True
            return hold.wait(60)
    bad.on("/uploads/", slow)
    p = subprocess.Popen([os.path.join(BIN, "berth"), "--socket", host.socket, "push", "-q", "local/made:1", bad.host + "/p/made:1"],
                         stdout=subprocess.PIPE, text=True)
    eventually(lambda: not first, "the upload")
    host.restart()
    assert p.communicate(timeout=60)[0].strip() == img.manifest["digest"] and p.returncode == 0
    hold.set()
    assert ("p/made", "1") in bad.taken


@needs_docker_registry
def test_tls_verify_is_for_pushes_too(host, plain, imported):
    img = imported()
    name = "127.0.0.1:%d/n/made:1" % PLAIN      # nothing says that it has no TLS
    host.refused("push", "local/made:1", name, text="plain HTTP")
    r = host.berth("push", "--tls-verify=false", "local/made:1", name)
    assert r.text == img.manifest["digest"] and "without TLS" in r.err
