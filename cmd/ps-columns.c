#include "cmd/ps-columns.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/vcrt.h"

/* One column. Names as for "ps -o", the first is how we call it ourselves. */
struct ps_field {
	const char *names; /* separated by spaces */
	const char *title;
	int width; /* negative: flush left */
	char *(*text)(const struct vcrt_process *p);
};

static char *text_pid(const struct vcrt_process *p)
{
	return str_fmt("%" PRId64, (int64_t)p->pid);
}

static char *text_ppid(const struct vcrt_process *p)
{
	return str_fmt("%" PRId64, (int64_t)p->ppid);
}

static char *text_user(const struct vcrt_process *p)
{
	return str_dup(p->uid);
}

static char *text_uid(const struct vcrt_process *p)
{
	return str_dup(str_eq(p->uid, "root") ? "0" : p->uid);
}

static char *text_c(const struct vcrt_process *p)
{
	return str_fmt("%d", p->c);
}

static char *text_pcpu(const struct vcrt_process *p)
{
	return str_fmt("%u.%u", p->cpu / 10, p->cpu % 10);
}

static char *text_pmem(const struct vcrt_process *p)
{
	return str_fmt("%u.%u", p->memory / 10, p->memory % 10);
}

static char *text_vsz(const struct vcrt_process *p)
{
	return str_fmt("%" PRIu64, p->vsz);
}

static char *text_rss(const struct vcrt_process *p)
{
	return str_fmt("%" PRIu64, p->rss);
}

static char *text_stime(const struct vcrt_process *p)
{
	return str_dup(p->stime);
}

static char *text_tty(const struct vcrt_process *p)
{
	return str_dup(p->tty);
}

static char *text_stat(const struct vcrt_process *p)
{
	return str_dup(p->stat);
}

static char *text_state(const struct vcrt_process *p)
{
	return str_ndup(p->stat, *p->stat ? 1 : 0);
}

static char *text_time(const struct vcrt_process *p)
{
	return str_dup(p->time);
}

/* The form of BSD: minutes and seconds. */
static char *text_minutes(const struct vcrt_process *p)
{
	unsigned h, m, s;

	if (sscanf(p->time, "%4u:%2u:%2u", &h, &m, &s) != 3)
		return str_dup(p->time);
	return str_fmt("%u:%02u", h * 60 + m, s);
}

static char *text_args(const struct vcrt_process *p)
{
	return str_dup(p->cmd);
}

static char *text_comm(const struct vcrt_process *p)
{
	return str_dup(p->comm);
}

static const struct ps_field fields[] = {
	{ "UID", "UID", -8, text_user }, /* of -f: a name in spite of its title */
	{ "uid euid", "UID", 5, text_uid },
	{ "user euser uname ruser", "USER", -8, text_user },
	{ "pid tgid", "PID", 5, text_pid },
	{ "ppid", "PPID", 5, text_ppid },
	{ "c", "C", 2, text_c },
	{ "pcpu %cpu", "%CPU", 4, text_pcpu },
	{ "pmem %mem", "%MEM", 4, text_pmem },
	{ "vsz vsize", "VSZ", 6, text_vsz },
	{ "rss rssize rsz", "RSS", 5, text_rss },
	{ "stime", "STIME", 5, text_stime },
	{ "start_time start bsdstart", "START", 5, text_stime },
	{ "tname", "TTY", -8, text_tty },
	{ "tty tt", "TT", -8, text_tty },
	{ "stat", "STAT", -4, text_stat },
	{ "s state", "S", -1, text_state },
	{ "time cputime", "TIME", 8, text_time },
	{ "bsdtime", "TIME", 6, text_minutes },
	{ "cmd", "CMD", -27, text_args },
	{ "args command", "COMMAND", -27, text_args },
	{ "comm ucmd ucomm", "COMMAND", -15, text_comm },
};

static bool has_word(const char *words, const char *word, size_t n)
{
	const char *end;

	for (; *words; words = *end ? end + 1 : end) {
		end = strchrnul(words, ' ');
		if ((size_t)(end - words) == n && memcmp(words, word, n) == 0)
			return true;
	}
	return false;
}

