/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Puts the agent on a machine, takes it away, and tells how it is there.
 * Each is a command of the command line; argv is the options behind its word.
 * What was done is said on standard output, what went wrong as a sentence on
 * standard error.  Needs no loop and none of the agent's state.
 */

#ifndef MESH_AGENT_INSTALL_H_INCLUDED
#define MESH_AGENT_INSTALL_H_INCLUDED


/* the exit codes of them all */
#define MESH_AGENT_EXIT_OK      0
#define MESH_AGENT_EXIT_FAILED  1
#define MESH_AGENT_EXIT_USAGE   2
#define MESH_AGENT_EXIT_ABSENT  3

#define MESH_AGENT_INSTALL_DATA  "/var/lib/mesh-agent"


/*
 * install [--policy=FILE] [--root=DIR]
 *
 * Copies this program and its policy to /usr/lib/mesh-agent and makes the
 * service mesh-agent; where both are there already they are replaced, and
 * without a policy the old one stays.  The policy is FILE or, as default,
 * <this program>.msh.  With --root all paths are below DIR and nothing is
 * started: for packages and tests.
 *
 * Where the program came as a Debian package, it and its service stay as they
 * are: the policy alone is installed, and the service started.
 *
 *   MESH_AGENT_EXIT_OK      installed and, where there is systemd, started
 *   MESH_AGENT_EXIT_FAILED  not possible
 */
int mesh_agent_install(int argc, char **argv);

/*
 * uninstall [--root=DIR]
 *
 * Stops the agent, removes service, program, policy and data, its identity
 * among them.  MESH_AGENT_EXIT_OK also when there was nothing.  What came as a
 * Debian package is left to apt: MESH_AGENT_EXIT_FAILED.
 */
int mesh_agent_uninstall(int argc, char **argv);

/*
 * status [--data=DIR] [--root=DIR]
 *
 * Tells from <data>/state, which the agent keeps while it runs as lines
 * "key=value": node, server, connected (0 or 1), since (unix time, s) and pid.
 * Without pid the file is believed; else its process must be alive.
 *
 *   MESH_AGENT_EXIT_OK      online
 *   MESH_AGENT_EXIT_FAILED  not online, or not readable for this user
 *   MESH_AGENT_EXIT_ABSENT  no agent is here
 */
int mesh_agent_status(int argc, char **argv);


#endif /* MESH_AGENT_INSTALL_H_INCLUDED */
