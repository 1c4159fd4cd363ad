/* tests/unit/test_peer.c - queues are bounded, the last words are heard, and gone() is said once and from the loop. */
#include "tests/unit/unit.h"

#include "proto/peer.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct loop loop;
static struct peer peer;
static int other, fds_before;

static struct seen {
	int records, gone, drained, reason, fds;
	bool in_send, freed;
	char last[64];
	int stop_after; /* records */
	int answer;	/* what record() returns */
	void (*on_record)(struct peer *p);
} seen;

static int on_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	assert_int_equal(seen.gone, 0);
	seen.records++;
	seen.fds += (int)fds->n;
	snprintf(seen.last, sizeof seen.last, "%.*s", (int)len, (const char *)data);
	if (seen.records == seen.stop_after)
		loop_stop(&loop, 1);
	if (seen.on_record)
		seen.on_record(p);
	return seen.answer;
}

static void on_gone(struct peer *p, int reason)
{
	assert_false(seen.in_send);
	seen.gone++;
	seen.reason = reason;
	peer_fini(p);
	loop_stop(&loop, 2);
}

static void on_drained(struct peer *p)
{
	seen.drained++;
	loop_stop(&loop, 3);
}

static const struct peer_ops ops = {on_record, on_gone, on_drained};

static int setup(void **state)
{
	int pair[2];

	seen = (struct seen){0};
	fds_before = open_fds();
	if (loop_init(&loop) < 0 || wire_pair(pair) < 0)
		return -1;
	other = pair[1];
	return peer_init(&peer, &loop, pair[0], &ops, 1 << 20, 8);
}

static int teardown(void **state)
{
	peer_fini(&peer);
	peer_fini(&peer);
	close_fd(&other);
	loop_fini(&loop);
	return open_fds() == fds_before ? 0 : -1;
}

static void on_end(struct timer *t)
{
	loop_stop(&loop, 0);
}

/* Runs the loop until something stops it, 50 ms at most. */
static int run(void)
{
	struct timer end = {0};
	int r;

	timer_in(&loop, &end, 50 * NS_PER_MS, on_end);
	r = loop_run(&loop);
	timer_del(&end);
	return r;
}

static int send_text(const char *text)
{
	int r;

	seen.in_send = true;
	r = peer_send(&peer, text, strlen(text), NULL, 0);
	seen.in_send = false;
	return r;
}

/* Sends until the socket is full and the first record is queued. */
static void fill(const int *fds, unsigned n_fds)
{
	static char data[WIRE_MAX];

	while (!peer.out_records)
		assert_int_equal(peer_send(&peer, data, sizeof data, fds, n_fds), 0);
}

static int receive_all(unsigned *n_fds)
{
	static char buf[WIRE_MAX];
	struct wire_fds fds;
	size_t len;
	int n = 0;

	*n_fds = 0;
	while (wire_recv(other, buf, sizeof buf, &len, &fds) == 0) {
		*n_fds += fds.n;
		wire_fds_close(&fds);
		n++;
	}
	return n;
}

static void records_come_with_their_descriptors(void **state)
{
	assert_int_equal(wire_send(other, "hello", 5, &other, 1), 0);
	seen.stop_after = 1;
	assert_int_equal(run(), 1);
	assert_string_equal(seen.last, "hello");
	assert_int_equal(seen.fds, 1);
	/* What it did not take was closed. */
	assert_int_equal(open_fds(), fds_before + 3);
}

static void a_send_goes_at_once_when_there_is_room(void **state)
{
	unsigned fds;

	assert_int_equal(send_text("x"), 0);
	assert_int_equal(peer.out_records, 0);
	assert_int_equal(receive_all(&fds), 1);
	assert_int_equal(peer.source.events, EPOLLIN);
}

