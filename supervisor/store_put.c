/* supervisor/store_put.c - what may be asked of the store: each makes an op, with copies of all it was given, and queues it. */
#include "supervisor/store_own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int op_pack(struct store_op *op, const ProtobufCMessage *m)
{
	op->len = protobuf_c_message_get_packed_size(m);
	op->blob = malloc(op->len ? op->len : 1);
	if (!op->blob)
		return -ENOMEM;
	protobuf_c_message_pack(m, op->blob);
	return 0;
}

static int op_text(char **to, const char *text)
{
	*to = strdup(text ? text : "");
	return *to ? 0 : -ENOMEM;
}

static int op_row(struct store_op *op, enum store_kind kind, const Berth__Meta *meta, const ProtobufCMessage *object)
{
	op->object = kind;
	op->id = meta->id;
	op->revision = meta->revision;
	op->at = meta->deleted_at;
	return op_text(&op->text, meta->uuid) < 0 || op_text(&op->text2, meta->project) < 0 ||
			       op_text(&op->text3, meta->name) < 0 || op_pack(op, object) < 0
		       ? -ENOMEM
		       : 0;
}

static int store_queue_put(struct store *st, enum store_kind kind, const Berth__Meta *meta,
			   const ProtobufCMessage *object, bool must_fit, int (*work)(void *arg), store_done *done,
			   void *arg)
{
	struct store_op *op = store_op_new(OP_PUT, done, arg);

	if (!op)
		return -ENOMEM;
	op->call = work;
	op->keep = op->reserve = must_fit;
	if (op_row(op, kind, meta, object) < 0) {
		store_op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

/* The first op carries the others: the queue, the transaction and the result are one. */
int store_write(struct store *st, enum store_kind kind, const struct store_row *rows, size_t n, store_done *done,
		void *arg)
{
	struct store_op *first = NULL, **next = &first;
	int r = n ? 0 : -EINVAL;

	for (size_t i = 0; r == 0 && i < n; i++, next = &(*next)->with) {
		*next = store_op_new(rows[i].object ? OP_PUT : OP_DELETE, i ? NULL : done, i ? NULL : arg);
		if (!*next) {
			r = -ENOMEM;
			break;
		}
		(*next)->object = kind;
		r = rows[i].object ? op_row(*next, kind, rows[i].meta, rows[i].object)
				   : op_text(&(*next)->text, rows[i].meta->uuid);
	}
	if (r < 0) {
		store_op_free(first);
		return r;
	}
	return store_queue(st, first);
}

int store_put(struct store *st, enum store_kind kind, const Berth__Meta *meta, const ProtobufCMessage *object,
	      bool must_fit, store_done *done, void *arg)
{
	return store_queue_put(st, kind, meta, object, must_fit, NULL, done, arg);
}

int store_put_after(struct store *st, enum store_kind kind, const Berth__Meta *meta, const ProtobufCMessage *object,
		    int (*work)(void *arg), store_done *done, void *arg)
{
	return store_queue_put(st, kind, meta, object, false, work, done, arg);
}

int store_delete_then(struct store *st, enum store_kind kind, const char *uuid, int (*work)(void *arg),
		      store_done *done, void *arg)
{
	struct store_op *op = store_op_new(OP_DELETE, done, arg);

	if (!op)
		return -ENOMEM;
	op->object = kind;
	op->call = work;
	op->call_after = work != NULL;
	if (op_text(&op->text, uuid) < 0) {
		store_op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_delete(struct store *st, enum store_kind kind, const char *uuid, store_done *done, void *arg)
{
	return store_delete_then(st, kind, uuid, NULL, done, arg);
}

int store_put_action(struct store *st, const Berth__Action *a, store_done *done, void *arg)
{
	struct store_op *op = store_op_new(OP_ACTION, done, arg);

	if (!op)
		return -ENOMEM;
	op->keep = op->reserve = true; /* what was done must not be lost because the disk was full at the time */
	op->id = a->id;
	op->at = a->started_at;
	op->at2 = a->finished_at;
	if (op_text(&op->text, a->object_uuid) < 0 || op_text(&op->text2, a->object_name) < 0 ||
	    op_pack(op, &a->base) < 0) {
		store_op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_drop_actions(struct store *st, int64_t finished_before)
{
	struct store_op *op = store_op_new(OP_DROP_ACTIONS, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->at = finished_before;
	return store_queue(st, op);
}

int store_end_actions(struct store *st, uint64_t up_to_id, int64_t at, const char *reason)
{
	struct store_op *op = store_op_new(OP_END_ACTIONS, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->id = up_to_id;
	op->at = at;
	if (op_text(&op->text, reason) < 0) {
		store_op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_put_token(struct store *st, const char *principal, const char *token, uint64_t body_hash, const void *reply,
		    size_t len, int64_t expires_at)
{
	struct store_op *op = store_op_new(OP_TOKEN, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->hash = body_hash;
	op->at = expires_at;
	op->blob = malloc(len ? len : 1);
	if (!op->blob || op_text(&op->text, principal) < 0 || op_text(&op->text2, token) < 0) {
		store_op_free(op);
		return -ENOMEM;
	}
	if (len)
		memcpy(op->blob, reply, len);
	op->len = len;
	return store_queue(st, op);
}

int store_drop_tokens(struct store *st, const char *principal, const char *token, int64_t expired_before)
{
	struct store_op *op = store_op_new(OP_DROP_TOKENS, NULL, NULL);

	if (!op)
		return -ENOMEM;
	op->at = token ? INT64_MIN : expired_before;
	if (op_text(&op->text, principal) < 0 || op_text(&op->text2, token) < 0) {
		store_op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_get_actions(struct store *st, const struct actions_query *q,
		      void (*found)(void *arg, int result, Berth__Action **actions, size_t n, uint64_t next_id),
		      void *arg)
{
	struct store_op *op = store_op_new(q->newest_first ? OP_GET_NEWEST : OP_GET_ACTIONS, NULL, arg);

	if (!op)
		return -ENOMEM;
	op->found = found;
	op->id = q->after_id;
	op->limit = q->limit;
	if ((q->object_uuid && op_text(&op->text, q->object_uuid) < 0) ||
	    (q->object_name && op_text(&op->text2, q->object_name) < 0) ||
	    (q->project && op_text(&op->text3, q->project) < 0) ||
	    (q->request_id && op_text(&op->text4, q->request_id) < 0)) {
		store_op_free(op);
		return -ENOMEM;
	}
	return store_queue(st, op);
}

int store_call(struct store *st, int (*work)(void *arg), void *arg, store_done *done)
{
	struct store_op *op = store_op_new(OP_CALL, done, arg);

	if (!op)
		return -ENOMEM;
	op->call = work;
	return store_queue(st, op);
}
