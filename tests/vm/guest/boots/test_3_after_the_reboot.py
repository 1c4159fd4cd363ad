"""Third boot, after systemctl reboot: every container had its signal and its time, and the policies decide again."""

from common import assert_policies, runs_of

from conftest import eventually, nothing_is_stale, run


def test_pain_15_every_container_had_its_signal_and_its_time(machine):
    for name in ("polite", "polite-never", "paused", "polite-member", "usr1"):
        end = machine.status(name)["last_exit"]
        assert end["known"] and end["code"] == 7, (name, end)
        lines = machine.log(name).split()
        assert lines[:3] == ["up", "asked", "bye"], (name, lines)
    # What it did with its time reached the disk: file systems were still there.
    found = machine("run", "--rm", "-v", "data:/data", "busybox", "ls", "/data").stdout.split()
    assert len(found) == 1 + 5, found
    end = machine.status("hurt")["last_exit"]
    assert end["known"] and end["signal"] == 9 and machine.log("hurt").split()[:2] == ["up", "asked"]


def test_policies_decide_after_the_reboot(machine):
    assert_policies(machine)
    for name in ("polite", "paused"):
        machine.wait_state(name, "running")
    for name in ("polite-never", "polite-member", "usr1", "hurt"):
        assert machine.state(name) == "exited", name
    assert machine.status("always")["last_exit"]["code"] == 143
    eventually(lambda: machine.status("broken").get("restart_count", 0) > 0, "it is tried again")
    assert len(runs_of(machine.log("counter"))) == 2


def test_units_ended_in_order_and_nobody_had_to_be_killed(machine):
    text = run("journalctl", "-b", "-1", "-o", "cat", "-u", "berthd", "-u", "berth-tree", "-u", "berth-shutdown").stdout
    order = ["the host goes down", "nothing runs any more", "ends on signal 15", "Stopped berthd.service", "Stopped berth-tree.service"]
    at = [text.find(words) for words in order]
    assert -1 not in at and at == sorted(at), (at, text[-3000:])
    assert "SIGKILL" not in text and "timed out" not in text, text[-3000:]


def test_the_reboot_left_nothing_stale(machine):
    nothing_is_stale(machine)
    for name in machine.names():
        machine("rm", "-f", name)
    machine("pod", "rm", "pod")
    machine("volume", "rm", "data")
    nothing_is_stale(machine)
