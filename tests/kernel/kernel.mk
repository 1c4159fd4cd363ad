# check-kernel: what we assume of the kernel (tests/kernel), as root, each program in namespaces of its own. Part of check-system.
# T=x runs the programs whose name contains it. The link rules are those of tests/unit.

KERNEL_ALL := $(patsubst tests/kernel/test_%.c,%,$(wildcard tests/kernel/test_*.c))
KERNELS    := $(if $(T),$(foreach u,$(KERNEL_ALL),$(if $(findstring $(T),$(u)),$(u))),$(KERNEL_ALL))

define kernel_rule
$(SB)/t/kernel_$(1): $(SB)/o/tests/kernel/test_$(1).o $(call archives,$(SB),$(LAYER_cgroup))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CC) -fsanitize=address,undefined -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		-lcmocka $$(call dirs_libs,$(LAYER_cgroup))
endef
$(foreach u,$(KERNEL_ALL),$(eval $(call kernel_rule,$(u))))

check-kernel: $(KERNELS:%=$(SB)/t/kernel_%)
	@$(if $(KERNELS),tests/run-unit $(TEST_TIMEOUT) $(KERNELS:%=$(SB)/t/kernel_%))

check-system: check-kernel

.PHONY: check-kernel