static void the_queue_is_bounded_by_records_and_takes_nothing_over_it(void **state)
{
	unsigned fds;
	int before, n;

	fill(NULL, 0);
	while (send_text("more") == 0)
		;
	assert_int_equal(peer.out_records, 8);
	before = open_fds();
	assert_int_equal(peer_send(&peer, "x", 1, &other, 1), -ENOBUFS);
	assert_int_equal(peer.out_records, 8);
	assert_int_equal(open_fds(), before);
	assert_int_equal(seen.gone, 0);
	/* The reader comes back: all that was queued arrives, and once it is said. */
	n = receive_all(&fds);
	assert_int_equal(run(), 3);
	n = receive_all(&fds);
	assert_int_equal(n, 8);
	assert_int_equal(seen.drained, 1);
	assert_int_equal(peer.out_bytes, 0);
	assert_int_equal(peer.source.events, EPOLLIN);
}

static void the_queue_is_bounded_by_bytes(void **state)
{
	peer.max_bytes = WIRE_MAX + 10;
	fill(NULL, 0);
	assert_int_equal(send_text("12345678901"), -ENOBUFS);
	assert_int_equal(send_text("1234567890"), 0);
	assert_int_equal(send_text("1"), -ENOBUFS);
}

static void order_is_kept_through_the_queue(void **state)
{
	static char buf[WIRE_MAX];
	struct wire_fds fds;
	size_t len = 0;
	unsigned n;

	fill(NULL, 0);
	assert_int_equal(send_text("one"), 0);
	receive_all(&n);
	/* There is room again, but what is queued goes first. */
	assert_int_equal(send_text("two"), 0);
	assert_int_equal(run(), 3);
	assert_int_equal(wire_recv(other, buf, sizeof buf, &len, &fds), 0);
	assert_int_equal(len, WIRE_MAX);
	assert_int_equal(wire_recv(other, buf, sizeof buf, &len, &fds), 0);
	assert_memory_equal(buf, "one", 3);
	assert_int_equal(wire_recv(other, buf, sizeof buf, &len, &fds), 0);
	assert_memory_equal(buf, "two", 3);
}

static void queued_descriptors_outlive_their_sender(void **state)
{
	static char buf[WIRE_MAX];
	struct wire_fds fds;
	struct stat sent, got;
	size_t len;
	unsigned n;
	int p[2];

	fill(NULL, 0);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(fstat(p[0], &sent), 0);
	assert_int_equal(peer_send(&peer, "pipe", 4, p, 1), 0);
	close(p[0]);
	close(p[1]);
	receive_all(&n);
	assert_int_equal(run(), 3);
	do
		assert_int_equal(wire_recv(other, buf, sizeof buf, &len, &fds), 0);
	while (len != 4);
	assert_int_equal(fds.n, 1);
	assert_int_equal(fstat(fds.fd[0], &got), 0);
	assert_int_equal(got.st_ino, sent.st_ino);
	wire_fds_close(&fds);
}

static void a_full_descriptor_table_refuses_to_queue(void **state)
{
	struct rlimit limit, full;
	int list[3] = {other, other, other}, lowest, r;

	fill(NULL, 0);
	lowest = dup(other);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	full = limit;
	full.rlim_cur = (rlim_t)lowest + 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
	r = peer_send(&peer, "x", 1, list, 3);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(lowest);
	assert_int_equal(r, -EMFILE);
	assert_int_equal(peer.out_records, 1);
	assert_int_equal(open_fds(), fds_before + 3);
}

static void what_could_never_be_sent_is_not_queued(void **state)
{
	static char big[WIRE_MAX + 1];
	int list[WIRE_FDS_MAX + 1] = {0};

	for (int full = 0; full < 2; full++) {
		assert_int_equal(peer_send(&peer, big, sizeof big, NULL, 0), -EMSGSIZE);
		assert_int_equal(peer_send(&peer, big, 0, NULL, 0), -EINVAL);
		assert_int_equal(peer_send(&peer, big, 1, list, WIRE_FDS_MAX + 1), -EINVAL);
		fill(NULL, 0);
	}
	assert_int_equal(peer.out_records, 1);
}

