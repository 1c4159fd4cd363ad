/* supervisor/seccomp_reduce.c - see supervisor/seccomp_reduce.h
 *
 * Jumps lead forward only, and the accumulator holds what was loaded last, so a run is followed without arguments up to its
 * answer or to the first load of an argument. The answer as a function of the number (or the architecture) changes only where the
 * program compares with a constant: looking at those places is looking at all numbers. */
#include "supervisor/seccomp_reduce.h"

#include "base/own.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INSNS_MAX      4096 /* the kernel's BPF_MAXINSNS */
#define JUMP_MAX       255
#define EXCEPTIONS_MAX 3 /* of a range, asked for one after the other */

enum word { WORD_NOTHING, WORD_ARCH, WORD_NR, WORD_ARGUMENT, WORD_N_ };

struct answer {
	bool open;	/* arguments decide, from instruction `value` on */
	uint32_t value; /* else what the filter returns */
};

struct range { /* from here up to the next one */
	uint32_t from;
	struct answer answer;
};

struct map {
	struct range *range;
	size_t n;
};

struct places {
	uint32_t *at;
	size_t n;
};

struct place { /* where an answer is given, counted from the end */
	struct answer answer;
	size_t at;
};

struct reduction {
	const struct sock_filter *in;
	size_t n;
	uint8_t seen[INSNS_MAX]; /* bits of enum word: what the accumulator may hold there */
	struct places arch, nr;
	struct map *maps; /* one for each place of arch */
	bool kept[INSNS_MAX];
	size_t moved[INSNS_MAX]; /* of what is kept: its new place, counted from the end */
	struct sock_filter *out; /* filled from its end */
	size_t len;
	bool full;
	struct place places[INSNS_MAX]; /* one for each different answer */
	size_t n_places;
};

/* ---------------------------------------------------------------- reading the original */

static bool is_load(const struct sock_filter *f)
{
	return f->code == (BPF_LD | BPF_W | BPF_ABS);
}

static bool is_jump(const struct sock_filter *f)
{
	return BPF_CLASS(f->code) == BPF_JMP;
}

static enum word word_of(uint32_t offset)
{
	return offset == offsetof(struct seccomp_data, nr)     ? WORD_NR
	       : offset == offsetof(struct seccomp_data, arch) ? WORD_ARCH
							       : WORD_ARGUMENT;
}

static bool is_known(const struct sock_filter *f, size_t at, size_t n)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_ALU | BPF_AND | BPF_K:
		return at + 1 < n;
	case BPF_RET | BPF_K:
		return true;
	case BPF_JMP | BPF_JA:
		return f->k < n - at - 1;
	case BPF_JMP | BPF_JEQ | BPF_K:
	case BPF_JMP | BPF_JGE | BPF_K:
	case BPF_JMP | BPF_JGT | BPF_K:
	case BPF_JMP | BPF_JSET | BPF_K:
		return at + 1 + f->jt < n && at + 1 + f->jf < n;
	default:
		return false;
	}
}

static void place_add(struct places *p, uint32_t at)
{
	p->at[p->n++] = at;
}

/* The comparison's outcome changes at most here. */
static void places_of(struct places *p, const struct sock_filter *f)
{
	if (BPF_OP(f->code) != BPF_JGT)
		place_add(p, f->k);
	if (BPF_OP(f->code) != BPF_JGE && f->k != UINT32_MAX)
		place_add(p, f->k + 1);
}

