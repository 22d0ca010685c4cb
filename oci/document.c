#include <errno.h>
#include <stdlib.h>

#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "oci/table-internal.h"

static void *from_json(const struct oci_type *type, const char *name, const struct json *j,
                       struct error *err)
{
	const struct oci_at root = { .name = name };
	void *obj = xzalloc(type->size);

	if (oci_read_fields(type, obj, j, &root, err) == 0)
		return obj;
	oci_free(type, obj);
	return NULL;
}

static void *parse(const struct oci_type *type, const char *name, const char *text, size_t len,
                   struct error *err)
{
	auto_json struct json *j = NULL;

	if (len > OCI_MAX_SIZE) {
		error_set(err, E2BIG, "the document is longer than %u bytes", OCI_MAX_SIZE);
		return NULL;
	}
	j = json_parse(text, len, false, err);
	return j ? from_json(type, name, j, err) : NULL;
}

static void *read_file(const struct oci_type *type, const char *name, int dirfd, const char *path,
                       struct error *err)
{
	auto_free char *text = NULL;
	size_t len;
	void *obj;

	if (fs_read_at(dirfd, path, OCI_MAX_SIZE, &text, &len, err) < 0)
		return NULL;
	obj = parse(type, name, text, len, err);
	if (!obj)
		error_wrap(err, "'%s'", path);
	return obj;
}

/* Writing and reading again copies everything, by construction, and cannot fail: a struct holds
 * nothing that its own text does not allow. */
static void *copy(const struct oci_type *type, const void *obj)
{
	auto_json struct json *j = NULL;
	auto_error struct error err = { 0 };

	if (!obj)
		return NULL;
	j = oci_write_fields(type, obj);
	return from_json(type, NULL, j, &err);
}

/* The public functions of a document: struct oci_DOC, whose paths start with root (or NULL). */
#define DOCUMENT(doc, root)                                                                        \
	struct oci_##doc *oci_##doc##_parse(const char *text, size_t len, struct error *err)       \
	{                                                                                          \
		return parse(&oci_##doc##_type, root, text, len, err);                             \
	}                                                                                          \
	struct oci_##doc *oci_##doc##_from_json(const struct json *j, struct error *err)           \
	{                                                                                          \
		return from_json(&oci_##doc##_type, root, j, err);                                 \
	}                                                                                          \
	struct oci_##doc *oci_##doc##_read(int dirfd, const char *path, struct error *err)         \
	{                                                                                          \
		return read_file(&oci_##doc##_type, root, dirfd, path, err);                       \
	}                                                                                          \
	struct json *oci_##doc##_to_json(const struct oci_##doc *obj)                              \
	{                                                                                          \
		return oci_write_fields(&oci_##doc##_type, obj);                                   \
	}                                                                                          \
	struct oci_##doc *oci_##doc##_copy(const struct oci_##doc *obj)                            \
	{                                                                                          \
		return copy(&oci_##doc##_type, obj);                                               \
	}                                                                                          \
	int oci_##doc##_validate(const struct oci_##doc *obj, struct error *err)                   \
	{                                                                                          \
		const struct oci_at at = { .name = root };                                         \
                                                                                                   \
		return oci_check_fields(&oci_##doc##_type, obj, &at, err);                         \
	}                                                                                          \
	DESTRUCTOR(doc)

#define DESTRUCTOR(doc)                                                                            \
	void oci_##doc##_free(struct oci_##doc *obj)                                               \
	{                                                                                          \
		oci_free(&oci_##doc##_type, obj);                                                  \
	}                                                                                          \
	void oci_##doc##_freep(struct oci_##doc **obj)                                             \
	{                                                                                          \
		oci_##doc##_free(steal_ptr(obj));                                                  \
	}

DOCUMENT(spec, NULL)
DOCUMENT(process, "process")
DOCUMENT(resources, "resources")
DOCUMENT(state, NULL)
DESTRUCTOR(block_io)
DESTRUCTOR(hooks)
DESTRUCTOR(seccomp)
DESTRUCTOR(vm)
