#include "cmd/opt.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "cmd/units.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static const struct opt opt_help = {
	.name = "help",
	.letter = 'h',
	.kind = OPT_HELP,
	.help = "show help",
};

bool opt_takes_value(const struct opt *opt)
{
	return opt->kind != OPT_BOOL && opt->kind != OPT_HELP;
}

static bool name_is(const struct opt *opt, const char *name, size_t len)
{
	if (len == 1 && opt->letter && name[0] == opt->letter)
		return true;
	return strlen(opt->name) == len && memcmp(opt->name, name, len) == 0;
}

static const struct opt *opt_find(const struct opt *opts, const char *name, size_t len)
{
	const struct opt *o;

	for (o = opts; o && o->kind != OPT_END; o++) {
		if (name_is(o, name, len))
			return o;
	}
	return name_is(&opt_help, name, len) ? &opt_help : NULL;
}

/* The spellings of Go's strconv.ParseBool. */
static int bool_parse(const char *s)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(yes); i++) {
		if (str_eq(s, yes[i]))
			return 1;
		if (str_eq(s, no[i]))
			return 0;
	}
	return -EINVAL;
}

/* name: as the user has written it, perhaps the letter */
static int store_bool(const char *name, bool *at, const char *value, struct error *err)
{
	int b = value ? bool_parse(value) : 1;

	if (b < 0)
		return error_set(err, EINVAL, "invalid boolean value \"%s\" for -%s: parse error",
		                 value, name);
	*at = b;
	return 0;
}

static int store_uint(const char *name, unsigned *at, const char *value, struct error *err)
{
	uint64_t n;
	int r = str_to_u64(value, 0, OPT_MAX_UINT, &n);

	if (r < 0)
		return error_set(err, EINVAL, "invalid value \"%s\" for flag -%s: %s", value, name,
		                 r == -ERANGE ? "value out of range" : "parse error");
	*at = (unsigned)n;
	return 0;
}

static int store_int(const char *name, enum opt_kind kind, int64_t *at, const char *value,
                     struct error *err)
{
	int r = kind == OPT_TIME ? time_parse(value, at)
	                         : str_to_i64(value, INT64_MIN, INT64_MAX, at);

	if (r < 0)
		return error_set(err, EINVAL, "invalid value \"%s\" for flag -%s: %s", value, name,
		                 r == -ERANGE ? "value out of range" : "parse error");
	return 0;
}

/* The words of runc, to the letter. */
static int store_number(const char *name, char ***at, const char *value, struct error *err)
{
	int64_t n;
	int r = str_to_i64(value, INT64_MIN, INT64_MAX, &n);

	if (r < 0)
		return error_set(
			err, EINVAL,
			"invalid value \"%s\" for flag -%s: strconv.ParseInt: parsing \"%s\": %s",
			value, name, value, r == -ERANGE ? "value out of range" : "invalid syntax");
	strv_push(at, value);
	return 0;
}

/* value: NULL for a switch without "=". */
static int opt_store(const struct opt *o, const char *name, void *values, const char *value,
                     struct error *err)
{
	void *at = (char *)values + o->at;

	switch (o->kind) {
	case OPT_BOOL:
		return store_bool(name, at, value, err);
	case OPT_STRING:
		*(const char **)at = value;
		return 0;
	case OPT_UINT:
		return store_uint(name, at, value, err);
	case OPT_INT:
	case OPT_TIME:
		return store_int(name, o->kind, at, value, err);
	case OPT_LIST:
		strv_push(at, value);
		return 0;
	case OPT_NUMBERS:
		return store_number(name, at, value, err);
	case OPT_HELP:
	case OPT_END:
		break;
	}
	return 0;
}

/* The name inside an option, its length in *len, what follows "=" in *value (NULL: no "=").
 * NULL: the argument is no option. An empty name is bad syntax. */
static const char *opt_split(const char *arg, size_t *len, const char **value)
{
	const char *name = arg + 1, *eq;

	if (arg[0] != '-' || !arg[1])
		return NULL;
	if (*name == '-')
		name++;
	eq = strchr(name, '=');
	*len = eq ? (size_t)(eq - name) : strlen(name);
	*value = eq ? eq + 1 : NULL;
	if (name[0] == '-')
		*len = 0;
	return name;
}

