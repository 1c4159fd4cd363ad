"""Images from registries: Debian's docker-registry filled by skopeo and buildah, with credentials and TLS; and one that does wrong."""

import base64
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import registry as reg
from conftest import busybox_image, private_host
from host import BIN, DIR, IN_VM, eventually, processes
from oci import Image, busybox_entries, layer

pytestmark = pytest.mark.native
HERE = os.path.dirname(os.path.abspath(__file__))
MKIMAGE = os.path.join(HERE, "../fixtures/mkimage.sh")

PLAIN, LOCKED, BAD, OTHER, TLS = 5000, 5001, 5002, 5003, 5004


def sh(*argv, **kw):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=120, **kw)


def needs_docker_registry(test):
    if IN_VM:
        return None
    return pytest.mark.skipif(not reg.have_docker_registry(), reason="not installed: docker-registry, skopeo, htpasswd or openssl")(test)


@pytest.fixture(scope="module")
def place():
    """What all of this file share: a folder, a CA, an image on disk."""
    reg.loopback_up()
    folder = os.path.join(DIR, "pull")
    os.makedirs(folder + "/ca")
    reg.make_ca(folder + "/ca")
    sh("sh", MKIMAGE, "-x", "-b", "/bin/busybox", folder + "/layout", "fixture:1")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pulls(place):
    """A berthd that knows these registries."""
    certs = place + "/certs.d"
    for port in (LOCKED, TLS):
        os.makedirs("%s/localhost:%d" % (certs, port))
        shutil.copy(place + "/ca/ca.crt", "%s/localhost:%d/ca.crt" % (certs, port))
    with open(place + "/berthd.conf", "w") as f:
        f.write('plain_http = "localhost:%d localhost:%d, localhost:%d 127.0.0.1:%d"\n' % (PLAIN, BAD, OTHER, OTHER))
        f.write('mirrors = "mirrored.example=localhost:%d mirrored.example=localhost:%d/hub"\n' % (OTHER, BAD))
        f.write("certs_dir = %s\nauth_file = %s/auth.json\npull_stall = 2s\n" % (certs, place))
    with private_host(options=["--config", place + "/berthd.conf"]) as h:
        yield h


@pytest.fixture
def host(pulls, place, monkeypatch):
    """Each test begins and ends without images but busybox, and leaves nothing half."""
    monkeypatch.setenv("HOME", place + "/home")
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    yield pulls
    pulls.remove_all()
    for image in pulls.ask("image_list").get("images", []):
        if "docker.io/library/busybox:latest" not in image.get("names", []):
            pulls.ask("image_remove", {"ref": image["meta"]["uuid"], "force": True})
    shutil.rmtree(place + "/home", ignore_errors=True)
    if os.path.exists(place + "/auth.json"):
        os.unlink(place + "/auth.json")
    eventually(lambda: not working(), working)
    partial = pulls.state + "/images/partial"
    for f in os.listdir(partial) if os.path.isdir(partial) else ():
        os.unlink(os.path.join(partial, f))


@pytest.fixture(scope="module")
def plain(place, pulls):
    r = reg.DockerRegistry(place + "/plain", PLAIN)
    yield r
    r.stop()


@pytest.fixture(scope="module")
def locked(place, pulls):
    """htpasswd and TLS."""
    r = reg.DockerRegistry(place + "/locked", LOCKED, user="alice", password="s3cret:x", tls=place + "/ca")
    yield r
    r.stop()


@pytest.fixture(scope="module")
def bad_server(pulls):
    r = reg.Registry(BAD)
    yield r
    r.stop()


@pytest.fixture
def bad(bad_server):
    bad_server.reset()
    return bad_server


@pytest.fixture(scope="module")
def other_server(pulls):
    r = reg.Registry(OTHER)
    yield r
    r.stop()


@pytest.fixture
def other(other_server):
    other_server.reset()
    return other_server


def working():
    return [p for p in processes().values() if p[2] in ("berth-fetch", "berth-job") and p[0] != "Z"]


_serial = iter(range(1, 1000))


