#include "netns/libnl-internal.h"
#include "netns/netns.h"
#include "lib/base/error.h"

#define LIBRARY "libnl-route-3.so.200" /* which needs the other one */

struct libnl libnl;

int netns_load(struct error *err)
{
	static const char *const names[] = { LIBNL_FUNCTIONS(LIBRARY_NAME) NULL };
	struct libnl loaded;

	if (libnl.nl_socket_alloc)
		return 0;
	if (!library_load(LIBRARY, names, &loaded, err))
		return -err->code;
	libnl = loaded;
	return 0;
}