static int add(struct ps_table *t, const char *name, size_t len, const char *title,
               struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!has_word(fields[i].names, name, len))
			continue;
		if (t->n == PS_MAX_COLUMNS)
			return error_set(err, EINVAL, "more than %d columns", PS_MAX_COLUMNS);
		t->columns[t->n].field = &fields[i];
		t->columns[t->n++].title = str_dup(title ? title : fields[i].title);
		return 0;
	}
	return error_set(err, EINVAL,
	                 "ps column '%.*s' is not known for processes in a "
	                 "virtual machine",
	                 (int)len, name);
}

/* "pid,args" or "pid args"; "pid=TITLE" takes the rest for the title, as ps does. */
static int add_list(struct ps_table *t, const char *list, struct error *err)
{
	while (*list) {
		size_t n = strcspn(list, ", =");
		const char *title = list[n] == '=' ? list + n + 1 : NULL;

		if (n && add(t, list, n, title, err) < 0)
			return -err->code;
		if (title)
			return 0;
		list += n + (list[n] != '\0');
	}
	return 0;
}

/* What the options have said so far. */
struct ps_choice {
	bool full, bsd, user; /* -f, x, u */
};

/* The letters of one option word. The rest of the word, or the next one, belongs to an "o". */
static int take_word(struct ps_table *t, struct ps_choice *c, char *const **options,
                     struct error *err)
{
	const char *word = **options, *s = word + (*word == '-');

	for (; *s; s++) {
		if (strchr("eAad", *s))
			continue;
		if (*s == 'f')
			c->full = true;
		else if (*s == 'x')
			c->bsd = true;
		else if (*s == 'u' && *word != '-')
			c->user = true;
		else if (*s == 'o' && s[1])
			return add_list(t, s + 1, err);
		else if (*s == 'o' && (*options)[1])
			return add_list(t, *++*options, err);
		else
			return error_set(err, EINVAL,
			                 "ps option '%s' is not supported: the processes run in a "
			                 "virtual machine",
			                 word);
	}
	return 0;
}

static const char *preset(const struct ps_choice *c, bool has_options)
{
	if (c->user)
		return "user,pid,pcpu,pmem,vsz,rss,tname,stat,start_time,bsdtime,args";
	if (c->full || !has_options)
		return "UID,pid,ppid,c,stime,tname,time,cmd";
	if (c->bsd)
		return "pid,tname,stat,bsdtime,args";
	return "pid,tname,time,comm=CMD";
}

int ps_table_parse(struct ps_table *t, char *const *options, struct error *err)
{
	bool has_options = *options != NULL;
	struct ps_choice c = { 0 };

	for (; *options; options++)
		if (take_word(t, &c, &options, err) < 0)
			return -err->code;
	if (!t->n && add_list(t, preset(&c, has_options), err) < 0)
		return -err->code;
	for (size_t i = 0; i < t->n; i++)
		if (str_eq(t->columns[i].title, "PID"))
			return 0;
	return error_set(err, EINVAL, "couldn't find PID field in ps output");
}

void ps_table_done(struct ps_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->columns[i].title);
	t->n = 0;
}

/* As ps: what is too long pushes the rest aside; nothing is added behind the last column. */
static void print_cell(const struct ps_column *c, const char *text, bool is_last, FILE *out)
{
	int title = (int)strlen(c->title), width = abs(c->field->width);

	width = title > width ? title : width;
	if (is_last && c->field->width < 0)
		width = 0;
	fprintf(out, "%*s%c", c->field->width < 0 ? -width : width, text, is_last ? '\n' : ' ');
}

void ps_table_print(const struct ps_table *t, const struct vcrt_process *p, size_t n, FILE *out)
{
	for (size_t i = 0; i < t->n; i++)
		print_cell(&t->columns[i], t->columns[i].title, i + 1 == t->n, out);
	for (size_t row = 0; row < n; row++) {
		for (size_t i = 0; i < t->n; i++) {
			auto_free char *text = t->columns[i].field->text(&p[row]);

			print_cell(&t->columns[i], text, i + 1 == t->n, out);
		}
	}
}
