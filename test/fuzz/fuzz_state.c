/* The files of a container: up to the first zero byte its journal, the rest its state.json.
 * Whatever they hold, the container is the one of the directory, and what was understood is
 * written and read again as the same. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/state.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[] = "/tmp/vcrt-fuzz-state-XXXXXX";

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void clean_up(void)
{
	auto_error struct error err = { 0 };

	fs_remove_tree_at(AT_FDCWD, root, &err);
}

static int directory(void)
{
	static int dirfd = -1;
	auto_free char *dir = NULL;

	if (dirfd >= 0)
		return dirfd;
	must(mkdtemp(root) != NULL);
	atexit(clean_up);
	dir = str_fmt("%s/c", root);
	must(mkdir(dir, 0700) == 0);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dirfd >= 0);
	return dirfd;
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
	int fd = openat(directory(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && fs_write_all(fd, data, size) == 0);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
	size_t journal = zero ? (size_t)(zero - data) : size;
	auto_error struct error err = { 0 };
	auto_record struct record *r = NULL, *again = NULL;
	auto_json struct json *first = NULL, *second = NULL;

	write_file("vcrt.journal", data, journal);
	if (zero)
		write_file("state.json", zero + 1, size - journal - 1);
	else
		unlinkat(directory(), "state.json", 0);
	r = record_load(root, "c", NULL, &err);
	must(r && !err.code && r->oci && str_eq(r->oci->id, "c"));
	must(r->oci->status && r->oci->bundle && record_status(r));
	first = record_to_json(r);
	again = record_new("c", "");
	again->creator = (struct proc_ref){ 0 };
	/* A record of which nothing was understood, or of a create that was killed in its first
	 * line, is no whole state. */
	if (r->problem || !*r->oci->bundle)
		return 0;
	must(record_merge(again, first, &err) == 0);
	second = record_to_json(again);
	must(json_equal(first, second));
	return 0;
}