static void queued_descriptors_are_closed_with_the_peer(void **state)
{
	fill(&other, 1);
	assert_int_equal(peer_send(&peer, "x", 1, &other, 1), 0);
	assert_int_equal(open_fds(), fds_before + 3 + 2);
	peer_fini(&peer);
	assert_int_equal(open_fds(), fds_before + 2);
}

static void a_closed_peer_is_gone_once(void **state)
{
	close_fd(&other);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.gone, 1);
	assert_int_equal(seen.reason, 0);
	assert_int_equal(run(), 0);
	assert_int_equal(seen.gone, 1);
}

static void a_failed_send_says_gone_from_the_loop_and_only_once(void **state)
{
	close_fd(&other);
	assert_int_equal(send_text("x"), 0);
	assert_int_equal(send_text("y"), 0);
	assert_int_equal(seen.gone, 0);
	assert_int_equal(run(), 2);
	assert_int_equal(run(), 0);
	assert_int_equal(seen.gone, 1);
}

static void all_that_a_dead_peer_said_is_delivered_first(void **state)
{
	char text[16];

	/* More than one wakeup reads, and unread records of ours so that the kernel says reset. */
	assert_int_equal(send_text("unread"), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof text, "word %d", i);
		assert_int_equal(wire_send(other, text, strlen(text), NULL, 0), 0);
	}
	close_fd(&other);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.records, 50);
	assert_string_equal(seen.last, "word 49");
	assert_int_equal(seen.reason, 0);
}

static void last_words_are_heard_though_a_send_failed_before(void **state)
{
	for (int i = 0; i < 50; i++)
		assert_int_equal(wire_send(other, "word", 4, NULL, 0), 0);
	close_fd(&other);
	assert_int_equal(send_text("x"), 0);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.records, 50);
	assert_int_equal(seen.gone, 1);
}

static void last_words_are_heard_though_the_queue_could_not_be_sent(void **state)
{
	fill(NULL, 0);
	assert_int_equal(wire_send(other, "word", 4, NULL, 0), 0);
	close_fd(&other);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.records, 1);
	assert_int_equal(seen.gone, 1);
	assert_int_equal(seen.drained, 0);
}

/* It reads nothing any more but does not close: it is not kept for ever. */
static void a_peer_that_stops_reading_for_good_is_gone_after_a_send(void **state)
{
	assert_int_equal(shutdown(other, SHUT_RD), 0);
	assert_int_equal(send_text("x"), 0);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.gone, 1);
}

static void a_bad_record_ends_the_peer(void **state)
{
	assert_int_equal(wire_send(other, "good", 4, NULL, 0), 0);
	int list[2] = {other, other};
	struct iovec iov = {(void *)"", 0};
	char control[CMSG_SPACE(sizeof list)] = {0};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){CMSG_LEN(sizeof list), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), list, sizeof list);
	assert_int_equal(sendmsg(other, &msg, 0), 0);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.records, 1);
	assert_int_equal(seen.reason, -EPROTO);
}

static void a_negative_answer_drops_the_peer(void **state)
{
	seen.answer = -EBADMSG;
	assert_int_equal(wire_send(other, "a", 1, NULL, 0), 0);
	assert_int_equal(wire_send(other, "b", 1, NULL, 0), 0);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.records, 1);
	assert_int_equal(seen.reason, -EBADMSG);
}

static void drop_now(struct peer *p)
{
	peer_drop(p, -ETIMEDOUT);
	peer_drop(p, -EPERM);
}

static void a_drop_ends_reading_and_keeps_its_first_reason(void **state)
{
	seen.on_record = drop_now;
	for (int i = 0; i < 3; i++)
		assert_int_equal(wire_send(other, "a", 1, NULL, 0), 0);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.records, 1);
	assert_int_equal(seen.gone, 1);
	assert_int_equal(seen.reason, -ETIMEDOUT);
	assert_int_equal(send_text("x"), 0);
}

