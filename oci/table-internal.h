/* Every OCI struct is described by one table with a line per field; reading, writing, freeing and
 * checking are generic over these tables, so that none of them can forget a field. */
#pragma once

#include "lib/base/error.h"
#include "oci/oci.h"

enum oci_kind {
	OCI_BOOL, /* the numbers and OCI_EMBED: aux is the offset of has_X */
	OCI_I32,
	OCI_I64,
	OCI_U16,
	OCI_U32,
	OCI_U64,
	OCI_EMBED,
	OCI_PLAIN_I64, /* always written, 0 when absent */
	OCI_STR,
	OCI_STRV,
	OCI_OBJ,
	OCI_U32S, /* the arrays: aux is the offset of n_X */
	OCI_MAP,
	OCI_ARRAY,
	OCI_KEYED, /* object as a map from name to struct */
};

/* Where a value is in the document; a chain on the stack from the value up to the root. */
struct oci_at {
	const struct oci_at *up;
	const char *name; /* member of an object, key of a map; NULL: element index of an array */
	size_t index;
	bool is_key;
};

/* What a string (or each string of a vector) must be; optional ones may also be empty, as some
 * encoders write what is not set. */
struct oci_rule {
	const char *what;         /* "namespace type"; "must be an absolute path" */
	const char *const *names; /* the possible values, or NULL */
	bool (*is_ok)(const char *s);
};

struct oci_field {
	const char *name;
	const struct oci_type *type;
	const struct oci_rule *rule;
	uint16_t off, aux;
	uint8_t kind;
	bool required;
	bool omit_empty; /* do not write an empty map */
};

struct oci_type {
	const struct oci_field *fields;
	size_t n_fields;
	size_t size;
	/* What the table cannot say about the object; NULL: nothing. */
	int (*check)(const void *obj, const struct oci_at *at, struct error *err);
};

/* offsetof() that does not compile when the member has another type than the table says. */
#define OCI_OFF(s, m, t)                                                                           \
	(offsetof(struct s, m) +                                                                   \
	 0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((struct s *)0)->m), t) ? 1       \
	                                                                                 : -1]))

#define OCI_FIELD(s, m, key, k, t) .name = key, .kind = k, .off = OCI_OFF(s, m, t)
#define OCI_SCALAR(s, m, key, k, t) OCI_FIELD(s, m, key, k, t), .aux = OCI_OFF(s, has_##m, bool)
#define OCI_LIST(s, m, key, k, t) OCI_FIELD(s, m, key, k, t), .aux = OCI_OFF(s, n_##m, size_t)

/* One field: struct, member, JSON key; then the struct behind it; then more initializers. */
#define F_BOOL(s, m, key, ...)                                                                     \
	{                                                                                          \
		OCI_SCALAR(s, m, key, OCI_BOOL, bool), __VA_ARGS__                                 \
	}
#define F_I32(s, m, key, ...)                                                                      \
	{                                                                                          \
		OCI_SCALAR(s, m, key, OCI_I32, int32_t), __VA_ARGS__                               \
	}
#define F_I64(s, m, key, ...)                                                                      \
	{                                                                                          \
		OCI_SCALAR(s, m, key, OCI_I64, int64_t), __VA_ARGS__                               \
	}
#define F_U16(s, m, key, ...)                                                                      \
	{                                                                                          \
		OCI_SCALAR(s, m, key, OCI_U16, uint16_t), __VA_ARGS__                              \
	}
#define F_U32(s, m, key, ...)                                                                      \
	{                                                                                          \
		OCI_SCALAR(s, m, key, OCI_U32, uint32_t), __VA_ARGS__                              \
	}
#define F_U64(s, m, key, ...)                                                                      \
	{                                                                                          \
		OCI_SCALAR(s, m, key, OCI_U64, uint64_t), __VA_ARGS__                              \
	}
#define F_PLAIN_I64(s, m, key, ...)                                                                \
	{                                                                                          \
		OCI_FIELD(s, m, key, OCI_PLAIN_I64, int64_t), __VA_ARGS__                          \
	}
#define F_STR(s, m, key, ...)                                                                      \
	{                                                                                          \
		OCI_FIELD(s, m, key, OCI_STR, char *), __VA_ARGS__                                 \
	}
