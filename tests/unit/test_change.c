/* tests/unit/test_change.c - instructions of a Dockerfile done to a config. */
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "image/change.h"

/* What is in a config, in a line. */
static void show(const Berth__ImageConfig *c, struct buf *b)
{
	struct {
		const char *name;
		char **item;
		size_t n;
	} lists[] = {{"E", c->entrypoint, c->n_entrypoint},
		     {"C", c->command, c->n_command},
		     {"V", c->env, c->n_env},
		     {"P", c->exposed_ports, c->n_exposed_ports},
		     {"M", c->volumes, c->n_volumes}};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t k = 0; k < lists[i].n; k++)
			buf_printf(b, "%s[%s] ", lists[i].name, lists[i].item[k]);
	for (size_t i = 0; i < c->n_labels; i++)
		buf_printf(b, "L[%s=%s] ", c->labels[i]->key, c->labels[i]->value);
	for (size_t i = 0; i < c->n_on_build; i++)
		buf_printf(b, "O[%s] ", c->on_build[i]);
	for (size_t i = 0; c->healthcheck && i < c->healthcheck->n_test; i++)
		buf_printf(b, "H[%s] ", c->healthcheck->test[i]);
	if (c->healthcheck)
		buf_printf(b, "%llu %llu %llu %llu ", (unsigned long long)c->healthcheck->interval_ns,
			   (unsigned long long)c->healthcheck->timeout_ns,
			   (unsigned long long)c->healthcheck->start_period_ns,
			   (unsigned long long)c->healthcheck->retries);
	if (c->user)
		buf_printf(b, "U[%s] ", c->user);
	if (c->workdir)
		buf_printf(b, "W[%s] ", c->workdir);
	if (c->stop_signal)
		buf_printf(b, "S[%s] ", c->stop_signal);
}

static Berth__ImageConfig *config_new(void)
{
	Berth__ImageConfig *c = malloc(sizeof *c);

	berth__image_config__init(c);
	return c;
}

static const struct row {
	const char *change[3];
	const char *want; /* NULL: the last is refused, and changes nothing */
} rows[] = {
	{{"CMD [\"a\", \"b c\"]"}, "C[a] C[b c] "},
	{{"cmd  echo hi  "}, "C[/bin/sh] C[-c] C[echo hi] "},
	{{"CMD [ -f x ] && y"}, "C[/bin/sh] C[-c] C[[ -f x ] && y] "},
	{{"CMD []"}, ""},
	{{"CMD [1]"}, NULL},
	{{"CMD"}, NULL},
	{{"CMD [\"x\"]", "ENTRYPOINT [\"e\"]"}, "E[e] C[x] "},
	{{"ENTRYPOINT [\"e\"]", "CMD x"}, "E[e] C[/bin/sh] C[-c] C[x] "},
	{{"ENTRYPOINT e f"}, "E[/bin/sh] E[-c] E[e f] "},
	{{"ENV A=b"}, "V[A=b] "},
	{{"ENV A b c"}, "V[A=b c] "},
	{{"ENV A=b B=\"c d\" C='e $A' D=f\\ g"}, "V[A=b] V[B=c d] V[C=e $A] V[D=f g] "},
	{{"ENV A=1", "ENV B=$A${A}x C=${A:-no} D=${Z:-yes $A} E=${A:+is} F=${Z:+is} G=\\$A H=\"$A\\\"\" I=$"},
	 "V[A=1] V[B=11x] V[C=1] V[D=yes 1] V[E=is] V[F=] V[G=$A] V[H=1\"] V[I=$] "},
	{{"ENV A=1", "ENV A=2"}, "V[A=2] "},
	{{"ENV A=1", "ENV A=2 B=$A"}, "V[A=2] V[B=1] "},
	{{"ENV A=1", "ENV AB=2"}, "V[A=1] V[AB=2] "},
	{{"ENV A="}, "V[A=] "},
	{{"ENV A"}, NULL},
	{{"ENV"}, NULL},
	{{"ENV =b"}, NULL},
	{{"ENV A=b B"}, NULL},
	{{"ENV A=\"b"}, NULL},
	{{"ENV A=${B"}, NULL},
	{{"ENV A=${B:=c}"}, NULL},
	{{"ENV A=${}"}, NULL},
	{{"LABEL a.b=c \"d e\"=\"f g\""}, "L[a.b=c] L[d e=f g] "},
	{{"LABEL a b c"}, "L[a=b c] "},
	{{"LABEL a=1", "LABEL a=2"}, "L[a=2] "},
	{{"LABEL ''=x"}, NULL},
	{{"EXPOSE 80 53/udp 8000-8002/sctp"}, "P[80/tcp] P[53/udp] P[8000/sctp] P[8001/sctp] P[8002/sctp] "},
	{{"EXPOSE 80", "EXPOSE 80/tcp"}, "P[80/tcp] "},
	{{"EXPOSE 0"}, NULL},
	{{"EXPOSE 65536"}, NULL},
	{{"EXPOSE 5-4"}, NULL},
	{{"EXPOSE 80/icmp"}, NULL},
	{{"EXPOSE -1"}, NULL},
	{{"EXPOSE 1-65535"}, NULL}, /* more than a config may list */
	{{"EXPOSE"}, NULL},
	{{"VOLUME [\"/a\", \"/b\"]"}, "M[/a] M[/b] "},
	{{"VOLUME /a /b"}, "M[/a] M[/b] "},
	{{"VOLUME a"}, NULL},
	{{"VOLUME /"}, NULL},
	{{"VOLUME /a/../b"}, NULL},
	{{"VOLUME []"}, NULL},
	{{"USER a:b"}, "U[a:b] "},
	{{"USER a b"}, NULL},
	{{"USER a", "USER b"}, "U[b] "},
	{{"WORKDIR /a/./b/../c/"}, "W[/a/c] "},
	{{"WORKDIR /a", "WORKDIR b c"}, "W[/a/b c] "},
	{{"WORKDIR x"}, "W[/x] "},
	{{"WORKDIR /../.."}, "W[/] "},
	{{"WORKDIR"}, NULL},
	{{"STOPSIGNAL 9"}, "S[9] "},
	{{"STOPSIGNAL SIGUSR1"}, "S[SIGUSR1] "},
	{{"STOPSIGNAL SIGNONE"}, NULL},
	{{"RUN true"}, NULL},
	{{"ONBUILD RUN make", "onbuild copy . /src  "}, "O[RUN make] O[copy . /src] "},
	{{"ONBUILD"}, NULL},
	{{"ONBUILD RUN"}, NULL},
	{{"ONBUILD ONBUILD RUN true"}, NULL},
	{{"ONBUILD FROM scratch"}, NULL},
	{{"ONBUILD MAINTAINER me"}, NULL},
	{{"HEALTHCHECK NONE"}, "H[NONE] 0 0 0 0 "},
	{{"HEALTHCHECK --interval=30s --timeout=1m --start-period=500ms --retries=3 CMD [\"a\", \"b c\"]"},
	 "H[CMD] H[a] H[b c] 30000000000 60000000000 500000000 3 "},
	{{"HEALTHCHECK CMD [\"a\"]", "HEALTHCHECK cmd curl -f x || exit 1"},
	 "H[CMD-SHELL] H[curl -f x || exit 1] 0 0 0 0 "},
	{{"HEALTHCHECK NONE", "HEALTHCHECK NONE x"}, NULL},
	{{"HEALTHCHECK CMD"}, NULL},
	{{"HEALTHCHECK CMD []"}, NULL},
	{{"HEALTHCHECK true"}, NULL},
	{{"HEALTHCHECK --interval=0 CMD true"}, NULL},
	{{"HEALTHCHECK --retries=0 CMD true"}, NULL},
	{{"HEALTHCHECK --every=1s CMD true"}, NULL},
	{{""}, NULL},
	{{"ENVX A=b"}, NULL},
};

