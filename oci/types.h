/* The structs of the OCI runtime specification 1.3.0 (oci.h), and how they map the JSON: one idiom
 * for everything.
 *  - A member is named like its JSON key in snake_case (additionalGids: additional_gids). The one
 *    exception is linux_, because gnu11 defines linux as a macro.
 *  - Number or boolean X: the value, and a "bool has_X" beside it. Absent: has_X false, X zero.
 *    Who builds a struct sets both.
 *  - String: char *, NULL when absent. Array of strings: NULL-terminated char **, NULL when absent
 *    ("[]" is a vector of no strings). Handle with str.h.
 *  - Object: a pointer, NULL when absent. (process->user is embedded, with has_user.)
 *  - Array of X: "X *a; size_t n_a". Absent: a is NULL; "[]" is a non-NULL pointer and n_a 0.
 *  - Object used as a map (annotations, sysctl, unified, rdma, netDevices): an array as above, the
 *    element's key is in its member "key"; in the order of the text.
 *  - Keys that this file does not know (other platforms, later versions, extensions) are kept in
 *    "extra" of their object, so that writing back loses nothing. So are keys with the value null,
 *    which mean "absent". Writing prefers the member when both are there.
 * Everything in a struct is malloc()ed and owned by it: change it with free and str_dup, build it
 * with xzalloc. Arrays are plain memory; the functions of oci.h add and remove elements. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json;

/* An element of a map from string to string. */
struct oci_pair {
	char *key;
	char *value;
};

struct oci_root {
	struct json *extra;
	char *path;
	bool has_readonly, readonly;
};

struct oci_id_mapping {
	struct json *extra;
	bool has_container_id, has_host_id, has_size;
	uint32_t container_id, host_id, size;
};

struct oci_mount {
	struct json *extra;
	char *destination; /* a relative one is relative to "/" */
	char *type;
	char *source;
	char **options;
	struct oci_id_mapping *uid_mappings;
	size_t n_uid_mappings;
	struct oci_id_mapping *gid_mappings;
	size_t n_gid_mappings;
};

/* ---- process ---- */

struct oci_console_size {
	struct json *extra;
	bool has_height, has_width;
	uint64_t height, width;
};

struct oci_user {
	struct json *extra;
	bool has_uid, has_gid, has_umask;
	uint32_t uid, gid, umask;
	uint32_t *additional_gids;
	size_t n_additional_gids;
	char *username; /* not used on Linux */
};

struct oci_capabilities {
	struct json *extra;
	char **bounding;
	char **effective;
	char **inheritable;
	char **permitted;
	char **ambient;
};

struct oci_rlimit {
	struct json *extra;
	char *type; /* "RLIMIT_NOFILE", see oci_rlimit_number() */
	bool has_soft, has_hard;
	uint64_t soft, hard;
};

struct oci_scheduler {
	struct json *extra;
	char *policy;
	bool has_nice, has_priority, has_runtime, has_deadline, has_period;
	int32_t nice, priority;
	char **flags;
	uint64_t runtime, deadline, period; /* nanoseconds */
};

struct oci_io_priority {
	struct json *extra;
	char *class;
	bool has_priority;
	int32_t priority;
};

struct oci_exec_cpu_affinity {
	struct json *extra;
	char *initial;
	char *final;
};

struct oci_process {
	struct json *extra;
	bool has_terminal, terminal;
	bool has_user;
	struct oci_user user;
	struct oci_console_size *console_size;
	char *cwd;
	char **env;
	char **args;
	char *command_line; /* not used on Linux */
	struct oci_capabilities *capabilities;
	struct oci_rlimit *rlimits;
	size_t n_rlimits;
	char *apparmor_profile;
	bool has_oom_score_adj;
	int32_t oom_score_adj;
	char *selinux_label;
	bool has_no_new_privileges, no_new_privileges;
	struct oci_io_priority *io_priority;
	struct oci_scheduler *scheduler;
	struct oci_exec_cpu_affinity *exec_cpu_affinity;
};

/* ---- hooks ---- */

struct oci_hook {
	struct json *extra;
	char *path;
	char **args;
	char **env; /* NULL: the runtime's own environment */
	bool has_timeout;
	int64_t timeout; /* seconds */
};