/* In order, for jumps lead forward only: what the accumulator may hold at each instruction. */
static int look_through(struct reduction *r)
{
	r->seen[0] = 1u << WORD_NOTHING;
	for (size_t i = 0; i < r->n; i++) {
		const struct sock_filter *f = &r->in[i];
		uint8_t holds = r->seen[i], known = holds & (1u << WORD_ARCH | 1u << WORD_NR);

		if (!is_known(f, i, r->n))
			return -ENOTSUP;
		if (is_load(f))
			holds = (uint8_t)(1u << word_of(f->k));
		/* Bits of a number that is known are no ranges. */
		if (known && (f->code == (BPF_ALU | BPF_AND | BPF_K) || f->code == (BPF_JMP | BPF_JSET | BPF_K)))
			return -ENOTSUP;
		if (is_jump(f) && BPF_OP(f->code) != BPF_JA) {
			if (holds & 1u << WORD_ARCH)
				places_of(&r->arch, f);
			if (holds & 1u << WORD_NR)
				places_of(&r->nr, f);
			r->seen[i + 1 + f->jt] |= holds;
			r->seen[i + 1 + f->jf] |= holds;
		} else if (is_jump(f)) {
			r->seen[i + 1 + f->k] |= holds;
		} else if (BPF_CLASS(f->code) != BPF_RET) {
			r->seen[i + 1] |= holds;
		}
	}
	return 0;
}

static bool jumps(const struct sock_filter *f, uint32_t a)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == f->k;
	case BPF_JGE:
		return a >= f->k;
	case BPF_JGT:
		return a > f->k;
	default:
		return a & f->k;
	}
}

static struct answer ask(const struct reduction *r, uint32_t arch, uint32_t nr)
{
	uint32_t a = 0;

	for (size_t i = 0;; i++) {
		const struct sock_filter *f = &r->in[i];

		if (f->code == (BPF_RET | BPF_K))
			return (struct answer){.value = f->k};
		if (is_load(f) && word_of(f->k) == WORD_ARGUMENT)
			return (struct answer){.open = true, .value = (uint32_t)i};
		if (is_load(f))
			a = word_of(f->k) == WORD_NR ? nr : arch;
		else if (f->code == (BPF_JMP | BPF_JA))
			i += f->k;
		else if (is_jump(f))
			i += jumps(f, a) ? f->jt : f->jf;
		else
			a &= f->k;
	}
}

/* ---------------------------------------------------------------- maps */

static int compare_places(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void places_sort(struct places *p)
{
	size_t n = 0;

	qsort(p->at, p->n, sizeof *p->at, compare_places);
	for (size_t i = 0; i < p->n; i++)
		if (!n || p->at[n - 1] != p->at[i])
			p->at[n++] = p->at[i];
	p->n = n;
}

static bool answers_same(const struct answer *a, const struct answer *b)
{
	return a->open == b->open && a->value == b->value;
}

static bool maps_same(const struct map *a, const struct map *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = a->range[i].from == b->range[i].from && answers_same(&a->range[i].answer, &b->range[i].answer);
	return same;
}

static int map_make(struct reduction *r, uint32_t arch, struct map *m)
{
	m->range = calloc(r->nr.n, sizeof *m->range);
	if (!m->range)
		return -ENOMEM;
	for (size_t i = 0; i < r->nr.n; i++) {
		struct answer a = ask(r, arch, r->nr.at[i]);

		if (!m->n || !answers_same(&m->range[m->n - 1].answer, &a))
			m->range[m->n++] = (struct range){r->nr.at[i], a};
	}
	return 0;
}

static int maps_make(struct reduction *r)
{
	place_add(&r->arch, 0);
	place_add(&r->nr, 0);
	places_sort(&r->arch);
	places_sort(&r->nr);
	r->maps = calloc(r->arch.n, sizeof *r->maps);
	if (!r->maps)
		return -ENOMEM;
	for (size_t i = 0; i < r->arch.n; i++) {
		int err = map_make(r, r->arch.at[i], &r->maps[i]);

		if (err < 0)
			return err;
	}
	return 0;
}

/* ---------------------------------------------------------------- what arguments decide */

static void keep_all(struct reduction *r)
{
	for (size_t i = 0; i < r->arch.n; i++)
		for (size_t k = 0; k < r->maps[i].n; k++)
			if (r->maps[i].range[k].answer.open)
				r->kept[r->maps[i].range[k].answer.value] = true;
	for (size_t i = 0; i < r->n; i++) {
		const struct sock_filter *f = &r->in[i];

		if (!r->kept[i])
			continue;
		if (f->code == (BPF_JMP | BPF_JA))
			r->kept[i + 1 + f->k] = true;
		else if (is_jump(f))
			r->kept[i + 1 + f->jt] = r->kept[i + 1 + f->jf] = true;
		else if (BPF_CLASS(f->code) != BPF_RET)
			r->kept[i + 1] = true;
	}
}

/* ---------------------------------------------------------------- writing */

/* From the end to the beginning: jumps lead forward, so where they lead to is written already. A place is its distance from the
 * end, and an answer that is near enough is given in one place for all who ask for it. */
static size_t put(struct reduction *r, struct sock_filter f)
{
	if (r->len == INSNS_MAX)
		r->full = true;
	else
		r->out[INSNS_MAX - ++r->len] = f;
	return r->len;
}

static size_t jump_put(struct reduction *r, size_t to)
{
	const struct sock_filter *f = &r->out[INSNS_MAX - to];

	/* To an answer leads the answer. */
	if (BPF_CLASS(f->code) == BPF_RET)
		return put(r, *f);
	return put(r, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(r->len - to)));
}

