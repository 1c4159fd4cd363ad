# All tests. Included by the Makefile.
#
#   make check              everything
#   make check-unit [T=x]   tests/unit/test_*x*: cmocka under ASan and UBSan; with T empty also the layers, HACKING.md's map, the format and whether the mutations apply. Seconds, no root needed
#   make check-fuzz [T=x]   tests/fuzz/fuzz_*x* for FUZZ_SECONDS each; `make fuzz` only builds them
#   make check-system (tests/system/system.mk), check-vm (tests/vm/vm.mk)
#
# A test or harness is linked with the folder that its noun lives in (test_str: base/str.c, so base; test_shim_x, test_ctl_x, test_job_x, test_dns_x,
# test_gateway_x and test_zun_x: that program) and those below it, main.c left out; UNIT_DIRS_<name> says otherwise where that does not fit.
# UNIT_WRAP_<name> names functions to be wrapped (ld --wrap), UNIT_PKGS_<name> further libraries. A noun found in no folder gets all of berthd.

T            ?=
FUZZ_SECONDS ?= 3
FUZZ_CC      ?= clang
TEST_TIMEOUT ?= 60

SB := $(patsubst %-san,%,$(B))-san
FB := $(patsubst %-san,%,$(B))-fuzz

check: check-unit check-fuzz check-system check-vm

# ---------------------------------------------------------------- what is linked with what

LAYER_base       := base
LAYER_proto      := proto base
LAYER_cgroup     := cgroup proto base
LAYER_image      := image proto base
LAYER_supervisor := supervisor cgroup image proto base
LAYER_shim       := shim proto base
LAYER_job        := job image proto base
LAYER_fetch      := fetch image proto base
LAYER_net        := net proto base
LAYER_dns        := dns proto base
LAYER_ctl        := ctl image proto base
LAYER_gateway    := $(filter-out base proto,$(GATEWAY_DIRS)) proto base
LAYER_zun        := $(LAYER_gateway)

PKGS_proto      := libprotobuf-c
PKGS_cgroup     := libcgroup
PKGS_image      := libarchive libisal libzstd libcrypto jansson
PKGS_supervisor := $(BERTHD_PKGS)
PKGS_job        := $(JOB_PKGS)
PKGS_fetch      := $(FETCH_PKGS)
PKGS_net        := $(NET_PKGS)
PKGS_dns        := $(DNS_PKGS)
PKGS_ctl        := $(CTL_PKGS)
PKGS_gateway    := $(GATEWAY_PKGS)

# The folder of a noun: its program by prefix, else the first that has a file of that name.
noun_folder = $(firstword $(filter $(firstword $(subst _, ,$(1))),shim ctl job fetch gateway zun dns) \
	$(foreach d,base proto cgroup image supervisor,$(if $(wildcard $(d)/$(1).[ch]),$(d))) supervisor)
