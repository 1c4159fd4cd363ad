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

# The whole system suite, or of it T, in the VM: what is marked native too, which check-vm has no time for. Hours, and it may be stopped: what passed
# stands in DONE, with commit and seconds, and is left out by the next run with the same file. SLOW: as BERTH_SLOW, for a host that has other things to do.
DONE ?= $(B)/soak-vm.done
soak-vm: $(PROGRAMS) $(B)/guest $(B)/resolve
	$(Q)BERTH_BIN=$(B) T='$(T)' PARTS=system BERTH_VM_ALL=1 BERTH_VM_SLOW=$(if $(filter-out 1,$(SLOW)),$(SLOW)) BERTH_VM_DONE=$(abspath $(DONE)) \
		BERTH_VM_MINUTES=$${BERTH_VM_MINUTES:-600} tests/vm/run

.PHONY: check-vm soak-vm soak-power-vm