static void a_drop_outside_the_loop_is_told_from_within_it(void **state)
{
	fill(NULL, 0);
	seen.in_send = true;
	peer_drop(&peer, -ECANCELED);
	seen.in_send = false;
	assert_int_equal(seen.gone, 0);
	assert_int_equal(peer.out_records, 0);
	assert_int_equal(send_text("x"), 0);
	assert_int_equal(run(), 2);
	assert_int_equal(seen.reason, -ECANCELED);
	assert_int_equal(run(), 0);
	assert_int_equal(seen.gone, 1);
}

static struct peer *heap_peer;

static void free_now(struct peer *p)
{
	peer_fini(p);
	free(p);
	heap_peer = NULL;
	loop_stop(&loop, 4);
}

static void an_owner_may_free_the_peer_while_it_is_reading(void **state)
{
	int pair[2];

	assert_int_equal(wire_pair(pair), 0);
	heap_peer = malloc(sizeof *heap_peer);
	assert_int_equal(peer_init(heap_peer, &loop, pair[0], &ops, 1000, 10), 0);
	seen.on_record = free_now;
	for (int i = 0; i < 3; i++)
		assert_int_equal(wire_send(pair[1], "a", 1, NULL, 0), 0);
	assert_int_equal(run(), 4);
	assert_int_equal(run(), 0);
	assert_int_equal(seen.records, 1);
	assert_int_equal(seen.gone, 0);
	close(pair[1]);
}

static int chatter_a;

static int on_chatter(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	chatter_a++;
	/* It never stops: each record that is read brings the next. */
	assert_int_equal(wire_send(other, "again", 5, NULL, 0), 0);
	return 0;
}

static void a_chatty_peer_does_not_starve_the_others(void **state)
{
	static const struct peer_ops chatter = {on_chatter, on_gone, NULL};
	struct peer quiet;
	int pair[2];

	assert_int_equal(wire_pair(pair), 0);
	peer.ops = &chatter;
	chatter_a = 0;
	assert_int_equal(peer_init(&quiet, &loop, pair[0], &ops, 1000, 10), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(wire_send(other, "first", 5, NULL, 0), 0);
	assert_int_equal(wire_send(pair[1], "quiet", 5, NULL, 0), 0);
	seen.stop_after = 1;
	assert_int_equal(run(), 1);
	assert_string_equal(seen.last, "quiet");
	assert_in_range(chatter_a, 0, 64);
	peer_fini(&quiet);
	close(pair[1]);
}

static void a_peer_that_never_was_can_be_ended(void **state)
{
	struct peer none = PEER_NULL;

	peer_drop(&none, -EIO);
	peer_fini(&none);
	assert_int_equal(peer_init(&none, &loop, 999, &ops, 1, 1), -EBADF);
	peer_fini(&none);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(records_come_with_their_descriptors),
		T(a_send_goes_at_once_when_there_is_room),
		T(the_queue_is_bounded_by_records_and_takes_nothing_over_it),
		T(the_queue_is_bounded_by_bytes),
		T(order_is_kept_through_the_queue),
		T(queued_descriptors_outlive_their_sender),
		T(a_full_descriptor_table_refuses_to_queue),
		T(what_could_never_be_sent_is_not_queued),
		T(queued_descriptors_are_closed_with_the_peer),
		T(a_closed_peer_is_gone_once),
		T(a_failed_send_says_gone_from_the_loop_and_only_once),
		T(all_that_a_dead_peer_said_is_delivered_first),
		T(last_words_are_heard_though_a_send_failed_before),
		T(last_words_are_heard_though_the_queue_could_not_be_sent),
		T(a_peer_that_stops_reading_for_good_is_gone_after_a_send),
		T(a_bad_record_ends_the_peer),
		T(a_negative_answer_drops_the_peer),
		T(a_drop_ends_reading_and_keeps_its_first_reason),
		T(a_drop_outside_the_loop_is_told_from_within_it),
		T(an_owner_may_free_the_peer_while_it_is_reading),
		T(a_chatty_peer_does_not_starve_the_others),
		T(a_peer_that_never_was_can_be_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
