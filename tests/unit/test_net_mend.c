/* tests/unit/test_net_mend.c - each loss of an interface is followed by one mend that began after it. */
#include "tests/unit/unit.h"

#include "supervisor/net_mend.h"
#include "supervisor/netd.h"
#include "supervisor/network.h"
#include "supervisor/watch.h"

static struct {
	unsigned times;
	netd_done *done;
	void *arg;
	unsigned told;
} asked;

int __wrap_netd_ask(struct supervisor *sv, const Net__NetMessage *m, int fd, netd_done *done, void *arg, struct err *e);
bool __wrap_network_attach(const struct net_holder *h, size_t i, struct arena *a, Net__Attach *to);
void __wrap_watch_publish(struct supervisor *sv, const char *kind, const char *type, const Berth__Meta *meta,
			  const char *reason, const char *const *attributes);

int __wrap_netd_ask(struct supervisor *sv, const Net__NetMessage *m, int fd, netd_done *done, void *arg, struct err *e)
{
	assert_true(m->attach->mend);
	asked.times++;
	asked.done = done;
	asked.arg = arg;
	return 0;
}

bool __wrap_network_attach(const struct net_holder *h, size_t i, struct arena *a, Net__Attach *to)
{
	return true;
}

void __wrap_watch_publish(struct supervisor *sv, const char *kind, const char *type, const Berth__Meta *meta,
			  const char *reason, const char *const *attributes)
{
	asked.told++;
}

static Berth__Meta meta = BERTH__META__INIT;
static Berth__Lease lease = BERTH__LEASE__INIT, *const leases[] = {&lease};

static struct net_stored stored(const struct net_holder *h)
{
	return (struct net_stored){.meta = &meta, .leases = (Berth__Lease **)leases, .n_leases = 1};
}

static int opened(struct net_holder *h)
{
	return dup(0);
}

static const struct net_holder_kind kind = {.noun = "container", .stored = stored, .open = opened};
static struct supervisor sv;
static struct net_holder holder;

static void on_stop(struct timer *t)
{
	loop_stop(&sv.loop, 0);
}

/* What is to be done at once is done. */
static void turn(void)
{
	struct timer stop = {0};

	timer_in(&sv.loop, &stop, NS_PER_MS, on_stop);
	assert_int_equal(loop_run(&sv.loop), 0);
}

static int begin(void **state)
{
	assert_int_equal(loop_init(&sv.loop), 0);
	list_init(&sv.net_holders);
	meta.name = (char *)"c";
	lease.has_id = 1;
	lease.id = 7;
	lease.host_link = (char *)"bt7";
	lease.link = (char *)"eth0";
	holder = (struct net_holder){.sv = &sv, .kind = &kind, .ready = true};
	list_init(&holder.mends);
	list_push(&sv.net_holders, &holder.link);
	asked.times = asked.told = 0;
	return 0;
}

static int end(void **state)
{
	net_mends_drop(&holder);
	loop_fini(&sv.loop);
	return 0;
}

static void one_that_goes_again_while_it_is_made_is_made_once_more(void **state)
{
	net_mend_lost(&sv, "bt7");
	turn();
	assert_int_equal(asked.times, 1);
	net_mend_lost(&sv, "bt7");
	turn();
	assert_int_equal(asked.times, 1); /* the answer comes first */
	asked.done(asked.arg, NULL);
	turn();
	assert_int_equal(asked.times, 2);
	assert_int_equal(asked.told, 0); /* that it is there */
	asked.done(asked.arg, NULL);
	turn();
	assert_int_equal(asked.times, 2);
	assert_int_equal(asked.told, 1);
}

static void what_is_nobodys_or_on_its_way_out_is_left(void **state)
{
	net_mend_lost(&sv, "bt8");
	lease.leaving = 1;
	net_mend_lost(&sv, "bt7");
	lease.leaving = 0;
	turn();
	assert_int_equal(asked.times, 0);
}

static void what_was_to_be_mended_when_nothing_runs_any_more_is_left_to_the_next_start(void **state)
{
	net_mend_lost(&sv, "bt7");
	turn();
	net_mends_settle(&holder);
	assert_false(holder.ready);
	turn();
	assert_int_equal(asked.times, 1);
	assert_true(list_empty(&holder.mends));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_goes_again_while_it_is_made_is_made_once_more, begin, end),
		cmocka_unit_test_setup_teardown(what_is_nobodys_or_on_its_way_out_is_left, begin, end),
		cmocka_unit_test_setup_teardown(
			what_was_to_be_mended_when_nothing_runs_any_more_is_left_to_the_next_start, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
