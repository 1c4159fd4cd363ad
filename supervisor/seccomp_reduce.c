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

#define INSNS_MAX 4096 /* the kernel's BPF_MAXINSNS */
#define JUMP_MAX  255

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

struct reduction {
	const struct sock_filter *in;
	size_t n;
	uint8_t seen[INSNS_MAX]; /* bits of enum word: what the accumulator may hold there */
	struct places arch, nr;
	struct map *maps; /* one for each place of arch */
	bool kept[INSNS_MAX];
	uint32_t moved[INSNS_MAX]; /* of what is kept: its new place, counted from the first one kept */
	struct sock_filter *out;
	size_t len;
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
	uint32_t n = 0;

	for (size_t i = 0; i < r->arch.n; i++)
		for (size_t k = 0; k < r->maps[i].n; k++)
			if (r->maps[i].range[k].answer.open)
				r->kept[r->maps[i].range[k].answer.value] = true;
	for (size_t i = 0; i < r->n; i++) {
		const struct sock_filter *f = &r->in[i];

		if (!r->kept[i])
			continue;
		r->moved[i] = n++;
		if (f->code == (BPF_JMP | BPF_JA))
			r->kept[i + 1 + f->k] = true;
		else if (is_jump(f))
			r->kept[i + 1 + f->jt] = r->kept[i + 1 + f->jf] = true;
		else if (BPF_CLASS(f->code) != BPF_RET)
			r->kept[i + 1] = true;
	}
}

/* ---------------------------------------------------------------- writing */

static void put(struct reduction *r, struct sock_filter f)
{
	if (r->len < INSNS_MAX)
		r->out[r->len] = f;
	r->len++;
}

/* Leaves and, between them, one comparison each; one more where a jump is too far. */
static size_t tree_size(const struct range *range, size_t n)
{
	size_t left;

	if (n == 1)
		return 1;
	left = tree_size(range, n / 2);
	return 1 + (left > JUMP_MAX) + left + tree_size(range + n / 2, n - n / 2);
}

/* kept: where the first instruction that is kept will be. */
static void tree_put(struct reduction *r, const struct range *range, size_t n, size_t kept)
{
	size_t left;

	if (n == 1 && range->answer.open) {
		put(r, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA,
						    (uint32_t)(kept + r->moved[range->answer.value] - r->len - 1)));
		return;
	}
	if (n == 1) {
		put(r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, range->answer.value));
		return;
	}
	left = tree_size(range, n / 2);
	if (left <= JUMP_MAX) {
		put(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, range[n / 2].from, (uint8_t)left, 0));
	} else {
		put(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, range[n / 2].from, 0, 1));
		put(r, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)left));
	}
	tree_put(r, range, n / 2, kept);
	tree_put(r, range + n / 2, n - n / 2, kept);
}

static size_t map_size(const struct map *m)
{
	return (m->n > 1) + tree_size(m->range, m->n);
}

static void map_put(struct reduction *r, const struct map *m, size_t kept)
{
	if (m->n > 1)
		put(r, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	tree_put(r, m->range, m->n, kept);
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

/* load arch; for each named one: is it that one? else over its part; at last the others; then what is kept. */
static void write_all(struct reduction *r)
{
	size_t kept = 1 + map_size(&r->maps[0]), at;

	for (size_t i = 0; i < r->arch.n; i++)
		kept += is_named(r, i) ? 2 + map_size(&r->maps[i]) : 0;
	put(r, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	/* From the highest down: what is native here has the higher number, and most to ask. */
	for (size_t i = r->arch.n; i-- > 0;) {
		if (!is_named(r, i))
			continue;
		put(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->arch.at[i], 1, 0));
		put(r, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)map_size(&r->maps[i])));
		map_put(r, &r->maps[i], kept);
	}
	map_put(r, &r->maps[0], kept);
	for (size_t i = 0; i < r->n; i++) {
		struct sock_filter f = r->in[i];

		if (!r->kept[i])
			continue;
		at = r->moved[i] + 1;
		if (f.code == (BPF_JMP | BPF_JA)) {
			f.k = (uint32_t)(r->moved[i + 1 + f.k] - at);
		} else if (is_jump(&f)) {
			/* Nearer than it was. */
			f.jt = (uint8_t)(r->moved[i + 1 + f.jt] - at);
			f.jf = (uint8_t)(r->moved[i + 1 + f.jf] - at);
		}
		put(r, f);
	}
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
	write_all(r);
	return r->len < r->n ? 0 : -ENOTSUP;
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
		*ret = take_ptr(r->out);
		*ret_n = r->len;
	}
	reduction_free(r);
	return err;
}
