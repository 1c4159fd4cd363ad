/* net/ports.c - see net/ports.h */
#include "net/ports.h"

#include "net/table.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

void ports_add(struct ports *p, uint32_t first, uint32_t last)
{
	size_t at = 0, end;

	while (at < p->n && p->v[at].last + 1 < first)
		at++;
	for (end = at; end < p->n && p->v[end].first <= last + 1; end++) {
		first = first < p->v[end].first ? first : p->v[end].first;
		last = last > p->v[end].last ? last : p->v[end].last;
	}
	memmove(&p->v[at + 1], &p->v[end], (p->n - end) * sizeof p->v[0]);
	p->n = p->n - (end - at) + 1;
	p->v[at].first = first;
	p->v[at].last = last;
}

void ports_text(struct buf *b, const struct ports *p)
{
	for (size_t i = 0; i < p->n; i++) {
		buf_printf(b, "%s%u", i ? ", " : p->n > 1 ? "{ " : "", p->v[i].first);
		if (p->v[i].last != p->v[i].first)
			buf_printf(b, "-%u", p->v[i].last);
	}
	buf_adds(b, p->n > 1 ? " }" : "");
}

/* ---------------------------------------------------------------- a set without a name
 *
 * The kernel has a range as its first value, and the first one behind it with a flag. */

#define TYPE_PORT	13 /* what nft(8) calls inet_service: it lists the set by that */
#define BORDERS_AT_ONCE 100u

struct borders {
	struct batch *batch;
	struct nlmsghdr *h;
	struct nlattr *list;
	uint32_t set;
	unsigned n;
};

static void borders_end(struct borders *s)
{
	if (s->h)
		mnl_attr_nest_end(s->h, s->list);
	batch_message_end(s->batch, s->h);
	s->h = NULL;
	s->n = 0;
}

static bool borders_begin(struct borders *s)
{
	s->h = batch_message(s->batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, NFPROTO_INET);
	if (!s->h)
		return false;
	mnl_attr_put_strz(s->h, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
	mnl_attr_put_strz(s->h, NFTA_SET_ELEM_LIST_SET, PORTS_SET);
	batch_number(s->h, NFTA_SET_ELEM_LIST_SET_ID, s->set);
	s->list = mnl_attr_nest_start(s->h, NFTA_SET_ELEM_LIST_ELEMENTS);
	return true;
}

static void border(struct borders *s, uint32_t port, bool is_end)
{
	struct nlattr *one;
	uint16_t key = htons((uint16_t)port);

	if (s->n++ == BORDERS_AT_ONCE)
		borders_end(s);
	if (!s->h && !borders_begin(s))
		return;
	one = mnl_attr_nest_start(s->h, NFTA_LIST_ELEM);
	batch_value(s->h, NFTA_SET_ELEM_KEY, &key, sizeof key);
	if (is_end)
		batch_number(s->h, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	mnl_attr_nest_end(s->h, one);
}

uint32_t ports_put(struct batch *b, const struct ports *p)
{
	struct nlmsghdr *h = batch_message(b, NFT_MSG_NEWSET, NLM_F_CREATE, NFPROTO_INET);
	struct borders borders = {.batch = b, .set = ++b->sets};

	if (!h)
		return borders.set;
	mnl_attr_put_strz(h, NFTA_SET_TABLE, TABLE_NAME);
	mnl_attr_put_strz(h, NFTA_SET_NAME, PORTS_SET);
	batch_number(h, NFTA_SET_ID, borders.set);
	batch_number(h, NFTA_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_INTERVAL);
	batch_number(h, NFTA_SET_KEY_TYPE, TYPE_PORT);
	batch_number(h, NFTA_SET_KEY_LEN, sizeof(uint16_t));
	batch_message_end(b, h);
	if (p->v[0].first)
		border(&borders, 0, true);
	for (size_t i = 0; i < p->n; i++) {
		border(&borders, p->v[i].first, false);
		if (p->v[i].last < 65535)
			border(&borders, p->v[i].last + 1, true);
	}
	borders_end(&borders);
	return borders.set;
}
