/* Writing back the share, which may take long or hang: a process of its own does it, which stays
 * for the next time. */
#pragma once

struct error;
struct loop;
struct writer;

/* done() is called from the loop: what containers had changed in the share before writer_start() is
 * with the host, or could not be brought there (a warning). */
struct writer *writer_new(struct loop *loop, void (*done)(void *arg), void *arg);
void writer_free(struct writer *w); /* done() is not called; NULL is fine */
/* Make the process now. */
int writer_prepare(struct writer *w, struct error *err);
/* One at a time. -errno: there is no process to do it, and done() is not called. */
int writer_start(struct writer *w, struct error *err);