noun_dirs   = $(or $(UNIT_DIRS_$(1)),$(LAYER_$(call noun_folder,$(1))))
# Libraries of these folders and of the test itself (UNIT_PKGS_<name>).
noun_pkgs   = $(sort $(foreach d,$(call noun_dirs,$(1)),$(PKGS_$(d))) $(UNIT_PKGS_$(1)))
noun_libs   = $(if $(call noun_pkgs,$(1)),$(shell pkg-config --libs $(call noun_pkgs,$(1)))) -lpthread -lm -lresolv
archives    = $(foreach d,$(2),$(1)/lib/$(d).a)
dir_objects = $(patsubst %.c,$(1)/o/%.o,$(filter-out %/main.c,$(wildcard $(2)/*.c))) \
	$(if $(filter proto,$(2)),$(PROTOS:%=$(1)/o/gen/%.pb-c.o)) $(if $(filter supervisor,$(2)),$(1)/o/supervisor/no_shim.o)

UNIT_DIRS_net_announce := $(LAYER_net)
UNIT_DIRS_net_closer := $(LAYER_net)
UNIT_DIRS_net_group := $(LAYER_net)
UNIT_DIRS_net_batch := $(LAYER_net)
UNIT_DIRS_net_gone := $(LAYER_net)
UNIT_DIRS_net_refused := $(LAYER_net)
UNIT_DIRS_net_remover := $(LAYER_net)
UNIT_DIRS_net_watch := $(LAYER_net)

# A reader that is not ours.
UNIT_PKGS_json := jansson
# It looks at each filter that is made smaller.
UNIT_WRAP_seccomp_reduce := seccomp_reduce
UNIT_WRAP_net_mend := netd_ask network_attach watch_publish
UNIT_WRAP_net_gone := link_index link_del now_ns
UNIT_WRAP_net_watch := announce_open bind setsockopt now_ns
UNIT_WRAP_net_refused := nl_talk recv flows_end_of
UNIT_WRAP_net_remover := nl_open link_del_at link_is_there link_lock_wait

LAYERS := base proto cgroup image supervisor shim job fetch net dns ctl $(filter-out base proto,$(GATEWAY_DIRS))

# ---------------------------------------------------------------- two kinds of objects: sanitizers, sanitizers and fuzzer

# Under sanitizers gcc sees paths that are none and warns of them; the build proper has these warnings.
TEST_CFLAGS := -std=gnu17 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all \
	-Wno-unknown-warning-option -Wno-format-truncation -Wno-stringop-truncation -Wno-stringop-overflow -Wno-maybe-uninitialized

define object_rules
$(1)/o/%.o: %.c | $$(GEN_H)
	@mkdir -p $$(@D)
	$$(call say,CC,$$< ($(notdir $(1))))
	$$(Q)$(2) $$(CPPFLAGS) $$(WARN) $$(TEST_CFLAGS) $(3) -MMD -MP -c -o $$@ $$<

$(1)/o/gen/%.o: $$(B)/gen/proto/%.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$< ($(notdir $(1))))
	$$(Q)$(2) $$(CPPFLAGS) $$(TEST_CFLAGS) $(3) -MMD -MP -c -o $$@ $$<

# No unit test executes the shim: an empty one keeps them from needing musl.
$(1)/o/supervisor/no_shim.o:
	@mkdir -p $$(@D)
	$$(Q)printf '.section .rodata\n.globl berth_shim_start\n.globl berth_shim_end\nberth_shim_start:\nberth_shim_end:\n.section .note.GNU-stack,"",@progbits\n' \
		| $(2) -c -x assembler -o $$@ -
endef
$(eval $(call object_rules,$(SB),$(CC)))
$(eval $(call object_rules,$(FB),$(FUZZ_CC),-fsanitize=fuzzer-no-link))

define archive_rule
$(1)/lib/$(2).a: $$(call dir_objects,$(1),$(2))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach d,$(LAYERS),$(eval $(call archive_rule,$(SB),$(d))))
$(foreach d,$(LAYERS),$(eval $(call archive_rule,$(FB),$(d))))

-include $(shell find $(SB) $(FB) -name '*.d' 2>/dev/null)

# ---------------------------------------------------------------- unit tests

UNIT_ALL := $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
UNITS    := $(if $(T),$(foreach u,$(UNIT_ALL),$(if $(findstring $(T),$(u)),$(u))),$(UNIT_ALL))

define unit_rule
$(SB)/t/test_$(1): $(SB)/o/tests/unit/test_$(1).o $(call archives,$(SB),$(call noun_dirs,$(1)))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CC) -fsanitize=address,undefined -o $$@ $$< $(UNIT_WRAP_$(1):%=-Wl,--wrap=%) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		-lcmocka $$(call noun_libs,$(1))
endef
$(foreach u,$(UNIT_ALL),$(eval $(call unit_rule,$(u))))

check-unit: $(if $(T),,check-layers check-map check-mutations $(if $(shell command -v clang-format),check-format)) $(UNITS:%=$(SB)/t/test_%)
	@$(if $(UNITS),,echo "no unit test is named *$(T)*" >&2; exit 1)
	@tests/run-unit $(TEST_TIMEOUT) $(UNITS:%=$(SB)/t/test_%)

check-layers:
	$(call say,LAYERS,)
	@awk -f tests/layers.awk $(foreach d,$(LAYERS),$(wildcard $(d)/*.[ch]))

check-map:
	$(call say,MAP,)
	@tests/map $(sort $(foreach d,$(LAYERS),$(firstword $(subst /, ,$(d)))))

# ---------------------------------------------------------------- fuzzing

FUZZ_ALL := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZERS  := $(if $(T),$(foreach u,$(FUZZ_ALL),$(if $(findstring $(T),$(u)),$(u))),$(FUZZ_ALL))

define fuzz_rule
$(FB)/t/fuzz_$(1): $(FB)/o/tests/fuzz/fuzz_$(1).o $(call archives,$(FB),$(call noun_dirs,$(1)))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$$(call noun_libs,$(1))
endef
$(foreach u,$(FUZZ_ALL),$(eval $(call fuzz_rule,$(u))))

fuzz: $(FUZZERS:%=$(FB)/t/fuzz_%)

check-fuzz: fuzz
	@tests/run-fuzz $(FUZZ_SECONDS) $(FB) $(FUZZERS)

# ---------------------------------------------------------------- style

check-format:
	$(call say,FORMAT,)
	@find $(LAYERS) tests bench -name '*.[ch]' | xargs clang-format --dry-run -Werror

check-clang:
	@$(MAKE) --no-print-directory CC=clang B=build-clang all

-include tests/mutations/mutations.mk tests/shim/shim.mk tests/kernel/kernel.mk tests/vm/vm.mk

.PHONY: check check-unit check-layers check-map check-fuzz check-system check-vm check-format check-clang fuzz
