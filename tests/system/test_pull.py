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
    host.refused("pull", name, text="certificate")
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