def image(size=0, layers=2, **kw):
    """A small image unlike all others; size: random bytes in its last layer, which no compression makes smaller."""
    n = next(_serial)
    random.seed(n)
    entries = [busybox_entries("/bin/busybox", os.path.join(BIN, "guest"))]
    for i in range(1, layers):
        entries.append({"n%d" % i: ("%d of %d" % (i, n)).encode()})
    entries[-1]["random"] = random.randbytes(size)
    return Image("x", [layer(e) for e in entries], kw.get("config", {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": {"n": str(n)}}))


def last_layer(img):
    return json.loads(img.blobs[img.manifest["digest"]])["layers"][-1]["digest"]


def ALICE(place):
    return ["--dest-cert-dir", "%s/certs.d/localhost:%d" % (place, LOCKED), "--dest-creds", "alice:s3cret:x"]


def push(place, where, *flags):
    sh("skopeo", "copy", "-q", *flags, "oci:" + place + "/layout", "docker://" + where)


SEEN = "cat /data/kept /data/replaced /data/opaque/fresh; ls /data /data/opaque; stat -c %U /home/app"
SHOWN = "kept new fresh /data: kept opaque replaced /data/opaque: fresh app".split()


# ------------------------------------------------------------------ docker-registry

@needs_docker_registry
def test_an_image_of_skopeo_is_pulled_and_run(host, place, plain):
    name = plain.host + "/a/fixture:1"
    push(place, name, "--dest-tls-verify=false")
    r = host.berth("pull", name)
    assert r.text == name and "pulling" in r.err
    assert host.berth("run", "--rm", name, "sh", "-c", SEEN).out.split() == SHOWN


@needs_docker_registry
def test_docker_manifests_too(host, place, plain):
    name = plain.host + "/a/v2s2:1"
    push(place, name, "--dest-tls-verify=false", "--format", "v2s2")
    assert host.berth("run", "--rm", name, "cat", "/data/kept").text == "kept"


@needs_docker_registry
def test_zstd_layers(host, place, plain):
    name = plain.host + "/a/zstd:1"
    push(place, name, "--dest-tls-verify=false", "--dest-compress-format", "zstd")
    assert host.berth("run", "--rm", name, "cat", "/data/kept").text == "kept"


@needs_docker_registry
@pytest.mark.skipif(not shutil.which("buildah"), reason="not installed: buildah")
def test_an_image_of_buildah_for_two_platforms(host, place, plain, tmp_path):
    store = ["buildah", "--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]

    def buildah(*argv):
        return subprocess.run(store + list(argv), check=True, capture_output=True, text=True, timeout=120).stdout.strip()

    name = plain.host + "/b/multi:1"
    buildah("manifest", "create", "multi")
    for arch in ("arm64", "amd64"):
        c = buildah("from", "--arch", arch, "scratch")
        buildah("copy", c, "/bin/busybox", "/bin/busybox")
        buildah("config", "--arch", arch, "--cmd", "/bin/busybox env", "--env", "ARCH_IS=" + arch, c)
        buildah("commit", "-q", "--manifest", "multi", c)
    buildah("manifest", "push", "--all", "--tls-verify=false", "multi", "docker://" + name)
    assert "ARCH_IS=amd64" in host.berth("run", "--rm", name).lines
    r = host.berth("pull", "--platform", "linux/arm64", "--format", "{{.config.architecture}}", name)
    assert r.text == "arm64"
    host.refused("pull", "--platform", "linux/s390x", name, text="nothing in it is for linux/s390x .found: .*amd64")
    host.refused("pull", "--platform", "windows/amd64", name, text="windows", code=2)
    host.berth("run", "--rm", "--platform", "linux/amd64", name)


@needs_docker_registry
def test_credentials_and_tls(host, place, locked):
    name = locked.host + "/c/fixture:1"
    push(place, name, *ALICE(place))
    host.refused("pull", name, text="denied.*authentication required.*no credentials")
    host.berth("login", "-u", "alice", "--password-stdin", locked.host, input="wrong\n")
    host.refused("pull", name, text="denied")
    host.berth("login", "-u", "alice", "--password-stdin", locked.host, input="s3cret:x\n")
    with open(place + "/home/.config/berth/auth.json") as f:
        kept = json.load(f)
    assert base64.b64decode(kept["auths"][locked.host]["auth"]) == b"alice:s3cret:x"
    assert os.stat(place + "/home/.config/berth/auth.json").st_mode & 0o777 == 0o600
    assert host.berth("run", "--rm", name, "cat", "/data/kept").text == "kept"
    host.berth("image", "rm", name)
    host.berth("logout", locked.host)
    host.refused("pull", name, text="denied")
    host.refused("logout", locked.host, text="has none for")
    assert "s3cret" not in host.log() and "czNjcmV0" not in host.log()


@needs_docker_registry
def test_credentials_of_the_host(host, place, locked):
    name = locked.host + "/d/fixture:1"
    push(place, name, *ALICE(place))
    with open(place + "/auth.json", "w") as f:
        json.dump({"auths": {"https://" + locked.host + "/v2/": {"auth": base64.b64encode(b"alice:s3cret:x").decode()}}}, f)
    host.berth("pull", "-q", name)


@needs_docker_registry
def test_an_unknown_authority_is_refused(host, place, locked):
    """127.0.0.1 is the same registry, but nothing in certs_dir is for it."""
    name = "127.0.0.1:%d/c/fixture:1" % LOCKED
    host.refused("pull", name, text="certificate.*certs_dir in berthd.conf")
    with open(place + "/file.json", "w") as f:
        json.dump({"auths": {"127.0.0.1:%d" % LOCKED: {"username": "alice", "password": "s3cret:x"}}}, f)
    push(place, locked.host + "/c/fixture:1", *ALICE(place))
    host.berth("pull", "--tls-verify=false", "--authfile", place + "/file.json", name)


@needs_docker_registry
def test_plain_http_only_where_it_is_allowed(host, place, plain):
    push(place, plain.host + "/e/fixture:1", "--dest-tls-verify=false")
    name = "127.0.0.1:%d/e/fixture:1" % PLAIN
    host.refused("pull", name, text="plain HTTP")
    r = host.berth("pull", "--tls-verify=false", name)
    assert "without TLS" in r.err


@needs_docker_registry
def test_by_digest(host, place, plain):
    push(place, plain.host + "/f/fixture:1", "--dest-tls-verify=false")
    with open(place + "/layout/index.json") as f:
        d = json.load(f)["manifests"][0]["digest"]
    name = "%s/f/fixture@%s" % (plain.host, d)
    host.berth("pull", name)
    assert host.berth("run", "--rm", "--pull", "never", name, "cat", "/data/kept").text == "kept"
    host.refused("pull", "%s/f/fixture@sha256:%s" % (plain.host, "0" * 64), text="no f/fixture@sha256:0+ there")


@needs_docker_registry
def test_what_is_not_there(host, plain):
    host.refused("pull", plain.host + "/none/none:1", text="no none/none:1 there")
    host.refused("run", "--rm", plain.host + "/none/none:1", text="no none/none:1 there", code=125)
    host.refused("pull", "localhost:1/x:1", text="onnect")
    host.refused("pull", "no.such.host.invalid/x:1", text="resolve")
    host.refused("pull", "Bad Name", text="name is made of", code=2)


# ------------------------------------------------------------------ what breaks on the way, and goes on

def test_a_broken_download_goes_on_where_it_was(host, bad):
    img = image(3 << 20)
    name, blob, cuts = bad.add(img, "t/cut"), last_layer(img), []

    def cut(h):
        data, first = img.blobs[blob], int((h.headers.get("Range") or "bytes=0-")[6:-1])
        if len(cuts) == 2:
            return False
        cuts.append(first)
        status, headers = (206, {"Content_Range": "bytes %d-%d/%d" % (first, len(data) - 1, len(data))}) if first else (200, {})
        return h.cut(status, data[first:first + (1 << 20) + 17], len(data) - first, **headers)
    bad.on("blobs/" + blob, cut)
    r = host.berth("pull", name)
    assert cuts[0] == 0 and cuts[1] > 1 << 19 and "again in" in r.err
    assert len(bad.asked_for("blobs/" + blob)) == 3
    assert host.berth("run", "--rm", name, "cat", "/n1").out


def give_up_at(bad, img, blob, size):
    """The registry gives `size` bytes of the blob, and then never more."""
    data = img.blobs[blob]

    def cut(h):
        if h.headers.get("Range"):
            return h.error(404, "GONE", "gone")
        return h.cut(200, data[:size], len(data))
    bad.on("blobs/" + blob, cut)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_half_pull_is_gone_on_with_later(host, bad, ranges):
    img = image(2 << 20)
    name, blob = bad.add(img, "t/half%d" % ranges), last_layer(img)
    give_up_at(bad, img, blob, 1 << 20)
    host.refused("pull", name, text="it has not got " + blob)
    assert not host.berth("images", "-q", "-f", "name=%s*" % name.rsplit(":", 1)[0]).out
    partial = "%s/images/partial/%s" % (host.state, blob[7:])
    assert 1 << 19 < os.path.getsize(partial) <= 1 << 20
    host.restart()
    time.sleep(2.5)                 # the sweep at the start leaves it
    assert os.path.getsize(partial)
    bad.reset()
    if not ranges:
        bad.on("blobs/" + blob, lambda h: h.answer(200, img.blobs[blob]))
    r = host.berth("pull", name)
    assert "going on at" in r.err
    assert bad.asked_for("blobs/" + blob)[0][2].get("Range", "").startswith("bytes=")
    assert not os.path.exists(partial)
    assert host.berth("run", "--rm", name, "cat", "/n1").out


def test_what_was_left_wrong_is_fetched_anew(host, bad):
    img = image(1 << 20)
    name, blob = bad.add(img, "t/rotten"), last_layer(img)
    give_up_at(bad, img, blob, 1 << 19)
    host.refused("pull", name, text="has not got")
    with open("%s/images/partial/%s" % (host.state, blob[7:]), "r+b") as f:
        f.write(b"rotten")
    bad.reset()
    r = host.berth("pull", name)
    assert "damaged or forged; once more" in r.err
    host.berth("run", "--rm", name, "cat", "/n1")


def test_credentials_are_not_waited_for(host, place, bad, tmp_path):
    """A pipe that nobody writes to would be: what is no file is no file of credentials."""
    name = bad.add(image(10), "t/pipe")
    os.mkfifo(tmp_path / "fifo")
    for flags in (["pull", "--authfile", tmp_path / "fifo", name], ["login", "-u", "x", "--password-stdin", "--authfile", tmp_path / "fifo", "localhost:1"],
                  ["run", "--pull", "always", "--authfile", tmp_path / "fifo", name]):
        r = host.berth(*flags, input="secret\n", code=None)
        assert r.code in (1, 125) and "fifo is a pipe, and must be a regular file" in r.err, r
    host.refused("pull", "--authfile", "/dev/null", name, text="/dev/null is a device, and must be")
    host.refused("pull", "--authfile", tmp_path, name, text="is a folder, and must be")
    os.mkfifo(place + "/auth.json")
    host.refused("pull", name, text="auth.json is a pipe, and must be a regular file")


def test_what_a_verify_has_found_damaged_is_fetched_anew(host, bad):
    img = image(3 << 20)
    name, blob = bad.add(img, "t/damaged"), last_layer(img)
    host.berth("pull", name)
    path = "%s/images/blobs/sha256/%s" % (host.state, blob[7:])

    def damage():
        with open(path, "r+b") as f:
            f.seek(1 << 20)
            f.write(b"rotten")

    damage()
    host.berth("image", "verify", name, code=1)
    bad.asked.clear()
    host.berth("pull", name)
    assert len(bad.asked_for("blobs/")) == 1 and bad.asked_for("blobs/" + blob), "that, and nothing else"
    host.berth("image", "verify", name)
    # Where its layer has to be unpacked from it, damage is found without a verify.
    layer = host.ask("image_inspect", {"ref": name})["images"][0]["layers"][-1]
    shutil.rmtree("%s/images/layers/%s" % (host.state, layer[7:]))
    damage()
    host.refused("pull", name, text="1 blob in the store is damaged, and the next pull brings it anew")
    host.berth("pull", name)
    host.berth("image", "verify", name)
    assert host.berth("run", "--rm", name, "cat", "/n1").out


def test_a_half_pull_is_swept_after_a_day(host, bad):
    img = image(1 << 20)
    name, blob = bad.add(img, "t/swept"), last_layer(img)
    give_up_at(bad, img, blob, 1 << 19)
    host.refused("pull", name, text="has not got")
    partial = "%s/images/partial/%s" % (host.state, blob[7:])
    day = time.time() - 25 * 3600
    os.utime(partial, (day, day))
    host.refused("pull", "localhost:%d/none:1" % BAD, text="no none:1 there")       # after a failed pull comes a sweep
    eventually(lambda: not os.path.exists(partial), "it is swept")


@pytest.mark.parametrize("status", [429, 503])
def test_later_means_later(host, bad, status):
    img, times = image(), []
    name = bad.add(img, "t/later%d" % status)

    def later(h):
        times.append(time.monotonic())
        return len(times) == 1 and h.error(status, "TOOMANYREQUESTS", "slow down", Retry_After="2")
    bad.on("/manifests/", later)
    r = host.berth("pull", name)
    assert times[1] - times[0] >= 2 and "slow down" in r.err


def test_too_late_is_an_error(host, bad):
    bad.on("/manifests/", lambda h: h.error(429, "TOOMANYREQUESTS", "come back tomorrow", Retry_After="86400"))
    host.refused("pull", "localhost:%d/t/late:1" % BAD, text="come back tomorrow; it wants to be asked again in 86400 s")


def test_a_date_in_retry_after(host, bad):
    bad.on("/manifests/", lambda h: h.error(503, "X", "x", Retry_After="Wed, 21 Oct 2099 07:28:00 GMT"))
    host.refused("pull", "localhost:%d/t/date:1" % BAD, text="asked again in [0-9]+ s")


def test_what_never_answers_well_is_given_up(host, bad):
    bad.on("/manifests/", lambda h: h.error(500, "UNKNOWN", "broken"))
    host.refused("pull", "localhost:%d/t/500:1" % BAD, text="status 500: broken .tried 6 times", timeout=60)


# ------------------------------------------------------------------ hostile registries

def wrong(bad, img, name, change):
    """The image with its manifest changed."""
    manifest = json.loads(img.blobs[img.manifest["digest"]])
    bad.add(img, name)
    change(manifest)
    return bad.add_manifest(name, "1", manifest, reg.MANIFEST)


def test_a_layer_of_another_digest(host, bad):
    img = image(1000)
    name, blob = bad.add(img, "h/forged"), last_layer(img)
    forged = bytearray(img.blobs[blob])
    forged[len(forged) // 2] ^= 1
    bad.on("blobs/" + blob, lambda h: h.answer(200, bytes(forged)))
    host.refused("pull", name, text="layer 2 of 2: " + blob + ": its content is sha256:.*damaged or forged")
    assert len(bad.asked_for("blobs/" + blob)) == 2


def test_a_manifest_of_another_digest(host, bad):
    img = image()
    name = bad.add(img, "h/other")
    bad.on("/manifests/", lambda h: h.answer(200, b"{}", reg.MANIFEST))
    host.refused("pull", name.replace(":1", "@" + img.manifest["digest"]), text="asked for sha256:.*, the registry gave sha256:.*forged")


@pytest.mark.parametrize("by, text", [(1, "has [0-9]+ bytes of it, and it should be"), (-1, "has [0-9]+ bytes of it, and it should be")])
def test_a_layer_of_another_size(host, bad, by, text):
    img = image(1000)
    name = wrong(bad, img, "h/size%d" % by, lambda m: m["layers"][1].update(size=m["layers"][1]["size"] + by))
    host.refused("pull", name, text=text)


def endless(h):
    h.send_response(200)
    h.send_header("Content-Type", reg.MANIFEST)
    h.send_header("Transfer-Encoding", "chunked")
    h.end_headers()
    while True:
        h.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")


def test_a_layer_without_end(host, bad):
    img = image(1000)
    name = bad.add(img, "h/endless")
    bad.on("blobs/" + last_layer(img), endless)
    host.refused("pull", name, text="sends more than the [0-9]+ bytes that it should be")


def test_a_manifest_without_end(host, bad):
    bad.on("/manifests/", endless)
    host.refused("pull", "localhost:%d/h/endless:1" % BAD, text="sends more than the 4194304 bytes that are taken")


def test_an_error_page_without_end(host, bad):
    def page(h):
        h.send_response(404)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        while True:
            h.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
    bad.on("/manifests/", page)
    host.refused("pull", "localhost:%d/h/page:1" % BAD, text="no h/page:1 there")


def test_redirects_in_a_ring(host, bad):
    bad.on("/manifests/", lambda h: h.answer(307, Location=h.path))
    host.refused("pull", "localhost:%d/h/ring:1" % BAD, text="more than 10 redirects")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "gopher://x/", "http://user:pw@localhost/", "", "//"])
def test_redirects_to_nowhere(host, bad, to):
    bad.on("/manifests/", lambda h: h.answer(302, Location=to))
    host.refused("pull", "localhost:%d/h/nowhere:1" % BAD, text="redirects to nowhere|more than 10 redirects|Could|onnect")


def test_huge_headers(host, bad):
    def huge(h):
        h.send_response(200)
        for i in range(1000):
            h.send_header("X-%d" % i, "x" * 1000)
        h.end_headers()
        return True
    bad.on("/manifests/", huge)
    host.refused("pull", "localhost:%d/h/huge:1" % BAD, text="headers of more than 65536 bytes")


def test_a_trickle(host, bad):
    img = image(1 << 20)
    name, blob = bad.add(img, "h/trickle"), last_layer(img)

    def trickle(h):
        data = img.blobs[blob]
        h.send_response(200)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        for byte in data[:100]:
            h.wfile.write(bytes([byte]))
            h.wfile.flush()
            time.sleep(0.2)
        return True
    bad.on("blobs/" + blob, lambda h: len(bad.asked_for("blobs/" + blob)) == 1 and trickle(h))
    r = host.berth("pull", name, timeout=60)
    assert "less than 512 bytes a second for 2 s" in r.err


def test_a_web_page(host, bad):
    bad.on("/v2/", lambda h: h.answer(200, b"<html>Welcome</html>", "text/html"))
    host.refused("pull", "localhost:%d/h/web:1" % BAD, text="answers with a web page")


def test_no_json(host, bad):
    bad.on("/v2/", lambda h: h.answer(200, b"Welcome", reg.MANIFEST))
    host.refused("pull", "localhost:%d/h/nojson:1" % BAD, text="manifest: line 1, column")


@pytest.mark.parametrize("document, type, text", [
    ({"schemaVersion": 1, "name": "x", "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
    ({"schemaVersion": 2, "mediaType": "application/x-thing"}, reg.MANIFEST, "neither the manifest nor the index"),
    ({"schemaVersion": 2, "mediaType": reg.INDEX, "manifests": []}, reg.MANIFEST, "the registry calls it .* refused"),
    ({"schemaVersion": 2, "mediaType": reg.INDEX, "manifests": []}, reg.INDEX, "names no manifest"),
    ([], reg.MANIFEST, "not an object"),
    (b"[" * 100000, reg.MANIFEST, "nested deeper"),
    (b"", reg.MANIFEST, "manifest"),
])
def test_a_manifest_that_is_none(host, bad, document, type, text):
    host.refused("pull", bad.add_manifest("h/none", "1", document, type), text=text)


def test_a_config_that_is_none(host, bad):
    img = image()
    name = wrong(bad, img, "h/config", lambda m: m.update(config=img.blob("application/vnd.oci.image.config.v1+json", b"{}")))
    bad.blobs.update(img.blobs)
    host.refused("pull", name, text="not the config of an image")


@pytest.mark.parametrize("change", [
    lambda d: d.update(urls=["http://localhost:%d/x" % OTHER]),
    lambda d: d.update(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    lambda d: d.update(mediaType="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
])
def test_foreign_layers(host, bad, other, change):
    name = wrong(bad, image(), "h/foreign", lambda m: change(m["layers"][1]))
    host.refused("pull", name, text="foreign layer.: refused")
    assert not other.asked


def test_a_layer_larger_than_any_disk(host, bad):
    name = wrong(bad, image(), "h/large", lambda m: m["layers"][1].update(size=1 << 60))
    host.refused("pull", name, text="MiB more are needed")


def test_a_range_that_was_not_asked_for(host, bad):
    img = image(1 << 20)
    name, blob = bad.add(img, "h/range"), last_layer(img)

    def lie(h):
        data = img.blobs[blob]
        if not h.headers.get("Range"):
            return h.cut(200, data[:1 << 19], len(data))
        return h.answer(206, data[7:], Content_Range="bytes 7-%d/%d" % (len(data) - 1, len(data)))
    bad.on("blobs/" + blob, lie)
    host.refused("pull", name, text="another part than was asked for")


# ------------------------------------------------------------------ credentials: who may see them

def creds(place, monkeypatch, **hosts):
    """A file with alice's credentials for these."""
    path = place + "/creds.json"
    with open(path, "w") as f:
        json.dump({"auths": {"localhost:%d" % port: {"auth": base64.b64encode(b"alice:pw").decode()} for port in hosts.values()}}, f)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", path)


def test_tokens_for_credentials(host, place, bad, monkeypatch):
    name = bad.add(image(), "t/bearer")
    auth = reg.TokenAuth(bad, user="alice", password="pw")
    host.refused("pull", name, text="token server answers 401: incorrect username", timeout=60)
    creds(place, monkeypatch, bad=BAD)
    host.berth("pull", name)
    assert auth.given == 1
    asked = bad.asked_for("/token")[-1][1]
    assert "service=test%20registry" in asked and "scope=repository%3At%2Fbearer%3Apull" in asked
    assert not [1 for _, p, h in bad.asked if p.startswith("/v2/") and h.get("Authorization", "").startswith("Basic")]


def test_tokens_that_run_out_on_the_way(host, bad):
    name = bad.add(image(layers=6), "t/short")
    auth = reg.TokenAuth(bad, good_for=2)
    host.berth("pull", name)
    assert auth.given >= 3
    host.berth("run", "--rm", name, "true")


def test_tokens_of_another_host_only_over_tls(host, place, bad, other, monkeypatch):
    name = bad.add(image(), "t/realm")
    creds(place, monkeypatch, bad=BAD, other=OTHER)
    reg.TokenAuth(bad, giver=other, user="alice", password="pw", realm="http://127.0.0.1:%d/token" % OTHER)
    host.refused("pull", name, text="its token server 127.0.0.1:%d has no TLS" % OTHER)
    assert not other.asked


@pytest.mark.parametrize("answer, text", [
    (b"{}", "no usable token"), (b'{"token": "a\\r\\nX: y"}', "no usable token"), (b"<html>", "no usable token"), (b'{"token": 5}', "no usable token"),
])
def test_a_token_server_that_gives_none(host, bad, answer, text):
    reg.TokenAuth(bad)
    bad.on("/token", lambda h: h.answer(200, answer, "application/json"))
    host.refused("pull", "localhost:%d/t/none:1" % BAD, text=text, timeout=60)


def test_a_token_server_without_end(host, bad):
    reg.TokenAuth(bad)
    bad.on("/token", endless)
    host.refused("pull", "localhost:%d/t/none:1" % BAD, text="token server: an answer of more than 262144 bytes", timeout=60)


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_redirect_takes_no_credentials_along(host, place, bad, other, monkeypatch, scheme):
    """Blobs lie elsewhere, as with most large registries; elsewhere knows nothing of our credentials, though we have some for it."""
    img = image(1000)
    name, blob = bad.add(img, "t/away"), last_layer(img)
    creds(place, monkeypatch, bad=BAD, other=OTHER)
    if scheme == "bearer":
        reg.TokenAuth(bad, user="alice", password="pw")
    else:
        bad.on("/v2/", lambda h: not h.headers.get("Authorization") and h.error(401, "UNAUTHORIZED", "who?", WWW_Authenticate='Basic realm="x"'))
    other.blobs.update(img.blobs)
    bad.on("blobs/" + blob, lambda h: h.headers.get("Authorization") and
           h.answer(307, Location="http://127.0.0.1:%d/v2/x/blobs/%s" % (OTHER, blob)))
    host.berth("pull", name)
    assert bad.asked_for("blobs/" + blob)[-1][2]["Authorization"]
    assert [("Authorization" in h, "Cookie" in h) for _, _, h in other.asked] == [(False, False)]


def test_a_redirect_from_tls_to_none(host, place, other):
    img = image()
    with_tls = reg.Registry(TLS, tls=place + "/ca")
    try:
        name = with_tls.add(img, "t/down")
        host.berth("pull", name)
        with_tls.on("/manifests/", lambda h: h.answer(302, Location="http://localhost:%d/v2/x" % OTHER))
        host.refused("pull", name, text="redirects to localhost:%d, which has no TLS" % OTHER)
        assert not other.asked
    finally:
        with_tls.stop()


def test_credentials_are_nowhere_to_be_seen(host, place, bad, monkeypatch):
    """Neither on a command line nor in the environment nor in the log; and berth-fetch is nobody with nothing."""
    img = image(1000)
    name = bad.add(img, "t/secret")
    creds(place, monkeypatch, bad=BAD)
    reg.TokenAuth(bad, user="alice", password="pw")
    go = threading.Event()
    bad.on("blobs/" + last_layer(img), lambda h: go.wait(20) and False)
    p = host.popen("pull", name)
    eventually(lambda: bad.asked_for("blobs/" + last_layer(img)), "it has begun")
    seen = {}
    for pid, (_, _, what) in processes().items():
        if what in ("berth-fetch", "berth-job"):
            seen[what] = pid
            for file in ("cmdline", "environ"):
                with open("/proc/%d/%s" % (pid, file), "rb") as f:
                    text = f.read()
                assert b"alice" not in text and base64.b64encode(b"alice:pw") not in text and b"token-1" not in text
    with open("/proc/%d/status" % seen["berth-fetch"]) as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
    assert status["Uid"].split()[0] != "0" and int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    go.set()
    assert p.wait(20) == 0
    p.communicate()
    log = host.log()
    assert base64.b64encode(b"alice:pw").decode() not in log and "token-1" not in log


# ------------------------------------------------------------------ mirrors, policies, sharing

def test_mirrors_come_first(host, bad, other):
    img = image()
    other.add(img, "m/app")
    assert host.berth("pull", "mirrored.example/m/app:1").text == "mirrored.example/m/app:1"
    assert other.asked and not bad.asked


def test_the_next_mirror_helps_out(host, bad, other):
    """The first one has the manifest and one layer, the second, below a path, the rest."""
    img = image(1000)
    other.add(img, "m/next")
    bad.add(img, "hub/m/next")
    other.on("blobs/" + last_layer(img), lambda h: h.error(404, "BLOB_UNKNOWN", "unknown"))
    r = host.berth("pull", "mirrored.example/m/next:1")
    assert bad.asked_for("/v2/hub/m/next/blobs/" + last_layer(img)) and "trying localhost:%d" % BAD in r.err


def test_no_mirror_and_no_registry(host, bad, other):
    r = host.refused("pull", "mirrored.example/m/none:1", text="mirrored.example: .*resolve", timeout=60)
    assert "localhost:%d: no m/none:1 there; trying localhost:%d" % (OTHER, BAD) in r.err


def test_run_pulls_what_is_missing(host, bad):
    name = bad.add(image(), "r/run")
    r = host.berth("run", "--rm", name, "echo", "hello")
    assert r.out == "hello\n" and "pulling" in r.err
    n = len(bad.asked)
    assert host.berth("run", "--rm", name, "echo", "hello").err == "" and len(bad.asked) == n
    host.berth("run", "--rm", "--pull", "always", "--quiet", name, "true")
    assert len(bad.asked) == n + 1
    host.berth("create", "--name", "made", "--pull", "missing", name)
    host.refused("run", "--pull", "sometimes", name, text="--pull", code=125)
    host.berth("rm", "-f", "made")


def test_never_is_never(host, bad):
    name = bad.add(image(), "r/never")
    host.refused("run", "--rm", "--pull", "never", name, text="no image .* on this host", code=125)
    assert not bad.asked
    with host.client() as c:
        with pytest.raises(Exception, match="no image"):
            c.request("image_pull", {"name": name, "policy": "PULL_POLICY_NEVER"})


def test_always_finds_what_is_new(host, bad):
    first, second = image(), image()
    name = bad.add(first, "r/moves")
    host.berth("pull", name)
    bad.add(second, "r/moves")
    host.berth("run", "--rm", "--pull", "always", name, "true")
    assert host.ask("image_inspect", {"ref": name})["images"][0]["image_id"] == second.id


def held(bad, blob):
    """The blob is held back until the event is set."""
    go = threading.Event()
    bad.on("blobs/" + blob, lambda h: go.wait(30) and False)
    return go


def test_two_pulls_are_one(host, bad):
    img = image(1000)
    name = bad.add(img, "s/two")
    go = held(bad, last_layer(img))
    pulls = [host.popen("pull", name) for _ in range(3)]
    eventually(lambda: bad.asked_for("blobs/" + last_layer(img)) and host.ask("info")["clients"] >= 4, "it has begun")
    time.sleep(0.3)
    assert len([p for p in processes().values() if p[2] == "berth-fetch"]) == 1
    pulls[0].kill()                 # one leaves, and nothing happens to the others
    pulls[0].communicate()
    time.sleep(0.2)
    go.set()
    for p in pulls[1:]:
        out, err = p.communicate(timeout=20)
        assert p.returncode == 0, err
    assert len(bad.asked_for("/manifests/1")) == 1 and len(bad.asked_for("blobs/" + last_layer(img))) == 1


def test_two_images_share_a_layer_that_is_on_its_way(host, bad):
    img = image(1 << 16)
    blob = last_layer(img)
    one = bad.add(img, "s/one")
    two = wrong(bad, img, "s/other", lambda m: m.update(annotations={"a": "b"}))
    go = held(bad, blob)
    first = host.popen("pull", one)
    eventually(lambda: bad.asked_for("blobs/" + blob), "it has begun")
    second = host.popen("pull", two)
    eventually(lambda: bad.asked_for("s/other/manifests"), "the other has begun")
    time.sleep(0.5)
    go.set()
    for p in (first, second):
        out, err = p.communicate(timeout=20)
        assert p.returncode == 0, err
    assert len(bad.asked_for("blobs/" + blob)) == 1


def test_nobody_waits_for_it(host, bad):
    img = image(1000)
    name = bad.add(img, "s/alone")
    go = held(bad, last_layer(img))
    p = host.popen("pull", name)
    eventually(lambda: bad.asked_for("blobs/" + last_layer(img)), "it has begun")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=10)
    eventually(lambda: not working(), "its job ends")
    action = host.ask("actions", {"newest_first": True, "limit": 5})["actions"]
    assert any(a["verb"] == "pull" and a["result"] == "error" for a in action)
    go.set()
    assert not [i for i in host.ask("image_list").get("images", []) if name in i.get("names", [])]


def test_berthd_dies_in_the_middle(host, bad):
    img = image(3 << 20)
    name, blob = bad.add(img, "s/killed"), last_layer(img)
    go, data = threading.Event(), img.blobs[blob]

    def half(h):
        if h.headers.get("Range"):
            return False
        h.send_response(200)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data[:2 << 20])
        go.wait(30)
        h.close_connection = True
        return True
    bad.on("blobs/" + blob, half)
    p = host.popen("pull", name)
    partial = "%s/images/partial/%s" % (host.state, blob[7:])
    eventually(lambda: os.path.exists(partial) and os.path.getsize(partial) >= 1 << 20, "half of it is there")
    host.restart()                  # the tool asks again by itself
    out, err = p.communicate(timeout=40)
    go.set()
    assert p.returncode == 0, err
    assert b"going on at" in err
    host.berth("run", "--rm", name, "true")


def test_layers_come_side_by_side(host, bad):
    img = image(layers=8)
    name, lock, now, most = bad.add(img, "s/many"), threading.Lock(), [0], [0]
    config = json.loads(img.blobs[img.manifest["digest"]])["config"]["digest"]

    def count(h):
        if config in h.path:        # it comes before all of them
            return False
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        for _ in range(500):        # the others may take their time to come
            if most[0] > 2:
                break
            time.sleep(0.01)
        time.sleep(0.2)
        with lock:
            now[0] -= 1
        return False
    bad.on("/blobs/", count)
    host.berth("pull", name)
    assert 3 <= most[0] <= 4


def test_progress_for_programs(host, bad):
    img = image(3 << 20)
    name = bad.add(img, "p/json")
    lines = [json.loads(line) for line in host.berth("pull", "--format", "json", name).lines]
    assert lines[-1]["image_id"] == img.id and lines[-1]["names"] == [name]
    events = [e for e in lines[:-1] if e["attributes"].get("part") == last_layer(img)]
    states = [e["attributes"]["state"] for e in events]
    assert states[0] == "downloading" and "unpacking" in states and states[-1] == "complete"
    assert int(events[-1]["attributes"]["size_bytes"]) == len(img.blobs[last_layer(img)])
    r = host.berth("pull", "-q", name)
    assert r.err == "" and r.text == img.id


def test_bars_on_a_terminal(host, bad):
    img = image(3 << 20)
    name = bad.add(img, "p/bars")
    main, end = os.openpty()
    p = host.popen("pull", name, stderr=end)
    os.close(end)
    seen = b""
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(main)
    assert p.wait(20) == 0
    p.communicate()
    assert last_layer(img)[7:19].encode() in seen and b"\033[A" in seen and b"downloading" in seen


def test_a_full_disk(place, bad, tmp_path):
    """What does not fit is said before it is fetched; what the disk loses meanwhile ends in an error, and never in an image."""
    state = str(tmp_path / "small")
    os.mkdir(state)
    sh("mount", "-t", "tmpfs", "-o", "size=48m", "none", state)
    try:
        with private_host(options=["--config", place + "/berthd.conf"], state=state) as h:
            name = bad.add(image(46 << 20), "d/large")
            h.refused("pull", name, text="MiB more are needed")
            img = image(16 << 20)
            name, blob = bad.add(img, "d/race"), last_layer(img)

            def fill(handler):
                with open(state + "/other", "wb") as f:
                    f.write(bytes(34 << 20))
                return False
            bad.on("blobs/" + blob, fill)
            h.refused("pull", name, text="MiB more are needed|No space")
            os.unlink(state + "/other")
            bad.reset()
            assert not [i for i in h.ask("image_list").get("images", []) if name in i.get("names", [])]
            h.berth("pull", name)
            h.berth("run", "--rm", name, "cat", "/n1")
            h.berth("image", "rm", name)
    finally:
        sh("umount", "-l", state)
