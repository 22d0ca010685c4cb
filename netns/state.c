#include <stdlib.h>
#include <string.h>

#include "netns/netns.h"
#include "lib/base/str.h"

#define TOLERANCE                                                                                  \
	2000 /* ms that an address may seem to have longer or shorter: figures are whole           \
	        seconds, and the state is not read in one instant */

void net_state_free(struct net_state *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_routes; i++)
		free(s->routes[i].hops);
	free(s->links);
	free(s->addrs);
	free(s->routes);
	free(s->neighs);
	free(s);
}

void net_state_freep(struct net_state **s)
{
	net_state_free(*s);
	*s = NULL;
}

static int compare_index(const void *key, const void *item)
{
	const unsigned *index = key;
	const struct net_link *link = item;

	return *index < link->index ? -1 : *index > link->index;
}

const struct net_link *net_state_link(const struct net_state *s, unsigned index)
{
	if (s->n_links == 0)
		return NULL;
	return bsearch(&index, s->links, s->n_links, sizeof(*s->links), compare_index);
}

bool net_state_wants_endpoint(const struct net_state *s, const struct net_link *link)
{
	if (link->flags & IFF_LOOPBACK)
		return false;
	if (link->master && !str_eq(link->kind, "tun"))
		return false;
	if (link->flags & IFF_UP)
		return true;
	for (size_t i = 0; i < s->n_addrs; i++)
		if (s->addrs[i].link == link->index)
			return true;
	return false;
}

/* ---- comparison. All is zeroed before it is filled, so that bytes can be compared ---- */

static int compare_links(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct net_link));
}

static int compare_addrs(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct net_addr, valid));
}

static int compare_neighs(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct net_neigh));
}

static int compare_routes(const void *a, const void *b)
{
	const struct net_route *x = a, *y = b;
	const size_t skip = offsetof(struct net_route, n_hops);
	int r = memcmp((const char *)a + skip, (const char *)b + skip, sizeof(*x) - skip);

	if (r != 0 || x->n_hops == 0)
		return r;
	return memcmp(x->hops, y->hops, x->n_hops * sizeof(*x->hops));
}

static void *sorted(const void *list, size_t n, size_t size,
                    int (*compare)(const void *a, const void *b))
{
	void *copy = xmemdup(list, n * size);

	qsort(copy, n, size, compare);
	return copy;
}

static bool same_set(const void *a, const void *b, size_t n, size_t size,
                     int (*compare)(const void *a, const void *b))
{
	auto_free char *x = NULL, *y = NULL;

	if (n == 0)
		return true;
	x = sorted(a, n, size, compare);
	y = sorted(b, n, size, compare);
	for (size_t i = 0; i < n; i++)
		if (compare(x + i * size, y + i * size) != 0)
			return false;
	return true;
}

static bool same_end(uint32_t a, uint64_t when_a, uint32_t b, uint64_t when_b)
{
	uint64_t end_a = when_a + a * 1000ull, end_b = when_b + b * 1000ull;

	if (a == UINT32_MAX || b == UINT32_MAX || a == 0 || b == 0)
		return a == b;
	return (end_a > end_b ? end_a - end_b : end_b - end_a) <= TOLERANCE;
}

/* Of two sets that are the same otherwise. */
static bool same_lifetimes(const struct net_state *a, const struct net_state *b)
{
	auto_free struct net_addr *x = NULL, *y = NULL;

	if (a->n_addrs == 0)
		return true;
	x = sorted(a->addrs, a->n_addrs, sizeof(*x), compare_addrs);
	y = sorted(b->addrs, b->n_addrs, sizeof(*y), compare_addrs);
	for (size_t i = 0; i < a->n_addrs; i++)
		if (!same_end(x[i].valid, a->when, y[i].valid, b->when) ||
		    !same_end(x[i].preferred, a->when, y[i].preferred, b->when))
			return false;
	return true;
}

bool net_state_equal(const struct net_state *a, const struct net_state *b)
{
	return a->n_links == b->n_links && a->n_addrs == b->n_addrs && a->n_routes == b->n_routes &&
	       a->n_neighs == b->n_neighs &&
	       same_set(a->links, b->links, a->n_links, sizeof(*a->links), compare_links) &&
	       same_set(a->addrs, b->addrs, a->n_addrs, sizeof(*a->addrs), compare_addrs) &&
	       same_set(a->routes, b->routes, a->n_routes, sizeof(*a->routes), compare_routes) &&
	       same_set(a->neighs, b->neighs, a->n_neighs, sizeof(*a->neighs), compare_neighs) &&
	       same_lifetimes(a, b);
}