/* What the parser knows between two arguments. */
struct parse {
	const struct opt *opts;
	void *values;
	char **argv;
	int argc, next; /* next: first argument not yet looked at */
	int n_args;     /* arguments that are no options, at the front of argv */
	bool stop_early, only_args, help;
};

static void take_arg(struct parse *p, char *arg)
{
	p->argv[p->n_args++] = arg;
	if (p->stop_early)
		p->only_args = true;
}

static int parse_next(struct parse *p, struct error *err)
{
	char *arg = p->argv[p->next++];
	const char *name, *value = NULL;
	auto_free char *used = NULL;
	const struct opt *o;
	size_t len = 0;

	if (!p->only_args && str_eq(arg, "--")) {
		p->only_args = true;
		return 0;
	}
	name = p->only_args ? NULL : opt_split(arg, &len, &value);
	o = name && len ? opt_find(p->opts, name, len) : NULL;
	if (!name || (!o && p->n_args > 0)) {
		take_arg(p, arg);
		return 0;
	}
	if (len == 0)
		return error_set(err, EINVAL, "bad flag syntax: %s", arg);
	if (!o)
		return error_set(err, EINVAL, "flag provided but not defined: -%.*s",
		                 len > INT_MAX ? INT_MAX : (int)len, name);
	if (!value && opt_takes_value(o)) {
		if (p->next == p->argc)
			return error_set(err, EINVAL, "flag needs an argument: -%.*s", (int)len,
			                 name);
		value = p->argv[p->next++];
	}
	used = str_ndup(name, len);
	if (o->kind == OPT_HELP)
		return store_bool(used, &p->help, value, err);
	return opt_store(o, used, p->values, value, err);
}

int opt_parse(const struct opt *opts, void *values, bool stop_early, int argc, char **argv,
              bool *help, struct error *err)
{
	struct parse p = {
		.opts = opts,
		.values = values,
		.argv = argv,
		.argc = argc,
		.stop_early = stop_early,
	};
	const struct opt *o;

	for (o = opts; o && o->kind != OPT_END; o++) {
		if (o->kind == OPT_STRING)
			*(const char **)((char *)values + o->at) = o->initial;
		else if (o->kind == OPT_TIME && opt_store(o, o->name, values, o->initial, err) < 0)
			return -err->code;
	}
	while (p.next < argc) {
		if (parse_next(&p, err) < 0)
			return -err->code;
	}
	argv[p.n_args] = NULL;
	*help = p.help;
	return p.n_args;
}

void opt_done(const struct opt *opts, void *values)
{
	const struct opt *o;

	for (o = opts; o && o->kind != OPT_END; o++) {
		if (o->kind == OPT_LIST || o->kind == OPT_NUMBERS)
			strv_freep((char ***)((char *)values + o->at));
	}
}

char *opt_usage(const struct opt *opt)
{
	const char *value = opt_takes_value(opt) ? " value" : "";

	if (!opt->letter)
		return str_fmt("--%s%s", opt->name, value);
	return str_fmt("--%s%s, -%c%s", opt->name, value, opt->letter, value);
}

static void opt_print_line(const struct opt *o, size_t width, FILE *out)
{
	auto_free char *usage = opt_usage(o);

	fprintf(out, "   %-*s  %s", (int)width, usage, o->help);
	if (o->kind == OPT_STRING && o->initial)
		fprintf(out, " (default: \"%s\")", o->initial);
	else if (o->initial)
		fprintf(out, " (default: %s)", o->initial);
	fputc('\n', out);
}

void opt_print_help(const struct opt *opts, FILE *out)
{
	const struct opt *o;
	size_t width = strlen("--help, -h");

	for (o = opts; o && o->kind != OPT_END; o++) {
		auto_free char *usage = opt_usage(o);

		if (o->help && strlen(usage) > width)
			width = strlen(usage);
	}
	for (o = opts; o && o->kind != OPT_END; o++) {
		if (o->help)
			opt_print_line(o, width, out);
	}
	opt_print_line(&opt_help, width, out);
}
