/* proto/fetch.h - between `berth-job pull` or `push` and berth-fetch, records on a socket. Both are of one build: plain structs.
 *
 * The job says what it wants and gives a descriptor to write it to (a push: to read it from); berth-fetch, which alone speaks to the
 * network and may do nothing else, says how far it is. What it says is checked: text ends, numbers are those that were given. What it
 * wrote is believed only after its digest. */
#pragma once

#include <stdint.h>

enum fetch_kind {
	FETCH_MANIFEST = 1,
	FETCH_BLOB,
	FETCH_PUT_MANIFEST, /* under the tag of the reference */
	FETCH_PUT_BLOB,	    /* unless it is there */
};

struct fetch_order { /* with one descriptor, written from `at` on, or read from its beginning */
	uint32_t kind, id;
	uint64_t at;   /* bytes that are there already */
	uint64_t size; /* of all; of a manifest whose size is not known: at most */
	uint32_t size_known;
	char digest[72]; /* "": what the reference names */
	char type[128];	 /* of a manifest that is put: its media type */
	char from
		[256]; /* of a blob that is put: another repository of the registry that may have it; "": none is known */
};

/* How a blob came to be there. */
#define FETCH_SENT    "complete"
#define FETCH_EXISTED "exists"
#define FETCH_MOUNTED "mounted"

enum fetch_state {
	FETCH_MOVED = 1, /* `at` has grown, or fallen when it had to begin again */
	FETCH_SAID,	 /* text: a retry, another mirror; id may be 0 */
	FETCH_DONE,	 /* at = size; type: the media type, or of a blob that was put, FETCH_SENT … */
	FETCH_FAILED,	 /* text, code */
};

struct fetch_news {
	uint32_t state, id;
	uint64_t at;
	int32_t code; /* an errno, as in struct err */
	char type[128];
	char text[400];
};
