/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The screen of the device.  It is captured by a program of its own, which is
 * this one started with the word "desktop": it runs as the user whose screen
 * it is, loads what belongs to the screen itself, and speaks packets of
 * proto/mesh_kvm_packet.h on its standard input and output.
 */

#ifndef MESH_AGENT_DESKTOP_H_INCLUDED
#define MESH_AGENT_DESKTOP_H_INCLUDED


/* can a screen be captured where there is one? */
int mesh_agent_os_has_desktop(void);

/* the path that starts the very program that runs */
const char *mesh_agent_os_self(void);

/*
 * mesh-agent desktop MODE [--display=:N] [--uid=N]
 *
 *   screen      packets on both; ends with its input
 *   read        the clipboard, UTF-8, on standard output
 *   write       what comes on standard input goes into the clipboard, and is
 *               kept there after the program has ended
 *   monitors    JSON on standard output
 *
 * argv begins with MODE.  Returns 0, or 1 after a sentence: an alert (packet
 * 65) from screen, a line on standard error from the others.
 */
int mesh_agent_os_desktop(int argc, char **argv);


#endif /* MESH_AGENT_DESKTOP_H_INCLUDED */
