/* fetch/task.h - the inside of berth-fetch's orders, for fetch.c (what all of them have in common) and upload.c. */
#pragma once

#include "base/list.h"
#include "fetch/brief.h"
#include "proto/fetch.h"

#define TRIES_MAX     6u /* without getting further */
#define FURTHER_BYTES (1u << 20)

enum upload_phase {
	UPLOAD_LOOK,  /* is it there? */
	UPLOAD_BEGIN, /* where may it be sent to? */
	UPLOAD_SEND,
	UPLOAD_END, /* of what was sent in pieces */
	UPLOAD_ASK, /* how much of it is there, after a break */
};

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_NEEDS_TOKEN, TASK_ENDED };

struct desk;

struct counter { /* of one place: what we know of it */
	struct desk *desk;
	char *authorization; /* owned; NULL: none shown */
	unsigned generation; /* of the authorization */
	bool asking;	     /* for a token */
	bool heard;	     /* it has answered */
	bool unreachable;
	char left_for[400]; /* why the last task did; "": none has */
	char token_error[300];
	bool token_may_come; /* the error may pass */
	uint32_t token_after_s;
};

struct task {
	struct list link;
	struct desk *desk;
	struct fetch_order order;
	int fd; /* owned */
	enum task_state state;
	uint64_t at, at_try; /* bytes there; when this try began */
	unsigned place, tries, hops, auths;
	unsigned generation; /* of the authorization that was shown */
	uint64_t not_before_ns;
	char url[URL_SIZE]; /* where a redirect led, or what goes up must be sent to; "": the place itself */
	bool elsewhere;	    /* that is another host: our credentials were not shown */
	enum upload_phase phase;
	uint64_t chunk;		/* of what goes up: so much at once; 0: all of it */
	char session[URL_SIZE]; /* where what goes up in pieces goes on; "": none has arrived */
	uint64_t best;		/* bytes of it that were there once */
	char range[48];
	bool mounted; /* it was tried to have it from another repository */
	uint64_t told_ns;
	struct fetch_news end; /* to be told when there is room */
};

struct desk {
	const struct brief *s;
	struct http *http;
	int sock;
	struct counter counter[PLACES_MAX];
	struct list tasks;
	unsigned n_tasks, n_running;
	bool closed;
};

static inline const struct place *place_of(const struct task *t)
{
	return &t->desk->s->place[t->place];
}

static inline bool task_is_upload(const struct task *t)
{
	return t->order.kind == FETCH_PUT_BLOB || t->order.kind == FETCH_PUT_MANIFEST;
}

/* fetch.c: how a task goes on after an answer; each call decides. */
void task_end(struct task *t, uint32_t state, int code, const char *text);
/* This place cannot help: the next one, or the end. */
void place_failed(struct task *t, bool unreachable, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* It may pass: again after a pause, which grows. */
void task_again(struct task *t, uint32_t after_s, bool unreachable, const char *why);
/* Asks from its beginning again, at once. */
void task_restart(struct task *t);
/* The answer's Location becomes the task's URL. False: it cannot be, and that was decided on. what: "redirects to". */
bool location_take(struct task *t, const struct http_answer *a, const char *what);
/* "status 400: what it said" */
void status_text(const struct http_answer *a, char buf[300]);
/* Of statuses that mean the same for all: true when it was decided on. */
bool status_common(struct task *t, const struct http_answer *a, const char *why);

/* upload.c */
/* The request of this phase: its URL into url, the rest into rq. False: there is none, and that was decided on. */
bool upload_request(struct task *t, struct http_request *rq, char url[URL_SIZE]);
void upload_status(struct task *t, const struct http_answer *a);
/* From the beginning again, or where what is sent in pieces stands. */
void upload_restart(struct task *t);
/* No answer came to what was sent. */
void upload_broken(struct task *t, const struct http_answer *a);
void upload_leave(struct task *t); /* for another place */
