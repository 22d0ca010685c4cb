/* The OCI runtime specification 1.3.0 as C structs: config.json for Linux and VM, process.json
 * (exec), the Linux resources (update) and the state document. Host library and guest agent use
 * the same structs. Pure: no I/O but reading the file that holds the document. The structs are in
 * types.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oci/types.h"
#include "lib/base/mem.h"

struct error;
struct json;

#define OCI_VERSION "1.3.0"     /* what we implement; every 1.x is accepted */
#define OCI_MAX_SIZE (4u << 20) /* longest document that is read, in bytes */

#define auto_oci_spec auto_(oci_spec_freep)
#define auto_oci_process auto_(oci_process_freep)
#define auto_oci_resources auto_(oci_resources_freep)
#define auto_oci_state auto_(oci_state_freep)

/* Readers return NULL and fill err (EINVAL; E2BIG when longer than OCI_MAX_SIZE) if the text is no
 * JSON or a known field has the wrong type or range: "process.user.uid: expected a number, ...".
 * They do not check the meaning; that is what the _validate functions do, which must be called
 * before the values are trusted. */
struct oci_spec *oci_spec_parse(const char *text, size_t len, struct error *err);
struct oci_spec *oci_spec_read(int dirfd, const char *path, struct error *err);
struct oci_spec *oci_spec_from_json(const struct json *j, struct error *err);
struct json *oci_spec_to_json(const struct oci_spec *spec);
struct oci_spec *oci_spec_copy(const struct oci_spec *spec);
void oci_spec_free(struct oci_spec *spec);
void oci_spec_freep(struct oci_spec **spec);

/* A process alone: process.json of exec, or a part of a message. */
struct oci_process *oci_process_parse(const char *text, size_t len, struct error *err);
struct oci_process *oci_process_read(int dirfd, const char *path, struct error *err);
struct oci_process *oci_process_from_json(const struct json *j, struct error *err);
struct json *oci_process_to_json(const struct oci_process *process);
struct oci_process *oci_process_copy(const struct oci_process *process);
void oci_process_free(struct oci_process *process);
void oci_process_freep(struct oci_process **process);

/* linux.resources alone: the document of update. */
struct oci_resources *oci_resources_parse(const char *text, size_t len, struct error *err);
struct oci_resources *oci_resources_read(int dirfd, const char *path, struct error *err);
struct oci_resources *oci_resources_from_json(const struct json *j, struct error *err);
struct json *oci_resources_to_json(const struct oci_resources *resources);
struct oci_resources *oci_resources_copy(const struct oci_resources *resources);
void oci_resources_free(struct oci_resources *resources);
void oci_resources_freep(struct oci_resources **resources);

/* What "state" prints. */
struct oci_state *oci_state_parse(const char *text, size_t len, struct error *err);
struct oci_state *oci_state_read(int dirfd, const char *path, struct error *err);
struct oci_state *oci_state_from_json(const struct json *j, struct error *err);
struct json *oci_state_to_json(const struct oci_state *state);
struct oci_state *oci_state_copy(const struct oci_state *state);
void oci_state_free(struct oci_state *state);
void oci_state_freep(struct oci_state **state);

/* The MUSTs of the specification that can be checked without a look at the machine. 0 or -EINVAL
 * with err naming the path. Left to the caller:
 *  - A spec without process is valid (only start needs one): check spec->process.
 *  - Optional strings may be empty, which is the same as absent.
 *  - Unknown capabilities are valid; whoever applies them warns.
 *  - A state may be of any version: it only needs to be one. */
int oci_spec_validate(const struct oci_spec *spec, struct error *err);
int oci_process_validate(const struct oci_process *process, struct error *err);
int oci_resources_validate(const struct oci_resources *resources, struct error *err);
int oci_state_validate(const struct oci_state *state, struct error *err);

/* ---- cgroup version 2 (cgroup2.c) ---- */

/* Refuse (-ENOTSUP) what version 2, and so a guest, does not have. r may be NULL. */
int oci_cgroup2_check(const struct oci_resources *r, struct error *err);
uint64_t oci_cpu_weight(uint64_t shares); /* [2, 262144] to [1, 10000]; 0 is "not set" */
uint64_t oci_io_weight(uint16_t weight);  /* [10, 1000] to [1, 10000]; 0 is "not set" */
/* Version 1 counts memory and swap together, version 2 swap alone. 1: *max is the limit of swap
 * that is asked for, -1 for none; 0: nothing is; -EINVAL. */
