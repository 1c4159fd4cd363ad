/* base/list.h - intrusive doubly linked list. A link says in its declaration which list it is for. */
#pragma once

#include "base/own.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(l) ((struct list){&(l), &(l)})

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_before_(struct list *at, struct list *link)
{
	link->prev = at->prev;
	link->next = at;
	at->prev->next = link;
	at->prev = link;
}

static inline void list_push(struct list *l, struct list *link) /* at the end */
{
	list_add_before_(l, link);
}

static inline void list_push_front(struct list *l, struct list *link)
{
	list_add_before_(l->next, link);
}

/* Harmless on a link that list_init made or that was deleted before. */
static inline void list_del(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

static inline struct list *list_pop_(struct list *l)
{
	struct list *first = l->next;

	if (first == l)
		return NULL;
	list_del(first);
	return first;
}

#define list_entry(link, type, member) container_of(link, type, member)
#define list_first(l, type, member)    (list_empty(l) ? NULL : list_entry((l)->next, type, member))
#define list_pop(l, type, member)                                                                                      \
	({                                                                                                             \
		struct list *popped_ = list_pop_(l);                                                                   \
		popped_ ? list_entry(popped_, type, member) : NULL;                                                    \
	})

/* The body may delete the current entry. */
#define list_each(it, l, member)                                                                                       \
	for (struct list *at_ = (l)->next, *next_ = at_->next;                                                         \
	     at_ != (l) && ((it) = list_entry(at_, __typeof__(*(it)), member), 1); at_ = next_, next_ = at_->next)