/* The place itself, or one that leads there from where two more instructions will be. */
static size_t near(struct reduction *r, size_t to)
{
	return r->len + 1 - to <= JUMP_MAX ? to : jump_put(r, to);
}

static size_t compare_put(struct reduction *r, uint16_t how, uint32_t with, size_t yes, size_t no)
{
	yes = near(r, yes);
	no = near(r, no);
	return put(r, (struct sock_filter)BPF_JUMP(BPF_JMP | how | BPF_K, with, (uint8_t)(r->len - yes),
						   (uint8_t)(r->len - no)));
}

/* Where this answer is given, near enough to be asked for from here. */
static size_t answer_put(struct reduction *r, const struct answer *a)
{
	struct place *p = r->places;

	while (p < r->places + r->n_places && !answers_same(&p->answer, a))
		p++;
	if (p == r->places + r->n_places) {
		r->n_places++;
		p->answer = *a;
		p->at = a->open ? r->moved[a->value] : put(r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, a->value));
	}
	p->at = near(r, p->at);
	return p->at;
}

static bool is_single(const struct map *m, size_t i)
{
	return i + 1 < m->n && m->range[i + 1].from == m->range[i].from + 1;
}

/* How many of the next ranges are one with exceptions: neighbours of one answer, and between them single numbers of another. */
static size_t leaf_ranges(const struct map *m, size_t i)
{
	size_t n = 1;

	while (n < 2 * EXCEPTIONS_MAX + 1 && i + n + 1 < m->n && is_single(m, i + n) &&
	       answers_same(&m->range[i].answer, &m->range[i + n + 1].answer))
		n += 2;
	return n;
}

static size_t leaf_put(struct reduction *r, const struct map *m, size_t i)
{
	size_t at = answer_put(r, &m->range[i].answer);

	for (size_t k = i + leaf_ranges(m, i) - 1; k > i; k -= 2)
		at = compare_put(r, BPF_JEQ, m->range[k - 1].from, answer_put(r, &m->range[k - 1].answer), at);
	return at;
}

/* leaf: the number of each one's first range. */
static size_t tree_put(struct reduction *r, const struct map *m, const size_t *leaf, size_t n)
{
	size_t high, low;

	if (n == 1)
		return leaf_put(r, m, *leaf);
	high = tree_put(r, m, leaf + n / 2, n - n / 2);
	low = tree_put(r, m, leaf, n / 2);
	return compare_put(r, BPF_JGE, m->range[leaf[n / 2]].from, high, low);
}

