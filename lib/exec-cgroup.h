/* exec --cgroup. */
#pragma once

struct error;

/* args (may be NULL): what was given, each [CONTROLLER[,CONTROLLER...]:]PATH as runc has it. *path
 * becomes the path below the container's cgroup, without "..", owned by the caller, "/" for that
 * cgroup itself, or NULL when nothing was given: then a container that has moved its own process
 * further down is followed there if need be. The guest has cgroup version 2, where there is one
 * path for all controllers, so one with controllers is refused, as by runc. 0 or -errno. */
int exec_cgroup_parse(char *const *args, char **path, struct error *err);
