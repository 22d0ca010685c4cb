#include "lib/base/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "lib/base/error.h"

void *library_load(const char *file, const char *const *names, void *table, struct error *err)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		error_set(err, ENOTSUP, "load '%s': %s", file, dlerror());
		return NULL;
	}
	for (size_t i = 0; names[i]; i++) {
		void *function = dlsym(library, names[i]);

		if (!function) {
			error_set(err, ENOTSUP, "'%s' is too old: it has no %s", file, names[i]);
			dlclose(library);
			return NULL;
		}
		memcpy((char *)table + i * sizeof(function), &function, sizeof(function));
	}
	return library;
}