struct oci_hooks {
	struct json *extra;
	struct oci_hook *prestart;
	size_t n_prestart;
	struct oci_hook *create_runtime;
	size_t n_create_runtime;
	struct oci_hook *create_container;
	size_t n_create_container;
	struct oci_hook *start_container;
	size_t n_start_container;
	struct oci_hook *poststart;
	size_t n_poststart;
	struct oci_hook *poststop;
	size_t n_poststop;
};

/* ---- linux.resources ---- */

struct oci_device_cgroup {
	struct json *extra;
	bool has_allow, allow;
	char *type;                /* "a" (also when absent), "c" or "b" */
	bool has_major, has_minor; /* absent or -1: every number */
	int64_t major, minor;
	char *access; /* some of "rwm" */
};

struct oci_memory {
	struct json *extra;
	bool has_limit, has_reservation, has_swap, has_kernel, has_kernel_tcp, has_swappiness;
	bool has_disable_oom_killer, has_use_hierarchy, has_check_before_update;
	int64_t limit, reservation, swap, kernel, kernel_tcp; /* bytes, -1: no limit */
	uint64_t swappiness;
	bool disable_oom_killer, use_hierarchy, check_before_update;
};

struct oci_cpu {
	struct json *extra;
	bool has_shares, has_quota, has_burst, has_period;
	bool has_realtime_runtime, has_realtime_period, has_idle;
	uint64_t shares;
	int64_t quota;          /* microseconds per period, negative: no limit */
	uint64_t burst, period; /* microseconds */
	int64_t realtime_runtime;
	uint64_t realtime_period;
	char *cpus;
	char *mems;
	int64_t idle;
};

struct oci_pids {
	struct json *extra;
	bool has_limit;
	int64_t limit;
};

struct oci_weight_device {
	struct json *extra;
	bool has_major, has_minor, has_weight, has_leaf_weight;
	int64_t major, minor;
	uint16_t weight, leaf_weight;
};

struct oci_throttle_device {
	struct json *extra;
	bool has_major, has_minor, has_rate;
	int64_t major, minor;
	uint64_t rate;
};

struct oci_block_io {
	struct json *extra;
	bool has_weight, has_leaf_weight;
	uint16_t weight, leaf_weight;
	struct oci_weight_device *weight_device;
	size_t n_weight_device;
	struct oci_throttle_device *throttle_read_bps_device;
	size_t n_throttle_read_bps_device;
	struct oci_throttle_device *throttle_write_bps_device;
	size_t n_throttle_write_bps_device;
	struct oci_throttle_device *throttle_read_iops_device;
	size_t n_throttle_read_iops_device;
	struct oci_throttle_device *throttle_write_iops_device;
	size_t n_throttle_write_iops_device;
};

struct oci_hugepage_limit {
	struct json *extra;
	char *page_size; /* "2MB" */
	bool has_limit;
	uint64_t limit; /* bytes */
};

struct oci_network_priority {
	struct json *extra;
	char *name;
	bool has_priority;
	uint32_t priority;
};

struct oci_network {
	struct json *extra;
	bool has_class_id;
	uint32_t class_id;
	struct oci_network_priority *priorities;
	size_t n_priorities;
};

struct oci_rdma {
	struct json *extra;
	char *key; /* name of the RDMA device */
	bool has_hca_handles, has_hca_objects;
	uint32_t hca_handles, hca_objects;
};

struct oci_resources {
	struct json *extra;
	struct oci_device_cgroup *devices;
	size_t n_devices;
	struct oci_memory *memory;
	struct oci_cpu *cpu;
	struct oci_pids *pids;
	struct oci_block_io *block_io;
	struct oci_hugepage_limit *hugepage_limits;
	size_t n_hugepage_limits;
	struct oci_network *network;
	struct oci_rdma *rdma;
	size_t n_rdma;
	struct oci_pair *unified; /* cgroup v2 file name: content */
	size_t n_unified;
};

/* ---- linux ---- */

struct oci_namespace {
	struct json *extra;
	char *type; /* "network", see oci_namespace_flag() */
	char *path; /* NULL or "": a new one */
};

struct oci_device {
	struct json *extra;
	char *type; /* "c", "b", "u" or "p" */
	char *path;
	bool has_major, has_minor, has_file_mode, has_uid, has_gid;
	int64_t major, minor;
	uint32_t file_mode; /* may include the bits of the file type: mask with 07777 */
	uint32_t uid, gid;
};

struct oci_net_device {
	struct json *extra;
	char *key;  /* name on the host */
	char *name; /* in the container; NULL: the same */
};