static int map_put(struct reduction *r, const struct map *m, size_t *ret)
{
	AUTO_FREE size_t *leaf = calloc(m->n, sizeof *leaf);
	size_t n = 0;

	if (!leaf)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i += leaf_ranges(m, i))
		leaf[n++] = i;
	*ret = tree_put(r, m, leaf, n);
	if (m->n > 1)
		*ret = put(r,
			   (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	return 0;
}

/* The answer for architectures that the program does not name is the one for 0; those it names are single numbers. */
static bool is_named(const struct reduction *r, size_t i)
{
	return !maps_same(&r->maps[i], &r->maps[0]);
}

static int check_named(const struct reduction *r)
{
	for (size_t i = 0; i < r->arch.n; i++)
		if (is_named(r, i) && (i + 1 == r->arch.n || r->arch.at[i + 1] != r->arch.at[i] + 1))
			return -ENOTSUP;
	return 0;
}

/* Their jumps are not longer than they were: what is not kept of what is between is left out. */
static void kept_put(struct reduction *r)
{
	for (size_t i = r->n; i-- > 0;) {
		struct sock_filter f = r->in[i];

		if (!r->kept[i])
			continue;
		if (f.code == (BPF_JMP | BPF_JA)) {
			f.k = (uint32_t)(r->len - r->moved[i + 1 + f.k]);
		} else if (is_jump(&f)) {
			f.jt = (uint8_t)(r->len - r->moved[i + 1 + f.jt]);
			f.jf = (uint8_t)(r->len - r->moved[i + 1 + f.jf]);
		}
		r->moved[i] = put(r, f);
	}
}

/* load arch; for each named one: is it that one? then to its part; else to the part of the others. What is kept is the end. */
static int write_all(struct reduction *r)
{
	size_t next, part;
	bool named = false;
	int err;

	kept_put(r);
	err = map_put(r, &r->maps[0], &next);
	/* To the highest: what is native here has the higher number, and most to ask, so it is asked for first. */
	for (size_t i = 0; i < r->arch.n && !err; i++) {
		if (!is_named(r, i))
			continue;
		named = true;
		err = map_put(r, &r->maps[i], &part);
		if (!err)
			next = compare_put(r, BPF_JEQ, r->arch.at[i], part, next);
	}
	if (err < 0)
		return err;
	if (named)
		put(r, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	else if (next != r->len) /* the one answer to everything */
		jump_put(r, next);
	return r->full ? -ENOTSUP : 0;
}

static int reduce(struct reduction *r)
{
	int err = look_through(r);

	if (!err)
		err = maps_make(r);
	if (!err)
		err = check_named(r);
	if (err < 0)
		return err;
	keep_all(r);
	err = write_all(r);
	return err < 0 ? err : r->len < r->n ? 0 : -ENOTSUP;
}

static void reduction_free(struct reduction *r)
{
	for (size_t i = 0; r->maps && i < r->arch.n; i++)
		free(r->maps[i].range);
	free(r->maps);
	free(r->arch.at);
	free(r->nr.at);
	free(r->out);
	free(r);
}

int seccomp_reduce(const struct sock_filter *in, size_t n, struct sock_filter **ret, size_t *ret_n)
{
	struct reduction *r = calloc(1, sizeof *r);
	int err = -ENOMEM;

	if (!r)
		return -ENOMEM;
	r->in = in;
	r->n = n;
	r->arch.at = calloc(2 * n + 1, sizeof *r->arch.at);
	r->nr.at = calloc(2 * n + 1, sizeof *r->nr.at);
	r->out = calloc(INSNS_MAX, sizeof *r->out);
	if (r->arch.at && r->nr.at && r->out)
		err = n && n <= INSNS_MAX ? reduce(r) : -ENOTSUP;
	if (!err) {
		memmove(r->out, r->out + INSNS_MAX - r->len, r->len * sizeof *r->out);
		*ret = take_ptr(r->out);
		*ret_n = r->len;
	}
	reduction_free(r);
	return err;
}
