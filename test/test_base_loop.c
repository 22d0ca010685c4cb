#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/loop.h"
#include "test/scratch.h"

static struct loop *loop;
static int near[2], far[2]; /* two socket pairs: [0] watched, [1] written to */
static struct loop_source *first, *second;
static int calls;
static uint32_t last_events;

static void setup(void)
{
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, near), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, far), 0);
	first = second = NULL;
	calls = 0;
	last_events = 0;
}

static void teardown(void)
{
	loop_free(loop);
	for (int i = 0; i < 2; i++) {
		close_fd(&near[i]);
		close_fd(&far[i]);
	}
}

static void poke(int fd)
{
	ck_assert_int_eq((int)write(fd, "x", 1), 1);
}

static void count(int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)arg;
	calls++;
	last_events = events;
}

START_TEST(readable_descriptors_are_reported_until_read)
{
	char c;

	first = loop_add_fd(loop, near[0], EPOLLIN, count, NULL);
	ck_assert_int_eq(loop_step(loop, 0), 0);
	ck_assert_int_eq(calls, 0);
	poke(near[1]);
	ck_assert_int_eq(loop_step(loop, 1000), 0);
	ck_assert_int_eq(loop_step(loop, 1000), 0);
	ck_assert_int_eq(calls, 2);
	ck_assert_uint_eq(last_events, EPOLLIN);
	ck_assert_int_eq((int)read(near[0], &c, 1), 1);
	ck_assert_int_eq(loop_step(loop, 0), 0);
	ck_assert_int_eq(calls, 2);
}
END_TEST

START_TEST(no_events_asked_for_still_tells_a_hangup)
{
	first = loop_add_fd(loop, near[0], EPOLLIN, count, NULL);
	loop_set_events(first, 0);
	poke(near[1]);
	loop_step(loop, 0);
	ck_assert_int_eq(calls, 0);
	close_fd(&near[1]);
	loop_step(loop, 1000);
	ck_assert_int_eq(calls, 1);
	ck_assert(last_events & EPOLLHUP);
}
END_TEST

START_TEST(what_epoll_cannot_watch_is_eperm)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	errno = 0;
	ck_assert_ptr_null(loop_add_fd(loop, null, EPOLLIN, count, NULL));
	ck_assert_int_eq(errno, EPERM);
	errno = 0;
	ck_assert_ptr_null(loop_add_fd(loop, -1, EPOLLIN, count, NULL));
	ck_assert_int_eq(errno, EBADF);
}
END_TEST

static void remove_both(int fd, uint32_t events, void *arg)
{
	count(fd, events, arg);
	loop_remove(&first);
	loop_remove(&second);
}

START_TEST(a_callback_may_remove_itself_and_others_that_are_due)
{
	first = loop_add_fd(loop, near[0], EPOLLIN, remove_both, NULL);
	second = loop_add_fd(loop, far[0], EPOLLIN, remove_both, NULL);
	poke(near[1]);
	poke(far[1]);
	loop_step(loop, 1000);
	ck_assert_int_eq(calls, 1);
	ck_assert_ptr_null(first);
	ck_assert_ptr_null(second);
	loop_step(loop, 0);
	ck_assert_int_eq(calls, 1);
}
END_TEST

