/* proto/envelope.h - one Envelope <-> one record, spilled into a sealed memfd when it is larger than a record may be. */
#pragma once

#include "proto/berth.pb-c.h"
#include "proto/wire.h"

#include <stdbool.h>

#define ENVELOPE_VERSION 2 /* of the control protocol; berth.proto has the history */
#define ENVELOPE_OLDEST	 1
#define ENVELOPE_MAX	 (8u << 20) /* of a spilled one */

/* Packs and sends. fds are not consumed. Results of wire_send; -E2BIG over ENVELOPE_MAX. */
int envelope_send(int sock, const Berth__Envelope *env, const int *fds, unsigned n_fds);

/* Packs into a record to be sent later. *ret_data (caller frees) and, when it had to spill, *ret_memfd (else -1). */
int envelope_pack(const Berth__Envelope *env, void **ret_data, size_t *ret_len, int *ret_memfd);

/* Makes a record of packed bytes: too long ones go into *ret_memfd (else -1), and data becomes the note that announces it. */
int envelope_spill(void *data, size_t *len, int *ret_memfd);

/* One record with its descriptors into an Envelope; a spilled one is read from its memfd (seals checked) which is then taken
 * off fds and closed. Every string is checked for UTF-8 and embedded NULs. NULL if the record is bad. berth__envelope__free_unpacked(env, NULL). */
Berth__Envelope *envelope_unpack(const void *data, size_t len, struct wire_fds *fds);

/* The name of the body, "container_create"; "none". */
const char *envelope_body_name(const Berth__Envelope *env);

/* Any message from foreign bytes: strings checked as above, memory bounded by the length. NULL if bad or out of memory.
 * protobuf_c_message_free_unpacked(m, NULL). */
void *message_unpack(const ProtobufCMessageDescriptor *d, const void *data, size_t len);
/* A copy of one in memory, to outlive the envelope that it came in. NULL: out of memory. protobuf_c_message_free_unpacked(m, NULL). */
void *message_copy(const ProtobufCMessage *m);
/* Packed bytes of a message: every string valid UTF-8 without a NUL. protobuf-c checks neither, and hides a NUL once unpacked. */
bool message_check_packed(const ProtobufCMessageDescriptor *d, const void *data, size_t len);
/* Walks a message in memory by its descriptor: every string valid UTF-8, else -EILSEQ. */
int message_check_strings(const ProtobufCMessage *m);