int oci_swap_max(const struct oci_memory *m, int64_t *max, struct error *err);
/* The text for cpu.max, owned by the caller; NULL when neither quota nor period is asked for. now:
 * what the file says, to keep the one that is not; may be NULL. */
char *oci_cpu_max(const struct oci_cpu *c, const char *now);

/* Refuse what no VM of ours can offer, whatever its size. 0 or -ENOTSUP with err naming the
 * property; the document is valid. */
int oci_spec_check_vm(const struct oci_spec *spec, struct error *err);

/* ---- finding and changing ---- */

/* First element with that key or type, NULL when there is none (or no array at all). */
struct oci_mount *oci_spec_find_mount(const struct oci_spec *spec, const char *destination);
struct oci_namespace *oci_namespace_find(const struct oci_spec *spec, const char *type);
/* linux.resources, NULL when there is none. */
struct oci_resources *oci_resources_of(const struct oci_spec *spec);
const char *oci_annotation_get(const struct oci_spec *spec, const char *key);

void oci_annotation_set(struct oci_spec *spec, const char *key, const char *value); /* copies */
void oci_annotation_del(struct oci_spec *spec, const char *key);

/* Append a zeroed element, to be filled by the caller. The address is valid until the next add. */
struct oci_mount *oci_spec_add_mount(struct oci_spec *spec);
struct oci_device *oci_spec_add_device(struct oci_spec *spec); /* makes linux_ when missing */
struct oci_namespace *oci_spec_add_namespace(struct oci_spec *spec, const char *type,
                                             const char *path);

/* Remove and free the element with index i; later ones move down. */
void oci_spec_del_mount(struct oci_spec *spec, size_t i);
void oci_spec_del_device(struct oci_spec *spec, size_t i);
void oci_spec_del_net_device(struct oci_spec *spec, size_t i);
void oci_hooks_del_create_container(struct oci_hooks *hooks, size_t i);
void oci_spec_del_namespace(struct oci_spec *spec, size_t i);

/* Parts that must not reach the guest; _freep sets the pointer to NULL. */
void oci_block_io_free(struct oci_block_io *block_io);
void oci_block_io_freep(struct oci_block_io **block_io);
void oci_hooks_free(struct oci_hooks *hooks);
void oci_hooks_freep(struct oci_hooks **hooks);
void oci_seccomp_free(struct oci_seccomp *seccomp);
void oci_seccomp_freep(struct oci_seccomp **seccomp);
void oci_vm_free(struct oci_vm *vm);
void oci_vm_freep(struct oci_vm **vm);

/* ---- names and numbers ---- */

/* A signal as "kill" takes it: number, KILL, SIGKILL, RTMIN+n, RTMAX-n, in any case. The number
 * (1 to 64) or -EINVAL: unknown signal "BADSIG". */
int oci_signal_parse(const char *s, struct error *err);
const char *oci_signal_name(int number); /* "SIGKILL"; NULL: no name */

int oci_namespace_flag(const char *type); /* CLONE_NEW*, 0: unknown */
const char *oci_namespace_name(int flag); /* NULL: unknown */
/* The next range of a list of CPUs or memory nodes such as "0-3, 7", in which blanks and empty
 * elements do not matter. 1: *first to *last, at most OCI_MAX_CPU; 0: there is no more; -EINVAL:
 * not a list. */
#define OCI_MAX_CPU 1023
int oci_next_cpus(const char **list, unsigned *first, unsigned *last);
int oci_rlimit_number(const char *type); /* RLIMIT_*, -1: unknown */
int oci_cap_number(const char *name);    /* "CAP_KILL": 5; -1: unknown */
const char *oci_cap_name(int number);    /* NULL: unknown */

/* All names the specification and this code know, NULL-terminated (for "features"). Capabilities
 * are indexed by their number. */
/* Options of mounts; file systems have more of their own. */
extern const char *const oci_mount_options[];
extern const char *const oci_hook_names[];
extern const char *const oci_namespace_types[];
extern const char *const oci_cap_names[];
extern const char *const oci_seccomp_actions[];
extern const char *const oci_seccomp_operators[];
extern const char *const oci_seccomp_archs[];
extern const char *const oci_seccomp_flags[];
extern const char *const oci_policy_modes[]; /* of linux.memoryPolicy */
extern const char *const oci_policy_flags[];
