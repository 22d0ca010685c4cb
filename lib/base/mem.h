/* Memory and scope-bound owners. Out of memory ends the process, so nothing here returns NULL
 * for want of memory; lengths that come from outside are capped by the caller first. */
#pragma once

#include <stddef.h>

#define auto_(cleaner) __attribute__((cleanup(cleaner)))
#define auto_free auto_(auto_freep)
#define auto_close auto_(auto_closep) /* keeps errno, skips -1 */

void *xmalloc(size_t size);
void *xzalloc(size_t size);
void *xcalloc(size_t n, size_t size); /* zeroed; ends the process when n * size overflows */
void *xrealloc(void *p, size_t size);
void *xreallocarray(void *p, size_t n, size_t size);
void *xmemdup(const void *p, size_t size);

void auto_freep(void *pp);
void auto_closep(int *fd);

/* Close *fd unless it is -1, keep errno, leave -1 behind. */
void close_fd(int *fd);

/* Hand an owner's content to the caller and leave the owner empty. */
static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#define steal_ptr(pp)                                                                              \
	({                                                                                         \
		__typeof__(*(pp)) stolen_ = *(pp);                                                 \
		*(pp) = NULL;                                                                      \
		stolen_;                                                                           \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
