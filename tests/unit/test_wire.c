/* tests/unit/test_wire.c - a record comes whole with its descriptors or not at all, and no descriptor is ever left behind. */
#include "tests/unit/unit.h"

#include "proto/wire.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int pair[2];
static char buf[WIRE_MAX];
static int fds_before;

static int setup(void **state)
{
	fds_before = open_fds();
	return wire_pair(pair);
}

static int teardown(void **state)
{
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	return open_fds() == fds_before ? 0 : -1;
}

static int receive(size_t *len, struct wire_fds *fds)
{
	return wire_recv(pair[1], buf, sizeof buf, len, fds);
}

static void records_of_every_size_come_whole(void **state)
{
	static const size_t sizes[] = {1, 2, 4095, 4096, WIRE_MAX - 1, WIRE_MAX};
	static char data[WIRE_MAX + 1];
	struct wire_fds fds;
	size_t len;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (char)(i * 31);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_row(wire_send(pair[0], data, sizes[i], NULL, 0) == 0, i);
		assert_row(receive(&len, &fds) == 0, i);
		assert_row(len == sizes[i] && fds.n == 0, i);
		assert_memory_equal(buf, data, len);
	}
	assert_int_equal(wire_send(pair[0], data, WIRE_MAX + 1, NULL, 0), -EMSGSIZE);
	assert_int_equal(wire_send(pair[0], data, 0, NULL, 0), -EINVAL);
	assert_int_equal(receive(&len, &fds), WIRE_AGAIN);
}

static void borders_between_records_are_kept(void **state)
{
	struct wire_fds fds;
	size_t len;

	assert_int_equal(wire_send(pair[0], "ab", 2, NULL, 0), 0);
	assert_int_equal(wire_send(pair[0], "c", 1, NULL, 0), 0);
	assert_int_equal(receive(&len, &fds), 0);
	assert_int_equal(len, 2);
	assert_int_equal(receive(&len, &fds), 0);
	assert_int_equal(len, 1);
}

static void an_empty_record_ends_the_connection(void **state)
{
	struct wire_fds fds;
	size_t len;

	assert_int_equal(send(pair[0], "", 0, 0), 0);
	assert_int_equal(receive(&len, &fds), WIRE_GONE);
}

static void send_raw(size_t len, const int *list, unsigned n)
{
	struct iovec iov = {buf, len};
	char control[CMSG_SPACE(64 * sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int))};
	memcpy(CMSG_DATA(c), list, n * sizeof(int));
	assert_int_equal(sendmsg(pair[0], &msg, 0), len);
}

static void an_empty_record_with_descriptors_is_bad_and_they_are_closed(void **state)
{
	struct wire_fds fds;
	size_t len;

	send_raw(0, pair, 2);
	assert_int_equal(receive(&len, &fds), WIRE_BAD);
	assert_int_equal(fds.n, 0);
}

static void a_record_larger_than_the_buffer_is_refused_whole(void **state)
{
	struct wire_fds fds;
	size_t len;

	assert_int_equal(wire_send(pair[0], "12345678", 8, pair, 1), 0);
	assert_int_equal(wire_recv(pair[1], buf, 7, &len, &fds), WIRE_BAD);
	assert_int_equal(fds.n, 0);
	assert_int_equal(wire_send(pair[0], "next", 4, NULL, 0), 0);
	assert_int_equal(wire_recv(pair[1], buf, 7, &len, &fds), 0);
	assert_int_equal(len, 4);
}