struct oci_seccomp_arg {
	struct json *extra;
	bool has_index, has_value, has_value_two;
	uint32_t index;
	uint64_t value, value_two;
	char *op;
};

struct oci_seccomp_syscall {
	struct json *extra;
	char **names;
	char *action;
	bool has_errno_ret;
	uint32_t errno_ret;
	struct oci_seccomp_arg *args;
	size_t n_args;
};

struct oci_seccomp {
	struct json *extra;
	char *default_action;
	bool has_default_errno_ret;
	uint32_t default_errno_ret;
	char **architectures;
	char **flags;
	char *listener_path;
	char *listener_metadata;
	struct oci_seccomp_syscall *syscalls;
	size_t n_syscalls;
};

struct oci_intel_rdt {
	struct json *extra;
	char *clos_id;
	char **schemata;
	char *l3_cache_schema;
	char *mem_bw_schema;
	bool has_enable_monitoring, enable_monitoring;
};

struct oci_memory_policy {
	struct json *extra;
	char *mode;
	char *nodes; /* see oci_next_cpus() */
	char **flags;
};

struct oci_personality {
	struct json *extra;
	char *domain;
	char **flags;
};

struct oci_time_offset {
	struct json *extra;
	bool has_secs, has_nanosecs;
	int64_t secs;
	uint32_t nanosecs;
};

struct oci_time_offsets {
	struct json *extra;
	struct oci_time_offset *boottime;
	struct oci_time_offset *monotonic;
};

struct oci_linux {
	struct json *extra;
	struct oci_namespace *namespaces;
	size_t n_namespaces;
	struct oci_id_mapping *uid_mappings;
	size_t n_uid_mappings;
	struct oci_id_mapping *gid_mappings;
	size_t n_gid_mappings;
	struct oci_device *devices;
	size_t n_devices;
	struct oci_net_device *net_devices;
	size_t n_net_devices;
	char *cgroups_path;
	struct oci_resources *resources;
	char *rootfs_propagation;
	struct oci_seccomp *seccomp;
	struct oci_pair *sysctl;
	size_t n_sysctl;
	char **masked_paths;
	char **readonly_paths;
	char *mount_label;
	struct oci_intel_rdt *intel_rdt;
	struct oci_memory_policy *memory_policy;
	struct oci_personality *personality;
	struct oci_time_offsets *time_offsets;
};

/* ---- vm ---- */

struct oci_vm_hypervisor {
	struct json *extra;
	char *path;
	char **parameters;
};

struct oci_vm_kernel {
	struct json *extra;
	char *path;
	char **parameters;
	char *initrd;
};

struct oci_vm_image {
	struct json *extra;
	char *path;
	char *format;
};

struct oci_vm_iomem {
	struct json *extra;
	bool has_first_gfn, has_first_mfn, has_nr_mfns;
	uint64_t first_gfn, first_mfn, nr_mfns;
};

struct oci_vm_hw_config {
	struct json *extra;
	char *device_tree;
	bool has_vcpus, has_memory;
	uint32_t vcpus;
	uint64_t memory; /* bytes */
	char **dtdevs;
	struct oci_vm_iomem *iomems;
	size_t n_iomems;
	uint32_t *irqs;
	size_t n_irqs;
};

struct oci_vm {
	struct json *extra;
	struct oci_vm_hypervisor *hypervisor;
	struct oci_vm_kernel *kernel;
	struct oci_vm_image *image;
	struct oci_vm_hw_config *hw_config;
};

/* ---- the documents ---- */

struct oci_spec {
	struct json *extra;
	char *oci_version;
	struct oci_process *process;
	struct oci_root *root;
	char *hostname;
	char *domainname;
	struct oci_mount *mounts;
	size_t n_mounts;
	struct oci_hooks *hooks;
	struct oci_pair *annotations;
	size_t n_annotations;
	struct oci_linux *linux_;
	struct oci_vm *vm;
};

/* What "state" prints and hooks read. Strings that are NULL are left out; pid is always written;
 * annotations are left out when there are none. */
struct oci_state {
	struct json *extra;
	char *oci_version;
	char *id;
	int64_t pid;  /* 0: no process */
	char *status; /* "creating", "created", "running", "paused" or "stopped" */
	char *bundle;
	char *rootfs;
	char *created; /* RFC 3339, UTC */
	struct oci_pair *annotations;
	size_t n_annotations;
	char *owner;
};
