# check-vm: the system suite, and tests of our own (tests/vm/guest), in a machine that boots Debian with systemd and all of cgroup v2.
# T=x runs the tests whose name contains it, PARTS="boot kernel systemd system" only these parts. BERTH_VM_ACCEL=kvm|tcg overrules what tests/vm/run finds out.

check-vm: $(PROGRAMS) $(B)/guest $(B)/resolve $(KERNEL_ALL:%=$(SB)/t/kernel_%)
	$(Q)BERTH_BIN=$(B) BERTH_KERNEL_TESTS='$(KERNEL_ALL:%=$(SB)/t/kernel_%)' T='$(T)' PARTS='$(PARTS)' tests/vm/run

# In `make -j check` the parts that measure time do not run beside each other.
ifneq (,$(filter check,$(MAKECMDGOALS)))
check-shim: | check-unit check-fuzz
check-kernel: | check-shim
check-system: | check-kernel
check-vm: | check-system
endif

# Power cuts of a machine in mid-pull (tests/vm/power); its record goes to tests/campaigns/. CUTS=n SEED=n
soak-power-vm: $(PROGRAMS) $(B)/guest
	$(Q)contrib/packages vm run test && tests/vm/image tests/vm/cache
	BERTH_BIN=$(B) BERTH_CUTS=$(CUTS) BERTH_SEED=$(SEED) \
		BERTH_CAMPAIGN=$(CURDIR)/tests/campaigns/$(shell date -u +%Y-%m-%d)-power-vm.md /usr/bin/python3 tests/vm/power/campaign.py

.PHONY: check-vm soak-power-vm