static void descriptors_come_in_order_and_close_on_exec(void **state)
{
	int list[WIRE_FDS_MAX], p[2];
	struct wire_fds fds;
	struct stat sent, got;
	size_t len;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	for (unsigned i = 0; i < WIRE_FDS_MAX; i++)
		list[i] = i == 3 ? p[0] : pair[i % 2];
	assert_int_equal(wire_send(pair[0], "x", 1, list, WIRE_FDS_MAX), 0);
	assert_int_equal(receive(&len, &fds), 0);
	assert_int_equal(fds.n, WIRE_FDS_MAX);
	for (unsigned i = 0; i < WIRE_FDS_MAX; i++) {
		assert_int_equal(fcntl(fds.fd[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(fstat(list[i], &sent), 0);
		assert_int_equal(fstat(fds.fd[i], &got), 0);
		assert_row(sent.st_ino == got.st_ino, i);
	}
	/* What is taken is not closed, and is not there a second time. */
	int taken = wire_fds_take(&fds, 3);
	assert_true(taken >= 0);
	assert_int_equal(wire_fds_take(&fds, 3), -1);
	assert_int_equal(wire_fds_take(&fds, WIRE_FDS_MAX), -1);
	wire_fds_close(&fds);
	assert_true(fcntl(taken, F_GETFD) >= 0);
	close(taken);
	close(p[0]);
	close(p[1]);
	assert_int_equal(wire_send(pair[0], "x", 1, list, WIRE_FDS_MAX + 1), -EINVAL);
}

static void more_descriptors_than_allowed_are_refused_and_closed(void **state)
{
	int list[WIRE_FDS_MAX + 4];
	struct wire_fds fds;
	size_t len;

	for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = pair[0];
	send_raw(1, list, ARRAY_SIZE(list));
	assert_int_equal(receive(&len, &fds), WIRE_BAD);
	assert_int_equal(fds.n, 0);
	assert_int_equal(open_fds(), fds_before + 2);
}

/* The kernel then delivers the record without some of them: taking it would be acting on half a request. */
static void a_full_descriptor_table_makes_the_record_bad(void **state)
{
	struct rlimit limit, full;
	int list[4] = {pair[0], pair[0], pair[0], pair[0]};
	struct wire_fds fds;
	size_t len;
	int lowest = dup(pair[0]);

	assert_int_equal(wire_send(pair[0], "x", 1, list, 4), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	full = limit;
	full.rlim_cur = (rlim_t)lowest + 2; /* room for one */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
	int r = receive(&len, &fds);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(lowest);
	assert_int_equal(r, WIRE_BAD);
	assert_int_equal(fds.n, 0);
	assert_int_equal(open_fds(), fds_before + 2);
}

static void a_closed_peer_is_gone_for_both_directions(void **state)
{
	struct wire_fds fds;
	size_t len;

	close_fd(&pair[0]);
	assert_int_equal(receive(&len, &fds), WIRE_GONE);
	assert_int_equal(wire_send(pair[1], "x", 1, NULL, 0), WIRE_GONE);
}

/* A peer that dies with our records unread makes the kernel report a reset before what it said last. */
static void the_last_words_of_a_peer_that_did_not_listen_are_read(void **state)
{
	struct wire_fds fds;
	size_t len;

	assert_int_equal(wire_send(pair[1], "unread", 6, NULL, 0), 0);
	assert_int_equal(wire_send(pair[0], "last", 4, pair, 1), 0);
	assert_int_equal(wire_send(pair[0], "words", 5, NULL, 0), 0);
	close_fd(&pair[0]);
	assert_int_equal(receive(&len, &fds), 0);
	assert_int_equal(len, 4);
	assert_int_equal(fds.n, 1);
	wire_fds_close(&fds);
	assert_int_equal(receive(&len, &fds), 0);
	assert_int_equal(len, 5);
	assert_int_equal(receive(&len, &fds), WIRE_GONE);
}

static void a_full_socket_says_again_and_takes_more_later(void **state)
{
	static char data[WIRE_MAX];
	struct wire_fds fds;
	size_t len;
	int n = 0, r;

	while ((r = wire_send(pair[0], data, sizeof data, NULL, 0)) == 0)
		n++;
	assert_int_equal(r, WIRE_AGAIN);
	assert_true(n >= 2);
	for (int i = 0; i < n; i++)
		assert_int_equal(receive(&len, &fds), 0);
	assert_int_equal(receive(&len, &fds), WIRE_AGAIN);
	assert_int_equal(wire_send(pair[0], data, sizeof data, NULL, 0), 0);
}

static void a_record_over_the_socket_buffer_is_said_to_be_too_large(void **state)
{
	static char data[WIRE_MAX];
	int small = 4096;

	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	assert_int_equal(wire_send(pair[0], data, sizeof data, NULL, 0), -EMSGSIZE);
}

/* ---------------------------------------------------------------- sockets in the file system */

static void a_listener_has_its_mode_and_takes_connections(void **state)
{
	char path[64];
	mode_t old = umask(0077);
	struct stat st;
	struct wire_fds fds;
	size_t len;

	snprintf(path, sizeof path, "/tmp/berth-test-wire-%d", (int)getpid());
	int l = wire_listen(path, 0660, 4);
	umask(old);
	assert_true(l >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	int c = wire_connect(path);
	assert_true(c >= 0);
	assert_true(fcntl(c, F_GETFL) & O_NONBLOCK);
	int a = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(a >= 0);
	assert_int_equal(wire_send(c, "hello", 5, NULL, 0), 0);
	assert_int_equal(wire_recv(a, buf, sizeof buf, &len, &fds), 0);
	assert_int_equal(len, 5);
	/* A second listener must not take the place of a living one, nor when its backlog is full. */
	assert_int_equal(wire_listen(path, 0660, 4), -EADDRINUSE);
	int more[16], n = 0;
	while (n < 16 && (more[n] = wire_connect(path)) >= 0)
		n++;
	assert_int_equal(wire_listen(path, 0660, 4), -EADDRINUSE);
	while (n)
		close(more[--n]);
	close(a);
	close(c);
	close(l);
	assert_int_equal(wire_connect(path), -ECONNREFUSED);
	l = wire_listen(path, 0600, 4);
	assert_true(l >= 0);
	close(l);
	unlink(path);
	assert_int_equal(wire_connect(path), -ENOENT);
}

static void what_is_no_socket_is_not_replaced(void **state)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "/tmp/berth-test-wire-%d", (int)getpid());
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(wire_listen(path, 0600, 4), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	memset(path, 'a', sizeof path - 1);
	path[sizeof path - 1] = 0;
	assert_int_equal(wire_listen(path, 0600, 4), -ENAMETOOLONG);
	assert_int_equal(wire_connect(path), -ENAMETOOLONG);
	assert_int_equal(wire_connect(""), -EINVAL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(records_of_every_size_come_whole),
		T(borders_between_records_are_kept),
		T(an_empty_record_ends_the_connection),
		T(an_empty_record_with_descriptors_is_bad_and_they_are_closed),
		T(a_record_larger_than_the_buffer_is_refused_whole),
		T(descriptors_come_in_order_and_close_on_exec),
		T(more_descriptors_than_allowed_are_refused_and_closed),
		T(a_full_descriptor_table_makes_the_record_bad),
		T(a_closed_peer_is_gone_for_both_directions),
		T(the_last_words_of_a_peer_that_did_not_listen_are_read),
		T(a_full_socket_says_again_and_takes_more_later),
		T(a_record_over_the_socket_buffer_is_said_to_be_too_large),
		T(a_listener_has_its_mode_and_takes_connections),
		T(what_is_no_socket_is_not_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
