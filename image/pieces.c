/* image/pieces.c - see image/pieces.h. A ring: those from `used` on, `full` of them, are made and not yet used up. */
#include "image/pieces.h"

#include <pthread.h>
#include <stdlib.h>

struct pieces {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* there are two threads: never more than one waits */
	unsigned used, full;
	bool taken; /* the first of the full ones is being used */
	bool ended, stopped;
	struct piece piece[PIECES];
};

struct pieces *pieces_new(void)
{
	struct pieces *p = malloc(sizeof *p);

	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->used = p->full = 0;
	p->taken = p->ended = p->stopped = false;
	return p;
}

void pieces_free(struct pieces *p)
{
	if (!p)
		return;
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct piece *pieces_room(struct pieces *p)
{
	struct piece *piece;

	pthread_mutex_lock(&p->lock);
	while (p->full == PIECES && !p->stopped)
		pthread_cond_wait(&p->changed, &p->lock);
	piece = p->stopped ? NULL : &p->piece[(p->used + p->full) % PIECES];
	pthread_mutex_unlock(&p->lock);
	return piece;
}

void pieces_put(struct pieces *p)
{
	pthread_mutex_lock(&p->lock);
	p->full++;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void pieces_end(struct pieces *p)
{
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

const struct piece *pieces_next(struct pieces *p)
{
	const struct piece *piece;

	pthread_mutex_lock(&p->lock);
	if (p->taken) {
		p->used = (p->used + 1) % PIECES;
		p->full--;
		pthread_cond_signal(&p->changed);
	}
	while (!p->full && !p->ended)
		pthread_cond_wait(&p->changed, &p->lock);
	p->taken = p->full;
	piece = p->taken ? &p->piece[p->used] : NULL;
	pthread_mutex_unlock(&p->lock);
	return piece;
}

void pieces_stop(struct pieces *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopped = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}
