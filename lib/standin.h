/* What a host process does while it stands for a process in the guest: pass on every signal that
 * can be caught and the size of its terminal, and end with the exit code that the monitor tells.
 * The shim does this, and so does a verb in the foreground. */
#pragma once

struct error;

/* Block every signal: from now on they wait for standin_run(). */
void standin_block_signals(void);

/* With signals blocked, wait until fd is readable or the time is over (0), or SIGINT, SIGTERM,
 * SIGHUP or SIGQUIT comes (-ECANCELED): who wants to end a start that takes long must not have to
 * wait for it. timeout_ms -1: no limit. */
int standin_wait(int fd, int timeout_ms, struct error *err);

/* ctl: the connection to the monitor on which {"exit": code} comes. tty: terminal whose size is
 * passed on, or -1. Returns the exit code; 137 when the monitor is gone. */
int standin_run(int ctl, int tty);