static void replace_other(int fd, uint32_t events, void *arg)
{
	struct loop_source **mine = fd == near[0] ? &first : &second;
	struct loop_source **other = fd == near[0] ? &second : &first;
	int *pair = fd == near[0] ? far : near;

	(void)arg;
	count(fd, events, NULL);
	loop_remove(mine);
	loop_remove(other);
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	/* The same numbers again, for something new and quiet. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*other = loop_add_fd(loop, pair[0], EPOLLIN, count, NULL);
	ck_assert_ptr_nonnull(*other);
}

START_TEST(an_event_of_a_removed_source_does_not_reach_a_new_one)
{
	first = loop_add_fd(loop, near[0], EPOLLIN, replace_other, NULL);
	second = loop_add_fd(loop, far[0], EPOLLIN, replace_other, NULL);
	poke(near[1]);
	poke(far[1]);
	loop_step(loop, 1000);
	ck_assert_int_eq(calls, 1);
	loop_step(loop, 0);
	ck_assert_int_eq(calls, 1);
}
END_TEST

static void silence_other(int fd, uint32_t events, void *arg)
{
	count(fd, events, arg);
	loop_set_events(fd == near[0] ? second : first, 0);
}

START_TEST(an_event_no_longer_asked_for_is_not_told)
{
	first = loop_add_fd(loop, near[0], EPOLLIN, silence_other, NULL);
	second = loop_add_fd(loop, far[0], EPOLLIN, silence_other, NULL);
	poke(near[1]);
	poke(far[1]);
	loop_step(loop, 1000);
	ck_assert_int_eq(calls, 1);
}
END_TEST

static void drain_all_nested(int fd, uint32_t events, void *arg)
{
	char c;

	count(fd, events, arg);
	/* Would block for ever when called for an event that is no more. */
	ck_assert_int_eq((int)read(fd, &c, 1), 1);
	ck_assert_int_eq(loop_step(loop, 0), 0);
}

START_TEST(a_nested_step_leaves_no_stale_event)
{
	first = loop_add_fd(loop, near[0], EPOLLIN, drain_all_nested, NULL);
	second = loop_add_fd(loop, far[0], EPOLLIN, drain_all_nested, NULL);
	poke(near[1]);
	poke(far[1]);
	loop_step(loop, 1000);
	loop_step(loop, 0);
	ck_assert_int_eq(calls, 2);
}
END_TEST

static char order[16];

static void note(void *arg)
{
	strcat(order, arg);
	if (strlen(order) == 3)
		loop_stop(loop, 7);
}

START_TEST(timers_fire_once_in_the_order_they_are_due)
{
	uint64_t start = loop_now_ms();

	order[0] = '\0';
	loop_add_timer(loop, 40, note, "c");
	loop_add_timer(loop, 10, note, "a");
	loop_add_timer(loop, 20, note, "b");
	ck_assert_int_eq(loop_run(loop), 7);
	ck_assert_str_eq(order, "abc");
	ck_assert_int_ge((int)(loop_now_ms() - start), 39);
	loop_step(loop, 50);
	ck_assert_str_eq(order, "abc");
}
END_TEST

static void count_timer(void *arg)
{
	(void)arg;
	calls++;
}

START_TEST(a_timer_can_be_put_off_stopped_and_used_again)
{
	struct loop_source *t = loop_add_timer(loop, 0, count_timer, NULL);

	loop_rearm(t, 10000);
	loop_step(loop, 0);
	ck_assert_int_eq(calls, 0);
	loop_rearm(t, 0);
	loop_disarm(t);
	loop_disarm(t);
	loop_step(loop, 0);
	ck_assert_int_eq(calls, 0);
	loop_rearm(t, 0);
	loop_step(loop, 1000);
	ck_assert_int_eq(calls, 1);
	loop_rearm(t, 1);
	loop_step(loop, 1000);
	loop_step(loop, 10);
	ck_assert_int_eq(calls, 2);
}
END_TEST

static void again_at_once(void *arg)
{
	(void)arg;
	calls++;
	loop_rearm(first, 0);
}

START_TEST(a_timer_that_is_always_due_does_not_starve_descriptors)
{
	first = loop_add_timer(loop, 0, again_at_once, NULL);
	for (int i = 0; i < 5; i++)
		loop_step(loop, 1000);
	ck_assert_int_eq(calls, 5);
}
END_TEST

static void remove_timers(void *arg)
{
	(void)arg;
	calls++;
	loop_remove(&first);
	loop_remove(&second);
}

