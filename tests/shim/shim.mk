# check-shim: the real shim, with a test in the part of berthd. As root, in mount, network and cgroup namespaces of its own. Part of
# check-system. BERTH_SHIM_TESTS=pattern runs the tests that fit (cmocka's wildcards).

DRIVER_OBJS := $(SB)/o/tests/shim/driver.o $(call archives,$(SB),proto base)

define shim_rule
$(SB)/t/shim_$(1): $(SB)/o/tests/shim/test_$(1).o $(DRIVER_OBJS)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CC) -fsanitize=address,undefined -o $$@ $$< $$(filter %driver.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		-lcmocka $(shell pkg-config --libs libprotobuf-c) -lpthread
endef
SHIM_TESTS := $(patsubst tests/shim/test_%.c,%,$(wildcard tests/shim/test_*.c))
$(foreach t,$(SHIM_TESTS),$(eval $(call shim_rule,$(t))))

SHIM_RUN := $(strip $(if $(T),$(foreach t,$(SHIM_TESTS),$(if $(findstring $(T),$(t)),$(t))),$(SHIM_TESTS)))

check-shim: $(SHIM_RUN:%=$(SB)/t/shim_%) $(B)/berth-shim
	@$(if $(SHIM_RUN),BERTH_SHIM=$(B)/berth-shim tests/run-unit 120 $(SHIM_RUN:%=$(SB)/t/shim_%))

check-system: check-shim

.PHONY: check-shim
