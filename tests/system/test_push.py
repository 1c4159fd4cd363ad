"""Images sent to registries: Debian's docker-registry, read again by skopeo, podman and berth itself; and one that does wrong."""

import base64
import json
import os
import shutil
import subprocess

import pytest

import registry as reg
from conftest import private_host
from host import DIR, IN_VM, eventually
from test_pull import image, needs_docker_registry, sh, working

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
        f.write("certs_dir = %s/certs.d\nauth_file = %s/auth.json\npull_stall = 2s\n" % (place, place))
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
