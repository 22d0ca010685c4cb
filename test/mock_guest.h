/* An engine for tests of the guest's server: processes that are only names. What they are given as
 * stdio is kept, so that a test can play the process. */
#pragma once

#include "agent/guest/guest.h"

/* The memory limit that cannot be set. */
#define MOCK_BAD_LIMIT 666
/* A hostname is warned about, with its name; "chatty" 10000 times. */
/* With a process "flood" the list of the container's processes is longer than an answer may be. */
/* With "notify", a container is ready as it starts. */

/* How many descriptors of a process are kept. */
#define MOCK_FDS 8

/* The one that the server has made last. */
struct guest *mock_guest_last(void);

/* The descriptors of the only process with that name; -1: it has none, or is gone. */
int mock_guest_fd(struct guest *g, const char *container, const char *process, int fd);
/* From now on, each time that the share is written back. */
void mock_guest_sync_takes(int ms);
/* The process ends; leak: somebody else (a background process) keeps its descriptors. */
/* A program named "slow" is only launched now. */
void mock_guest_launched(struct guest *g);
/* A "network" request with "slow" is answered now; code: 0 or an errno value. */
void mock_guest_network_done(struct guest *g, int code);
void mock_guest_exit(struct guest *g, const char *container, const char *process, int code,
                     bool leak);
