/* fetch/brief.h - what berth-fetch is told and reads from files while it may still read them. */
#pragma once

#include "fetch/http.h"
#include "fetch/place.h"
#include "image/authfile.h"

struct brief {
	struct reference ref;
	struct place place[PLACES_MAX];
	struct auth auth[PLACES_MAX]; /* for each place */
	unsigned n_places;
	bool push;
	char mount_from[256];	  /* of a push: another repository there, whose blobs may be mounted; "": none */
	struct http_trust *trust; /* owned */
	unsigned n_trust;
	uint32_t stall_s;
};

/* words: KEY=VALUE of plain_http, mirrors, certs_dir, auth_file, stall_s. request_fd: a sealed memfd with an Envelope{ImagePull} or
 * {ImagePush}. */
int brief_load(struct brief *s, char **words, int n_words, int request_fd, struct err *e);
void brief_fini(struct brief *s);
