/* A temporary directory for a test that wants files, and what every unit test's main() does. A
 * failure here fails the test. */
#pragma once

#include <check.h>

/* Make the directory; as setup of a checked fixture, with scratch_remove() as its teardown. */
const char *scratch_new(void);
void scratch_setup(void);
const char *scratch_root(void);
void scratch_remove(void);

/* Paths are relative to the directory; missing parents are made. */
char *scratch_path(const char *rel); /* owned by the caller */
void scratch_dir(const char *rel);
void scratch_file(const char *rel, const char *content);
void scratch_link(const char *target, const char *rel);
char *scratch_read(const char *rel); /* a small file's content, owned by the caller */
void scratch_expect(const char *rel, const char *content);

/* From now on this process may mount what it likes, seen by nobody else. Unmount before
 * scratch_remove(). */
void scratch_unshare_mounts(void);

int scratch_count_fds(void); /* open ones of this process */

/* Run the case as a suite of its own; the exit status for main(). */
int scratch_run(TCase *tc);