static void test_instructions_do_what_docker_makes_of_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Berth__ImageConfig *config = config_new();
		struct changes c = {.config = config};
		struct err e = {0};
		struct buf before, after;
		int r = 0;

		buf_init(&before, 0);
		buf_init(&after, 0);
		for (size_t k = 0; k < 3 && rows[i].change[k]; k++) {
			assert_row(r == 0, i);
			buf_reset(&before);
			show(config, &before);
			r = change_apply(&c, rows[i].change[k], &e);
		}
		show(config, &after);
		if (rows[i].want && (r || strcmp(after.len ? after.data : "", rows[i].want)))
			fail_msg("row %zu (%s): %d %s: %s", i, rows[i].change[0], r, e.text, after.data);
		if (!rows[i].want) {
			assert_row(r == -EINVAL && e.text[0], i);
			assert_row(before.len == after.len && (!after.len || !strcmp(before.data, after.data)), i);
		}
		buf_fini(&before);
		buf_fini(&after);
		berth__image_config__free_unpacked(config, NULL);
	}
}

/* A fuzzer found that each was compared with all before it. */
static void test_ports_by_the_thousand_are_each_there_once_and_too_many_change_nothing(void **state)
{
	static const char *const some[] = {"EXPOSE 7/udp", "EXPOSE 1-4096/tcp 1-2048/udp 1-4096",
					   "EXPOSE 1-2048/tcp 1-2048/udp 1-2048/sctp"};
	Berth__ImageConfig *config = berth__image_config__unpack(NULL, 0, NULL);
	struct changes c = {.config = config};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		assert_int_equal(change_apply(&c, some[i], &e), 0);
	assert_int_equal(config->n_exposed_ports, 4096 + 2048 + 2048);
	assert_string_equal(config->exposed_ports[0], "7/udp");
	assert_string_equal(config->exposed_ports[1], "1/tcp");
	assert_string_equal(config->exposed_ports[8191], "2048/sctp");
	assert_true(change_apply(&c, "EXPOSE 3000-3001/sctp", &e) < 0);
	assert_string_equal(e.text, "EXPOSE: more than 8192 ports");
	assert_int_equal(config->n_exposed_ports, 8192);
	berth__image_config__free_unpacked(config, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instructions_do_what_docker_makes_of_them),
		cmocka_unit_test(test_ports_by_the_thousand_are_each_there_once_and_too_many_change_nothing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
