/* Shared libraries that few of our processes need: they are loaded by those. */
#pragma once

struct error;

/* Load it, and set the pointers in table, which are as many as the names and in their order (NULL
 * after the last). The handle, for dlclose(), or NULL. */
void *library_load(const char *file, const char *const *names, void *table, struct error *err);

/* For a list of functions FUNCTIONS(X), each as X(name), whose declarations are known:
 *
 *	struct functions { FUNCTIONS(LIBRARY_FIELD) };
 *	static const char *const names[] = { FUNCTIONS(LIBRARY_NAME) NULL };
 */
#define LIBRARY_FIELD(name) __typeof__(name) *name;
#define LIBRARY_NAME(name) #name,
