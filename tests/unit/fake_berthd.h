/* tests/unit/fake_berthd.h - a scripted berthd in the loop of a test: says Hello, hands each request to the script, can be killed and
 * come back. */
#pragma once

#include "base/loop.h"
#include "proto/envelope.h"
#include "proto/peer.h"

#include <sys/socket.h>

struct fake {
	struct loop *loop;
	char path[128];
	int listen_fd;
	struct source source;
	struct peer peer;
	bool hello;	 /* answer it */
	unsigned oldest; /* version that it speaks; 0: as it is */
	unsigned requests, connections;
	/* What it does with a request; env is freed afterwards. */
	void (*script)(struct fake *f, const Berth__Envelope *env);
};

static void fake_send(struct fake *f, uint64_t id, Berth__Envelope__BodyCase body_case, const void *body,
		      const int *fds, unsigned n_fds)
{
	Berth__Envelope env = BERTH__ENVELOPE__INIT;
	AUTO_FREE void *data = NULL;
	size_t len;
	int memfd;

	env.has_id = id != 0;
	env.id = id;
	env.body_case = body_case;
	env.hello = (void *)(uintptr_t)body;
	assert_int_equal(envelope_pack(&env, &data, &len, &memfd), 0);
	assert_int_equal(memfd, -1);
	peer_send(&f->peer, data, len, fds, n_fds);
}

__attribute__((unused)) static void fake_done(struct fake *f, uint64_t id, const char *text)
{
	Berth__Done done = BERTH__DONE__INIT;

	done.text = (char *)(uintptr_t)text;
	fake_send(f, id, BERTH__ENVELOPE__BODY_DONE, &done, NULL, 0);
}

__attribute__((unused)) static void fake_error(struct fake *f, uint64_t id, Berth__Error__Code code, const char *field,
					       const char *text)
{
	Berth__Error error = BERTH__ERROR__INIT;

	error.has_code = true;
	error.code = code;
	error.field = (char *)(uintptr_t)field;
	error.text = (char *)(uintptr_t)text;
	fake_send(f, id, BERTH__ENVELOPE__BODY_ERROR, &error, NULL, 0);
}

static int fake_record(struct peer *p, const void *data, size_t len, struct wire_fds *fds)
{
	struct fake *f = container_of(p, struct fake, peer);
	Berth__Envelope *env = envelope_unpack(data, len, fds);
	Berth__Hello hello = BERTH__HELLO__INIT;

	assert_non_null(env);
	if (env->body_case == BERTH__ENVELOPE__BODY_HELLO) {
		hello.has_version = hello.has_oldest = true;
		hello.version = ENVELOPE_VERSION;
		hello.oldest = f->oldest ? f->oldest : ENVELOPE_OLDEST;
		if (f->hello)
			fake_send(f, 0, BERTH__ENVELOPE__BODY_HELLO, &hello, NULL, 0);
	} else {
		f->requests++;
		f->script(f, env);
	}
	berth__envelope__free_unpacked(env, NULL);
	return 0;
}

static void fake_gone(struct peer *p, int reason)
{
	peer_fini(p);
}

static const struct peer_ops fake_ops = {fake_record, fake_gone, NULL};

static void fake_accept(struct source *s, uint32_t events)
{
	struct fake *f = container_of(s, struct fake, source);
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	peer_fini(&f->peer);
	f->connections++;
	assert_int_equal(peer_init(&f->peer, f->loop, fd, &fake_ops, 1u << 20, 1000), 0);
}

static void fake_start(struct fake *f)
{
	f->listen_fd = wire_listen(f->path, 0600, 16);
	assert_true(f->listen_fd >= 0);
	assert_int_equal(source_add(f->loop, &f->source, f->listen_fd, EPOLLIN, fake_accept), 0);
}

__attribute__((unused)) static void fake_kill(struct fake *f)
{
	peer_fini(&f->peer);
	f->peer = PEER_NULL;
	source_del(&f->source);
	close_fd(&f->listen_fd);
	unlink(f->path);
}

static void fake_init(struct fake *f, struct loop *l, void (*script)(struct fake *f, const Berth__Envelope *env))
{
	*f = (struct fake){.loop = l, .listen_fd = -1, .peer = PEER_NULL, .hello = true, .script = script};
	snprintf(f->path, sizeof f->path, "/tmp/berth-fake-%d.sock", (int)getpid());
	fake_start(f);
}
