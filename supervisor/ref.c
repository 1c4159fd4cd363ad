/* supervisor/ref.c - see supervisor/ref.h */
#include "supervisor/ref.h"

#include <errno.h>
#include <string.h>

struct table_node *ref_find(const struct table *t, const struct ref_kind *kind, const struct principal *who,
			    const char *ref, struct err *e)
{
	struct table_node *n, *own = NULL, *other = NULL;
	unsigned n_own = 0, n_other = 0;

	list_each (n, &t->all, link) {
		const Berth__Meta *m = kind->seen(who, n);

		if (m && !strcmp(m->uuid, ref))
			return n;
		if (!m || strcmp(m->name, ref) != 0)
			continue;
		if (!strcmp(m->project, who->project)) {
			own = n;
			n_own++;
		} else {
			other = n;
			n_other++;
		}
	}
	if (n_own == 1 || (!n_own && n_other == 1))
		return n_own ? own : other;
	if (n_own || n_other)
		err_set(e, ENOTUNIQ, kind->field, "several %s are called '%.100s': name one by its uuid", kind->all,
			ref);
	else
		err_set(e, ENOENT, kind->field, "there is no %s '%.200s'", kind->one, ref);
	return NULL;
}
