/* fetch/place.h - where an image may be got: the mirrors of its registry in their order, then the registry itself. */
#pragma once

#include "image/reference.h"

#include <stdint.h>

#define PLACES_MAX 16
#define URL_SIZE   8192

struct place {
	char host[264];	  /* "h:5000" */
	char prefix[256]; /* of the path there: "proxy/" or "" */
	bool tls, verify;
	bool registry;	  /* the one that the reference names: credentials of the request are for it */
	bool last_resort; /* only when the place before cannot be reached as it should be */
};

/* plain_http: hosts, mirrors: REGISTRY=HOST[/PREFIX], separated by blanks or commas. verify false: as berth pull --tls-verify=false,
 * for the registry alone. Number of places, or negative errno. */
int places_make(struct place ret[PLACES_MAX], const struct reference *ref, const char *plain_http, const char *mirrors,
		bool verify, struct err *e);
bool place_is_plain(const char *host, const char *plain_http);

/* kind: "manifests" or "blobs". */
int place_url(const struct place *p, const struct reference *ref, const char *kind, const char *what,
	      char buf[URL_SIZE]);
