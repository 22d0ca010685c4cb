#include "cmd/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"

/* Digits, perhaps a point and digits: the end of it, NULL when there is no such thing. strtod()
 * itself would also take signs, exponents and words. */
static const char *number(const char *s, double *out)
{
	size_t n = strspn(s, DIGITS), fraction = 0;

	if (s[n] == '.')
		fraction = 1 + strspn(s + n + 1, DIGITS);
	if (n == 0 && fraction < 2)
		return NULL;
	*out = strtod(s, NULL);
	return s + n + fraction;
}

int size_parse(const char *s, int64_t *out)
{
	static const char units[] = "kmgtpKMGTP";
	const char *unit, *point = strchr(s, '.');
	double n;

	/* Both sides of a point have digits. */
	if (*s == '.' || (point && !strspn(point + 1, DIGITS)))
		return -EINVAL;
	s = number(s, &n);
	if (!s)
		return -EINVAL;
	if (*s == ' ')
		s++;
	unit = *s ? strchr(units, *s) : NULL;
	for (int64_t i = unit ? (unit - units) % 5 + 1 : 0; i > 0; i--)
		n *= 1024;
	s += unit != NULL;
	s += *s == 'i' || *s == 'I';
	s += *s == 'b' || *s == 'B';
	if (*s || n >= (double)INT64_MAX)
		return -EINVAL;
	*out = (int64_t)n;
	return 0;
}

static const struct {
	const char *name;
	double nsec;
} time_units[] = {
	{ "ns", 1 },   { "us", 1e3 }, { "\302\265s", 1e3 }, { "\316\274s", 1e3 },
	{ "ms", 1e6 }, { "s", 1e9 },  { "m", 60e9 },        { "h", 3600e9 },
};

/* What a unit is worth; its end in *s. 0: there is no such unit. */
static double time_unit(const char **s)
{
	size_t n = strcspn(*s, DIGITS ".");

	for (size_t i = 0; i < sizeof(time_units) / sizeof(*time_units); i++) {
		if (strlen(time_units[i].name) == n && memcmp(time_units[i].name, *s, n) == 0) {
			*s += n;
			return time_units[i].nsec;
		}
	}
	return 0;
}

int time_parse(const char *s, int64_t *out)
{
	double sum = 0, n, unit;
	int sign = *s == '-' ? -1 : 1;

	s += *s == '-' || *s == '+';
	if (strcmp(s, "0") == 0) {
		*out = 0;
		return 0;
	}
	do {
		s = number(s, &n);
		unit = s ? time_unit(&s) : 0;
		if (unit == 0)
			return -EINVAL;
		sum += n * unit;
	} while (*s);
	if (sum >= (double)INT64_MAX)
		return -ERANGE;
	*out = sign * (int64_t)sum;
	return 0;
}
