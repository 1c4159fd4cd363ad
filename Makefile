# berth: the whole build. Which program is made of what is the list below; there is no configure and no recursion.
#
#   make            build/berthd build/berth-shim build/berth-job build/berth-net build/berth-dns build/berth build/berth-gateway
#   make demo       see it work, as root on a fresh Debian 12 (installs what is missing)
#   make check      all tests: check-unit, check-system (root), check-vm (QEMU)
#   V=1 shows the commands; SAN=1 builds with sanitizers in a folder of its own; CC=clang, B=folder as you like.

CC      ?= gcc
MUSL_CC ?= musl-gcc
V       ?= 0
SAN     ?= 0
B       ?= build$(if $(filter 1,$(SAN)),-san)
PREFIX  ?= /usr
VERSION := 0.1.0
Q       := $(if $(filter 1,$(V)),,@)
say      = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)')

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

# ---------------------------------------------------------------- who is made of what

BERTHD_DIRS := base proto cgroup supervisor
JOB_DIRS    := base proto image job
FETCH_DIRS  := base proto fetch
NET_DIRS    := base proto net
DNS_DIRS    := base proto dns
CTL_DIRS    := base proto ctl
# The core and one folder for each dialect.
GATEWAY_DIRS := base proto gateway $(patsubst %/,%,$(wildcard gateway/*/))
# The shim is static musl and takes only what it needs: no libcgroup, no libseccomp, no libcap, no JSON.
SHIM_FILES  := $(wildcard shim/*.c) base/err.c base/own.c base/loop.c base/str.c base/text.c base/file.c base/log.c proto/wire.c

PROTOS := berth shim net dns
pc      = $(shell pkg-config $(1) $(2))

BERTHD_PKGS := libcgroup libseccomp libcap sqlite3 libprotobuf-c jansson libcrypto
JOB_PKGS    := libarchive libisal libzstd libcrypto jansson libprotobuf-c
FETCH_PKGS  := libcurl libcrypto jansson libprotobuf-c
NET_PKGS    := libmnl libnftables libprotobuf-c
DNS_PKGS    := libprotobuf-c
CTL_PKGS    := smartcols jansson libprotobuf-c
GATEWAY_PKGS := libmicrohttpd jansson libprotobuf-c

# ---------------------------------------------------------------- flags

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wwrite-strings \
	-Wformat=2 -Wvla -Wundef -Wno-missing-field-initializers -Wno-unused-parameter
OPT  ?= -O2 -g
comma := ,
SANFLAGS := $(if $(filter 1,$(SAN)),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
CPPFLAGS += -D_GNU_SOURCE -DBERTH_VERSION='"$(VERSION)"' -I. -I$(B)/gen
CFLAGS   += -std=gnu17 $(OPT) $(WARN) -fstack-protector-strong $(SANFLAGS)
LDFLAGS  += -Wl,-z,relro,-z,now $(SANFLAGS)
SHIM_CFLAGS  := -std=gnu17 -Os -g $(WARN) -static -fno-pie -fno-stack-protector -ffunction-sections -fdata-sections \
	-idirafter /usr/include -idirafter /usr/include/$(shell uname -m)-linux-gnu
SHIM_LDFLAGS := -static -no-pie -Wl,--gc-sections -Wl,-z,noseparate-code -Wl,-z,norelro

# ---------------------------------------------------------------- programs

PROGRAMS := $(B)/berthd $(B)/berth-shim $(B)/berth-job $(B)/berth-fetch $(B)/berth-net $(B)/berth-dns $(B)/berth $(B)/berth-gateway
all: $(PROGRAMS)

GEN_C := $(PROTOS:%=$(B)/gen/proto/%.pb-c.c)
GEN_H := $(GEN_C:.c=.h)
.SECONDARY: $(GEN_C) $(GEN_H)

objects      = $(patsubst %.c,$(B)/o/%.o,$(foreach d,$(1),$(wildcard $(d)/*.c)))
GEN_OBJS    := $(PROTOS:%=$(B)/o/gen/%.pb-c.o)
# Names of images, and whose credentials are for them.
NAME_OBJS   := $(B)/o/image/reference.o $(B)/o/image/authfile.o
BERTHD_OBJS := $(call objects,$(BERTHD_DIRS)) $(B)/o/image/reference.o $(B)/o/image/change.o $(B)/o/image/words.o $(GEN_OBJS) $(B)/o/supervisor/shim_blob.o
JOB_OBJS    := $(call objects,$(JOB_DIRS)) $(GEN_OBJS)
FETCH_OBJS  := $(call objects,$(FETCH_DIRS)) $(NAME_OBJS) $(B)/o/image/space.o $(GEN_OBJS)
NET_OBJS    := $(call objects,$(NET_DIRS)) $(GEN_OBJS)
DNS_OBJS    := $(call objects,$(DNS_DIRS)) $(GEN_OBJS)
CTL_OBJS    := $(call objects,$(CTL_DIRS)) $(NAME_OBJS) $(B)/o/gen/berth.pb-c.o
GATEWAY_OBJS := $(call objects,$(GATEWAY_DIRS)) $(GEN_OBJS)
SHIM_OBJS   := $(SHIM_FILES:%.c=$(B)/m/%.o) $(B)/m/gen/shim.pb-c.o

$(B)/berthd: $(BERTHD_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pc,--libs,$(BERTHD_PKGS)) -lpthread

$(B)/berth-job: $(JOB_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pc,--libs,$(JOB_PKGS))

$(B)/berth-fetch: $(FETCH_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pc,--libs,$(FETCH_PKGS))

$(B)/berth-net: $(NET_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pc,--libs,$(NET_PKGS))

# libresolv is glibc's: ns_parse.
$(B)/berth-dns: $(DNS_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pc,--libs,$(DNS_PKGS)) -lresolv

# Started for each command: a tenth of its start is looking for and linking libraries, so two that are small come along.
CTL_A := $(foreach a,libjansson libprotobuf-c,$(shell $(CC) -print-file-name=$(a).a))
$(B)/berth: $(CTL_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pc,--libs,smartcols) $(CTL_A)

$(B)/berth-gateway: $(GATEWAY_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pc,--libs,$(GATEWAY_PKGS))

# libprotobuf-c.a needs nothing of glibc's that musl lacks, so the shim can have it.
PROTOBUF_C_A := $(shell gcc -print-file-name=libprotobuf-c.a)
$(B)/berth-shim: $(SHIM_OBJS)
	$(call say,LINK,$@)
	$(Q)$(MUSL_CC) $(SHIM_LDFLAGS) -o $@ $^ $(PROTOBUF_C_A)

# berthd carries its shim inside: an upgrade can never mix the two.
$(B)/o/supervisor/shim_blob.o: $(B)/berth-shim
	@mkdir -p $(@D)
	$(call say,EMBED,$<)
	$(Q)strip -o $(B)/o/shim.stripped $<
	$(Q)printf '.section .rodata\n.globl berth_shim_start\n.globl berth_shim_end\n.balign 16\nberth_shim_start:\n.incbin "%s"\nberth_shim_end:\n.section .note.GNU-stack,"",@progbits\n' \
		$(B)/o/shim.stripped | $(CC) -c -x assembler -o $@ -

# ---------------------------------------------------------------- rules

$(B)/gen/proto/%.pb-c.c $(B)/gen/proto/%.pb-c.h &: proto/%.proto
	@mkdir -p $(B)/gen
	$(call say,PROTOC,$<)
	$(Q)protoc-c --c_out=$(B)/gen $<

$(B)/o/%.o: %.c | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/o/gen/%.o: $(B)/gen/proto/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -W%,$(CFLAGS)) -MMD -MP -c -o $@ $<

$(B)/m/%.o: %.c | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$< (musl))
	$(Q)$(MUSL_CC) $(CPPFLAGS) $(SHIM_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/m/gen/%.o: $(B)/gen/proto/%.c
	@mkdir -p $(@D)
	$(call say,CC,$< (musl))
	$(Q)$(MUSL_CC) $(CPPFLAGS) $(filter-out -W%,$(SHIM_CFLAGS)) -MMD -MP -c -o $@ $<

-include $(shell find $(B) -name '*.d' 2>/dev/null)

include tests/tests.mk bench/bench.mk man/man.mk contrib/install.mk
-include tests/system/system.mk contrib/demo.mk

clean:
	rm -rf build build-san build-fuzz build-clang

.PHONY: all clean
