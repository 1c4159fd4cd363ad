"""What the three boots know of each other: names, and what a container does."""

POLICIES = {"always": "always", "unless": "unless-stopped", "failure": "on-failure", "never": "no"}
RUN_AGAIN = ("always", "unless", "failure", "member", "counter", "always-stopped")
STAY_STOPPED = ("unless-stopped", "failure-stopped", "never-stopped")
COUNT = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done"


def assert_policies(berth):
    for name in RUN_AGAIN:
        berth.wait_state(name, "running")
        berth("exec", name, "true")
    assert {n: berth.state(n) for n in STAY_STOPPED} == {n: "stopped" for n in STAY_STOPPED}
    assert berth.state("never") == "exited"


def runs_of(text):
    """The numbers that COUNT wrote, a list for each time that it ran."""
    runs = []
    for line in text.splitlines():
        if line == "1":
            runs.append([])
        runs[-1].append(int(line))
    return runs
