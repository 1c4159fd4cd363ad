# check-kernel: what we assume of the kernel (tests/kernel), as root, each program in namespaces of its own. Part of check-system.
# T=x runs the programs whose name contains it. They are linked as tests/unit would link a test of that name.

UNIT_DIRS_cgroup := $(LAYER_cgroup)

KERNEL_ALL := $(patsubst tests/kernel/test_%.c,%,$(wildcard tests/kernel/test_*.c))
KERNELS    := $(if $(T),$(foreach u,$(KERNEL_ALL),$(if $(findstring $(T),$(u)),$(u))),$(KERNEL_ALL))

define kernel_rule
$(SB)/t/kernel_$(1): $(SB)/o/tests/kernel/test_$(1).o $(call archives,$(SB),$(call noun_dirs,$(1)))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CC) -fsanitize=address,undefined -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		-lcmocka $$(call noun_libs,$(1))
endef
$(foreach u,$(KERNEL_ALL),$(eval $(call kernel_rule,$(u))))

check-kernel: $(KERNELS:%=$(SB)/t/kernel_%)
	@$(if $(KERNELS),tests/run-unit $(TEST_TIMEOUT) $(KERNELS:%=$(SB)/t/kernel_%))

check-system: check-kernel

.PHONY: check-kernel
