"""AppArmor, which this kernel has and systemd has fed: the label is on what it should be on, and denies."""

import json

import pytest

from conftest import eventually, read, run

PROFILE = "/etc/apparmor.d/berth-default"
OTHER = """
abi <abi/3.0>,
profile berth-test-other flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
  deny /etc/hostname r,
}
"""


def parser(*args, text=None):
    run("apparmor_parser", *args, input=text)


def label_of(berth, name):
    return read("/proc/%d/attr/current" % berth.status(name)["pid"]).strip()


def check(berth):
    items = json.loads(berth("check", "--format", "json", code=None).stdout)
    return next(i for i in items if i["name"] == "AppArmor")


def test_the_default_label_is_on_containers_execs_and_their_children(berth):
    for name, flags in {"plain": [], "init": ["--init"], "nnp": ["--security-opt", "no-new-privileges"], "user": ["-u", "1000"],
                        "userns": ["--userns", "auto"], "caps": ["--cap-add", "ALL"]}.items():
        berth("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")
        assert label_of(berth, name) == "berth-default (enforce)", name
        assert berth.status(name)["in_force"]["apparmor"] == "berth-default"
        assert berth("exec", name, "sh", "-c", "cat /proc/self/attr/current").stdout.strip() == "berth-default (enforce)", name
    berth("exec", "plain", "kill", "-0", "1")
    berth("stop", "-t", "100", "init")
    assert berth.status("init")["last_exit"]["code"] == 143


def test_unconfined_and_privileged_have_none(berth):
    for name, flags in {"asked": ["--security-opt", "apparmor=unconfined"], "privileged": ["--privileged"]}.items():
        berth("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")
        assert label_of(berth, name) == "unconfined"
        assert berth.status(name)["in_force"]["apparmor"] == "unconfined"


@pytest.mark.parametrize("what", ["mount -t tmpfs none /mnt", "mount -t proc none /mnt", "head -c 8 /proc/kpagecount"])
def test_the_default_label_denies_what_capabilities_would_allow(berth, what):
    args = ["--rm", "--cap-add", "ALL", "--security-opt", "seccomp=unconfined"]
    command = ["busybox", "sh", "-c", "mkdir -p /mnt; " + what + " >/dev/null"]
    p = berth("run", *args, *command, code=None)
    assert p.returncode and "ermission denied" in p.stderr, p
    berth("run", *args, "--security-opt", "apparmor=unconfined", *command)


def test_the_default_label_denies_an_exec_too(berth):
    berth("run", "-d", "--name", "c", "--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "busybox", "sleep", "1000")
    p = berth("exec", "c", "sh", "-c", "mkdir /mnt; mount -t tmpfs none /mnt", code=None)
    assert p.returncode and "ermission denied" in p.stderr, p
    berth("exec", "--privileged", "c", "sh", "-c", "mount -t tmpfs none /mnt")


def test_a_container_does_not_leave_its_label(berth):
    p = berth("run", "--rm", "--cap-add", "ALL", "busybox", "sh", "-c", "echo changeprofile unconfined >/proc/self/attr/current", code=None)
    assert p.returncode, p


def test_a_profile_of_ones_own_is_applied_and_an_unknown_one_refused(berth):
    parser("-r", text=OTHER)
    flags = ["--security-opt", "apparmor=berth-test-other"]
    berth("run", "-d", "--name", "c", *flags, "busybox", "sleep", "1000")
    assert label_of(berth, "c") == "berth-test-other (enforce)"
    p = berth("exec", "c", "cat", "/etc/hostname", code=None)
    assert p.returncode and "ermission denied" in p.stderr, p
    parser("-R", text=OTHER)
    p = berth("run", "--name", "d", *flags, "busybox", "true", code=125)
    assert "no AppArmor profile 'berth-test-other' is loaded" in p.stderr, p
    assert "d" not in berth.names()


def test_without_the_profile_there_is_no_label_and_check_says_so(berth):
    berth("run", "-d", "--name", "before", "busybox", "sleep", "1000")
    parser("-R", PROFILE)
    try:
        assert check(berth)["result"] == "degraded" and "apparmor_parser -r" in check(berth)["remedy"]
        berth("run", "-d", "--name", "without", "busybox", "sleep", "1000")
        assert berth.status("without")["in_force"]["apparmor"] == "unconfined"
    finally:
        parser("-r", PROFILE)
    assert check(berth)["result"] == "ok"
    berth("run", "-d", "--name", "after", "busybox", "sleep", "1000")
    assert label_of(berth, "after") == "berth-default (enforce)"
    assert berth("exec", "without", "cat", "/proc/self/attr/current").stdout.strip() == "unconfined"