START_TEST(a_timer_may_remove_itself_and_others_that_are_due)
{
	first = loop_add_timer(loop, 0, remove_timers, NULL);
	second = loop_add_timer(loop, 0, remove_timers, NULL);
	loop_step(loop, 1000);
	loop_step(loop, 5);
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(a_step_waits_no_longer_than_told)
{
	uint64_t start = loop_now_ms();

	loop_add_timer(loop, 60000, count_timer, NULL);
	ck_assert_int_eq(loop_step(loop, 20), 0);
	ck_assert_int_ge((int)(loop_now_ms() - start), 19);
	ck_assert_int_lt((int)(loop_now_ms() - start), 10000);
}
END_TEST

static void note_signal(int signo, void *arg)
{
	(void)arg;
	calls = calls * 100 + signo;
}

START_TEST(signals_are_received_and_blocked)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	first = loop_add_signals(loop, &set, note_signal, NULL);
	ck_assert_ptr_nonnull(first);
	raise(SIGUSR1);
	raise(SIGTERM);
	loop_step(loop, 1000);
	loop_step(loop, 1000);
	ck_assert_int_eq(calls, SIGUSR1 * 100 + SIGTERM);
}
END_TEST

static void remove_on_signal(int signo, void *arg)
{
	note_signal(signo, arg);
	loop_remove(&first);
}

START_TEST(a_signal_callback_may_remove_itself)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	first = loop_add_signals(loop, &set, remove_on_signal, NULL);
	raise(SIGUSR1);
	raise(SIGUSR2);
	loop_step(loop, 1000);
	loop_step(loop, 0);
	ck_assert_int_eq(calls, SIGUSR1);
}
END_TEST

static void stop_with_error(int fd, uint32_t events, void *arg)
{
	count(fd, events, arg);
	loop_stop(loop, -EPIPE);
}

START_TEST(run_returns_what_stop_was_given_and_can_run_again)
{
	poke(near[1]);
	first = loop_add_fd(loop, near[0], EPOLLIN, stop_with_error, NULL);
	ck_assert_int_eq(loop_run(loop), -EPIPE);
	ck_assert_int_eq(loop_run(loop), -EPIPE);
	ck_assert_int_eq(calls, 2);
	loop_stop(loop, 3);
	ck_assert_int_eq(loop_run(loop), 3);
	ck_assert_int_eq(calls, 2);
}
END_TEST

static void on_alarm(int signo)
{
	(void)signo;
}

START_TEST(an_interrupted_wait_is_no_error)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &sa, NULL);
	ualarm(10000, 0);
	ck_assert_int_eq(loop_step(loop, 5000), 0);
}
END_TEST

START_TEST(removing_and_freeing_nothing_is_fine)
{
	struct loop_source *none = NULL;

	loop_remove(&none);
	loop_free(NULL);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("loop");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, readable_descriptors_are_reported_until_read);
	tcase_add_test(tc, no_events_asked_for_still_tells_a_hangup);
	tcase_add_test(tc, what_epoll_cannot_watch_is_eperm);
	tcase_add_test(tc, a_callback_may_remove_itself_and_others_that_are_due);
	tcase_add_test(tc, an_event_of_a_removed_source_does_not_reach_a_new_one);
	tcase_add_test(tc, an_event_no_longer_asked_for_is_not_told);
	tcase_add_test(tc, a_nested_step_leaves_no_stale_event);
	tcase_add_test(tc, timers_fire_once_in_the_order_they_are_due);
	tcase_add_test(tc, a_timer_can_be_put_off_stopped_and_used_again);
	tcase_add_test(tc, a_timer_that_is_always_due_does_not_starve_descriptors);
	tcase_add_test(tc, a_timer_may_remove_itself_and_others_that_are_due);
	tcase_add_test(tc, a_step_waits_no_longer_than_told);
	tcase_add_test(tc, signals_are_received_and_blocked);
	tcase_add_test(tc, a_signal_callback_may_remove_itself);
	tcase_add_test(tc, run_returns_what_stop_was_given_and_can_run_again);
	tcase_add_test(tc, an_interrupted_wait_is_no_error);
	tcase_add_test(tc, removing_and_freeing_nothing_is_fine);
	return scratch_run(tc);
}
