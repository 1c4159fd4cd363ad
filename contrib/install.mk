# make install [DESTDIR=…] [PREFIX=/usr]: programs, units, the AppArmor profile (loaded too, where AppArmor is active), manual pages,
# completions. berth-job, berth-net and berth-dns lie beside berthd, which looks for them there.

BINDIR     ?= $(PREFIX)/bin
SBINDIR    ?= $(PREFIX)/sbin
LIBEXECDIR ?= $(PREFIX)/libexec/berth
UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSUSERS   ?= $(PREFIX)/lib/sysusers.d
MANDIR     ?= $(PREFIX)/share/man
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR     ?= $(PREFIX)/share/zsh/vendor-completions
APPARMOR   ?= /etc/apparmor.d
INSTALL    ?= install

UNITS_IN := berthd berth-tree berth-shutdown berth-gateway
into      = $(DESTDIR)$(1)

install: $(PROGRAMS) $(MAN_PAGES)
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)$(INSTALL) -d $(call into,$(BINDIR)) $(call into,$(SBINDIR)) $(call into,$(LIBEXECDIR)) $(call into,$(UNITDIR)) $(call into,$(SYSUSERS))
	$(Q)$(INSTALL) -s -m 0755 $(B)/berth $(call into,$(BINDIR))/berth
	$(Q)$(INSTALL) -s -m 0755 $(B)/berthd $(B)/berth-job $(B)/berth-fetch $(B)/berth-net $(B)/berth-dns $(call into,$(LIBEXECDIR))
	$(Q)$(INSTALL) -s -m 0755 $(B)/berth-gateway $(call into,$(SBINDIR))/berth-gateway
	$(Q)$(INSTALL) -m 0755 contrib/systemd/hold-tree $(call into,$(LIBEXECDIR))
	$(Q)ln -sfr $(call into,$(LIBEXECDIR))/berthd $(call into,$(SBINDIR))/berthd
	$(Q)for unit in $(UNITS_IN); do \
		sed 's,@LIBEXECDIR@,$(LIBEXECDIR),;s,@BINDIR@,$(BINDIR),;s,@SBINDIR@,$(SBINDIR),' contrib/systemd/$$unit.service.in >$(call into,$(UNITDIR))/$$unit.service || exit 1; \
		chmod 0644 $(call into,$(UNITDIR))/$$unit.service; done
	$(Q)$(INSTALL) -m 0644 contrib/systemd/berth.sysusers $(call into,$(SYSUSERS))/berth.conf
	$(Q)$(INSTALL) -D -m 0644 contrib/apparmor/berth-default $(call into,$(APPARMOR))/berth-default
	$(Q)[ -n "$(DESTDIR)" ] || ! command -v apparmor_parser >/dev/null || \
		[ "$$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || apparmor_parser -r $(APPARMOR)/berth-default
	$(Q)for page in $(MAN_PAGES); do \
		$(INSTALL) -D -m 0644 $$page $(call into,$(MANDIR))/man$${page##*.}/$${page##*/} || exit 1; done
	$(Q)[ ! -f contrib/completions/berth.bash ] || $(INSTALL) -D -m 0644 contrib/completions/berth.bash $(call into,$(BASHDIR))/berth
	$(Q)[ ! -f contrib/completions/_berth ] || $(INSTALL) -D -m 0644 contrib/completions/_berth $(call into,$(ZSHDIR))/_berth

check-install: $(PROGRAMS) $(MAN_PAGES)
	@B=$(B) MAN_PAGES='$(MAN_PAGES)' tests/install

check-system: check-install

.PHONY: install check-install
