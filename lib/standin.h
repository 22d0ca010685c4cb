/* What a host process does while it stands for a process in the guest: pass on every signal that
 * can be caught and the size of its terminal, and end with the exit code that the monitor tells.
 * The shim does this, and so does a verb in the foreground. */
#pragma once

struct error;

/* Block every signal: from now on they wait for standin_run(). */
void standin_block_signals(void);

/* ctl: the connection to the monitor on which {"exit": code} comes. tty: terminal whose size is
 * passed on, or -1. Returns the exit code; 137 when the monitor is gone. */
int standin_run(int ctl, int tty);