#define F_STRV(s, m, key, ...)                                                                     \
	{                                                                                          \
		OCI_FIELD(s, m, key, OCI_STRV, char **), __VA_ARGS__                               \
	}
#define F_U32S(s, m, key, ...)                                                                     \
	{                                                                                          \
		OCI_LIST(s, m, key, OCI_U32S, uint32_t *), __VA_ARGS__                             \
	}
#define F_MAP(s, m, key, ...)                                                                      \
	{                                                                                          \
		OCI_LIST(s, m, key, OCI_MAP, struct oci_pair *), __VA_ARGS__                       \
	}
#define F_EMBED(s, m, key, t, ...)                                                                 \
	{                                                                                          \
		OCI_SCALAR(s, m, key, OCI_EMBED, struct t), .type = &t##_type, __VA_ARGS__         \
	}
#define F_OBJ(s, m, key, t, ...)                                                                   \
	{                                                                                          \
		OCI_FIELD(s, m, key, OCI_OBJ, struct t *), .type = &t##_type, __VA_ARGS__          \
	}
#define F_ARRAY(s, m, key, t, ...)                                                                 \
	{                                                                                          \
		OCI_LIST(s, m, key, OCI_ARRAY, struct t *), .type = &t##_type, __VA_ARGS__         \
	}
#define F_KEYED(s, m, key, t, ...)                                                                 \
	{                                                                                          \
		OCI_LIST(s, m, key, OCI_KEYED, struct t *), .type = &t##_type, __VA_ARGS__         \
	}

/* struct T has the table T_fields and becomes T_type. */
#define OCI_TYPE(t, ...)                                                                           \
	const struct oci_type t##_type = { .fields = t##_fields,                                   \
		                           .n_fields = ARRAY_SIZE(t##_fields),                     \
		                           .size = sizeof(struct t),                               \
		                           __VA_ARGS__ }

extern const struct oci_type oci_spec_type, oci_process_type, oci_resources_type, oci_state_type;
extern const struct oci_type oci_seccomp_type, oci_hooks_type, oci_linux_type, oci_vm_type,
	oci_mount_type, oci_hook_type;
extern const struct oci_type oci_block_io_type, oci_id_mapping_type, oci_device_type,
	oci_net_device_type, oci_namespace_type;
extern const struct oci_rule oci_rule_absolute, oci_rule_not_empty;

/* Unaligned-safe and alias-safe access to the pointers that a table names. */
static inline void *oci_ptr(const void *obj, size_t off)
{
	void *p;

	__builtin_memcpy(&p, (const char *)obj + off, sizeof(p));
	return p;
}

static inline void oci_set_ptr(void *obj, size_t off, void *p)
{
	__builtin_memcpy((char *)obj + off, &p, sizeof(p));
}

static inline size_t oci_count(const void *obj, size_t off)
{
	return *(const size_t *)(const void *)((const char *)obj + off);
}

static inline bool oci_has(const void *obj, size_t off)
{
	return *(const bool *)((const char *)obj + off);
}

/* The key of an element of OCI_KEYED: always the second member, behind extra. */
static inline char **oci_key_of(const void *element)
{
	return (char **)element + 1;
}

/* Fill a zeroed object; on failure what is filled so far must still be freed. */
int oci_read_fields(const struct oci_type *type, void *obj, const struct json *j,
                    const struct oci_at *at, struct error *err);
struct json *oci_write_fields(const struct oci_type *type, const void *obj);
void oci_free_fields(const struct oci_type *type, void *obj);
void oci_free(const struct oci_type *type, void *obj);
int oci_check_fields(const struct oci_type *type, const void *obj, const struct oci_at *at,
                     struct error *err);

/* names.c: a list for oci_next_cpus() that is not empty. */
bool oci_is_list(const char *s);

/* linux-check.c */
int oci_check_linux(const void *obj, const struct oci_at *at, struct error *err);
int oci_check_names(const struct oci_spec *spec, const struct oci_at *at, struct error *err);

/* Fail with EINVAL and "PATH: message"; at may carry a further name (NULL: none). */
int oci_fail(const struct oci_at *at, const char *name, struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A foreign string for a message: in quotes, shortened, control characters escaped. */
char *oci_quote(const char *s);
