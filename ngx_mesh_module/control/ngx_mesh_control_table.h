/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Every action of the control channel: what it takes, what it is about and
 * which right it needs.  The dispatcher obeys this table, t/control_rights.t
 * reads it and tries each action with each right.
 *
 * ARGS(action) opens the arguments of an action:
 *     ARG(name, type, flags, min, max, result when wrong)
 * ACTION(action, handler, object, right, site right, not seen, denied, flags)
 *
 * right: any of these bits on the object; 0: it must be visible.
 * "not seen" is the result for what does not exist and for what may not be
 * seen, which nobody can tell apart.
 */

/* session */

ARGS(ping)
END
ACTION(ping, ping, NONE, 0, 0, NULL, NULL, 0)

ARGS(pong)
END
ACTION(pong, pong, NONE, 0, 0, NULL, NULL, 0)

ARGS(close)
END
ACTION(close, close, NONE, 0, 0, NULL, NULL, 0)

ARGS(serverinfo)
END
ACTION(serverinfo, serverinfo, NONE, 0, 0, NULL, NULL, 0)

ARGS(userinfo)
END
ACTION(userinfo, userinfo, NONE, 0, 0, NULL, NULL, 0)

ARGS(authcookie)
END
ACTION(authcookie, authcookie, NONE, 0, 0, NULL, NULL, 0)

/* own account */

ARGS(userWebState)
    ARG(state, TEXT, 0, 0, 30000, "Invalid state")
END
ACTION(userWebState, web_state, NONE, 0, 0, NULL, NULL, DB)

ARGS(changepassword)
    ARG(oldpass, STR, NEEDED, 1, 4096, "Invalid old password")
    ARG(newpass, STR, NEEDED, 1, 4096, "Invalid new password")
    ARG(hint, STR, LOOSE, 0, 250, NULL)
END
ACTION(changepassword, change_password, NONE, 0, 0, NULL, NULL, DB|OWN)

ARGS(previousLogins)
    ARG(userid, STR, 0, 1, 256, "Invalid userid")
END
ACTION(previousLogins, previous_logins, NONE, 0, 0, NULL, NULL, DB)

ARGS(webSessions)
    ARG(remove, STR, 0, 1, 64, "Invalid session")
END
ACTION(webSessions, web_sessions, NONE, 0, 0, NULL, NULL, DB)

/* users */

ARGS(users)
END
ACTION(users, users, NONE, 0, S_MANAGEUSERS, NULL, "Access denied", DB)

/* device groups */

ARGS(meshes)
END
ACTION(meshes, meshes, NONE, 0, 0, NULL, NULL, 0)

ARGS(createmesh)
    ARG(meshname, STR, NEEDED, 1, 128, "Invalid group name")
    ARG(meshtype, INT, NEEDED, 2, 2, "Invalid group type")
    ARG(desc, TEXT, 0, 0, 1024, "Invalid group description")
    ARG(flags, INT, 0, 0, 7, "Invalid group flags")
    ARG(consent, INT, 0, 0, 127, "Invalid group consent")
END
ACTION(createmesh, group_create, NONE, 0, 0, NULL, NULL, DB)

ARGS(editmesh)
    ARG(meshid, STR, 0, 1, 256, "Invalid group identifier")
    ARG(meshidname, STR, 0, 1, 128, "Invalid group identifier")
    ARG(meshname, STR, 0, 1, 128, "Invalid group name")
    ARG(desc, TEXT, 0, 0, 1024, "Invalid group description")
    ARG(flags, INT, 0, 0, 7, "Invalid group flags")
    ARG(consent, INT, 0, 0, 127, "Invalid group consent")
    ARG(expireDevs, INT, 0, 0, 2000, "Invalid expireDevs")
    /* ours: where connections through its devices may go, beside themselves */
    ARG(targets, ANY, 0, 0, 0, NULL)
END
ACTION(editmesh, group_edit, GROUP, D_EDITMESH, 0,
       "Invalid group identifier", "Permission denied", DB)

ARGS(deletemesh)
    ARG(meshid, STR, 0, 1, 256, "Invalid group identifier")
    ARG(meshname, STR, 0, 1, 128, "Invalid group identifier")
END
ACTION(deletemesh, group_delete, GROUP, D_EDITMESH, 0,
       "Unknown device group", "Access denied", DB|EXACT)

ARGS(addmeshuser)
    ARG(meshid, STR, 0, 1, 256, "Invalid groupid")
    ARG(meshname, STR, 0, 1, 128, "Invalid groupid")
    ARG(usernames, LIST, 0, 1, 100, "Invalid usernames")
    ARG(userids, LIST, 0, 1, 100, "Invalid usernames")
    ARG(userid, STR, 0, 1, 256, "Invalid usernames")
    ARG(meshadmin, INT, NEEDED, 0, 4294967295, "Invalid group rights")
    ARG(remove, BOOL, 0, 0, 1, "Invalid remove")
END
ACTION(addmeshuser, group_user, GROUP, D_MANAGEUSERS, 0,
       "Unknown group", "Permission denied", DB)

ARGS(removemeshuser)
    ARG(meshid, STR, 0, 1, 256, "Invalid groupid")
    ARG(meshname, STR, 0, 1, 128, "Invalid groupid")
    ARG(userid, STR, NEEDED, 1, 256, "Invalid userid")
END
ACTION(removemeshuser, group_user_remove, GROUP, D_MANAGEUSERS, 0,
       "Unknown device group", "Permission denied", DB)

/* devices: query */

ARGS(nodes)
    ARG(meshid, STR, 0, 1, 256, "Invalid group id")
    ARG(meshname, STR, 0, 1, 128, "Invalid group id")
    ARG(id, STR, 0, 1, 256, "Invalid device id")
END
ACTION(nodes, nodes, NONE, 0, 0, "Invalid group id", NULL, DB)

ARGS(devicelist)
    ARG(since, ANY, LOOSE, 0, 0, NULL)
END
ACTION(devicelist, device_list, NONE, 0, 0, NULL, NULL, DB)

ARGS(getsysinfo)
    ARG(nodeid, STR, NEEDED, 1, 256, "Invalid device id")
    ARG(nodeinfo, BOOL, LOOSE, 0, 1, NULL)
END
ACTION(getsysinfo, device_sysinfo, DEVICE, D_DEVICEDETAILS, 0,
       "Invalid device id", "Invalid device id", DB|NOINFO)

ARGS(getnetworkinfo)
    ARG(nodeid, STR, NEEDED, 1, 256, "Invalid device id")
END
ACTION(getnetworkinfo, device_network, DEVICE, 0, 0,
       "Invalid device id", "Invalid device id", DB|NOINFO)

ARGS(lastconnect)
    ARG(nodeid, STR, NEEDED, 1, 256, "Invalid device id")
END
ACTION(lastconnect, device_seen, DEVICE, 0, 0,
       "Invalid device id", "Invalid device id", DB|NOINFO)

ARGS(lastconnects)
END
ACTION(lastconnects, devices_seen, NONE, 0, 0, NULL, NULL, DB)

ARGS(powertimeline)
    ARG(nodeid, STR, NEEDED, 1, 256, "Invalid device id")
END
ACTION(powertimeline, device_power, DEVICE, 0, 0,
       "Invalid device id", "Invalid device id", DB|NOINFO)

ARGS(getNotes)
    ARG(id, STR, NEEDED, 1, 256, "Invalid id")
END
ACTION(getNotes, note_get, NOTE, 0, 0, "Invalid id", "Invalid id", DB)

ARGS(setNotes)
    ARG(id, STR, NEEDED, 1, 256, "Invalid id")
    ARG(notes, TEXT, NEEDED, 0, 65535, "Invalid notes")
END
ACTION(setNotes, note_set, NOTE, D_SETNOTES, 0,
       "Invalid id", "Permission denied", DB)

ARGS(events)
    ARG(nodeid, STR, 0, 1, 256, "Invalid device id")
    ARG(userid, STR, 0, 1, 256, "Invalid userid")
    ARG(user, STR, 0, 1, 256, "Invalid userid")
    ARG(limit, INT, LOOSE, 1, 10000, NULL)
    ARG(filter, STR, LOOSE, 1, 32, NULL)
END
ACTION(events, events, EVENTS, 0, 0, NULL, NULL, DB)

/* devices: change */

ARGS(changedevice)
    ARG(nodeid, STR, NEEDED, 1, 256, "Invalid nodeid")
    ARG(name, STR, 0, 1, 128, "Invalid name")
    ARG(icon, INT, 0, 1, 8, "Invalid icon")
    ARG(desc, TEXT, 0, 0, 4096, "Invalid desc")
    ARG(tags, ANY, 0, 0, 0, NULL)
    ARG(consent, INT, 0, 0, 127, "Invalid consent")
END
ACTION(changedevice, device_change, DEVICE, D_MANAGECOMPUTERS, 0,
       "Access Denied", "Access Denied", DB)

ARGS(changeDeviceMesh)
    ARG(nodeids, LIST, NEEDED, 1, 1000, "Invalid nodeids")
    ARG(meshid, STR, 0, 1, 256, "Invalid groupid")
    ARG(meshname, STR, 0, 1, 128, "Invalid groupid")
END
ACTION(changeDeviceMesh, device_move, MOVE, D_MANAGECOMPUTERS, 0,
       "Unknown device group", "Permission denied", DB)

ARGS(removedevices)
    ARG(nodeids, LIST, NEEDED, 1, 1000, "Invalid nodeids")
END
ACTION(removedevices, device_remove, DEVICES, D_UNINSTALL, 0,
       "Denied", "Denied", DB)

ARGS(adddeviceuser)
    ARG(nodeid, STR, NEEDED, 1, 256, "Invalid nodeid")
    ARG(usernames, LIST, 0, 1, 100, "Invalid usernames")
    ARG(userids, LIST, 0, 1, 100, "Invalid usernames")
    ARG(userid, STR, 0, 1, 256, "Invalid usernames")
    ARG(rights, INT, NEEDED, 0, 4294967295, "Invalid rights")
    ARG(remove, BOOL, 0, 0, 1, "Invalid remove")
END
ACTION(adddeviceuser, device_user, DEVICE, D_MANAGEUSERS, 0,
       "Invalid nodeid", "Permission denied", DB)

/* devices: operate */

ARGS(msg)
    ARG(nodeid, STR, NEEDED, 1, 256, "Unable to route")
    ARG(type, STR, NEEDED, 1, 32, "Invalid type")
    ARG(value, TEXT, 0, 0, 65535, "Invalid value")
    ARG(data, TEXT, 0, 0, 65535, "Invalid data")
    /* ours: a part of a clipboard, in characters of UTF-16 */
    ARG(offset, INT, 0, 0, 1048576, "Invalid offset")
    ARG(size, INT, 0, 0, 1048576, "Invalid size")
    ARG(tcpport, INT, 0, 1, 65535, "Invalid tcpport")
    ARG(tcpaddr, STR, 0, 1, 255, "Invalid tcpaddr")
    ARG(udpport, INT, 0, 1, 65535, "Invalid udpport")
    ARG(udpaddr, STR, 0, 1, 255, "Invalid udpaddr")
    ARG(title, STR, 0, 0, 512, "Invalid title")
    ARG(msg, TEXT, 0, 0, 4096, "Invalid msg")
    ARG(timeout, INT, 0, 0, 86400000, "Invalid timeout")
    ARG(url, STR, 0, 1, 4096, "Invalid url")
    ARG(pid, INT, 0, 0, 4294967295, "Invalid pid")
    ARG(serviceName, STR, 0, 1, 256, "Invalid serviceName")
    ARG(xuserid, STR, 0, 1, 256, "Invalid xuserid")
    ARG(protocol, STR, 0, 1, 16, "Invalid protocol")
END
ACTION(msg, msg, DEVICE, D_REMOTECONTROL|D_REMOTEVIEWONLY|D_RELAY, 0,
       "Unable to route", "Unable to route", DB)

ARGS(getcookie)
    ARG(nodeid, STR, NEEDED, 1, 256, "Invalid nodeid")
    ARG(tcpport, INT, NEEDED, 1, 65535, "Invalid tcpport")
    ARG(tcpaddr, STR, LOOSE, 1, 255, NULL)
    ARG(name, STR, LOOSE, 0, 256, NULL)
    ARG(ip, STR, LOOSE, 0, 256, NULL)
    ARG(localport, INT, LOOSE, 0, 65535, NULL)
    ARG(protocol, INT, LOOSE, 0, 255, NULL)
END
ACTION(getcookie, get_cookie, DEVICE, D_REMOTECONTROL|D_RELAY, 0,
       "Invalid nodeid", "Permission denied", DB)

ARGS(webrelay)
    ARG(nodeid, STR, NEEDED, 1, 256, "Invalid node id")
    ARG(port, INT, NEEDED, 1, 65535, "Invalid port")
    ARG(appid, INT, NEEDED, 1, 2, "Invalid appid")
    /* ours: another address than that of the device itself */
    ARG(addr, STR, LOOSE, 0, 255, NULL)
END
ACTION(webrelay, webrelay, DEVICE, D_REMOTECONTROL|D_RELAY, 0,
       "Invalid node id", "Permission denied", DB)

ARGS(runcommands)
    ARG(nodeids, LIST, NEEDED, 1, 1000, "Invalid nodeids")
    ARG(type, INT, NEEDED, 0, 4, "Invalid command type")
    ARG(cmds, TEXT, NEEDED, 1, 65535, "Invalid commands")
    ARG(runAsUser, INT, 0, 0, 2, "Invalid runAsUser")
    ARG(reply, BOOL, 0, 0, 1, "Invalid reply")
    /* ours: the OK too, which would end the stock client before the reply */
    ARG(ack, BOOL, LOOSE, 0, 1, NULL)
END
ACTION(runcommands, run_commands, DEVICES, D_REMOTECOMMAND, 0,
       "Invalid nodeid", "Access denied", DB)

ARGS(poweraction)
    ARG(nodeids, LIST, NEEDED, 1, 1000, "Invalid nodeids")
    ARG(actiontype, INT, NEEDED, 2, 4, "Invalid actiontype")
END
ACTION(poweraction, power_action, DEVICES, D_RESETOFF, 0,
       "Invalid nodeid", "Access denied", DB)

ARGS(wakedevices)
    ARG(nodeids, LIST, NEEDED, 1, 1000, "Invalid nodeids")
END
ACTION(wakedevices, wake_devices, DEVICES, D_WAKEDEVICE, 0,
       "Invalid nodeid", "Invalid nodeid", DB)

ARGS(toast)
    ARG(nodeids, LIST, NEEDED, 1, 1000, "Invalid nodeids")
    ARG(title, STR, 0, 0, 512, "Invalid title")
    ARG(msg, TEXT, NEEDED, 1, 4096, "Invalid message")
END
ACTION(toast, toast, DEVICES, D_CHATNOTIFY, 0,
       "Unable to route", "Unable to route", DB)

ARGS(corerestart)
    ARG(nodeids, LIST, NEEDED, 1, 1000, "Invalid nodeids")
END
ACTION(corerestart, core_restart, DEVICES, D_AGENTCONSOLE, 0,
       "Invalid nodeid", "Access denied", DB)

/* sessions: ours; who is on a device that one sees, and the end of it */

ARGS(relays)
END
ACTION(relays, relays, NONE, 0, 0, NULL, NULL, 0)

ARGS(endrelay)
    ARG(id, STR, NEEDED, 16, 16, "Invalid session")
END
ACTION(endrelay, relay_end, NONE, 0, 0, NULL, NULL, 0)

/* messenger; with nodeid the site right is not asked for */

ARGS(meshmessenger)
    ARG(nodeid, STR, 0, 1, 256, "Invalid nodeid")
    ARG(userid, STR, 0, 1, 256, "Invalid userid")
END
ACTION(meshmessenger, messenger, PEER, D_CHATNOTIFY, S_MANAGEUSERS,
       "Invalid nodeid", "Access denied", DB)

/* without the right to see users the answer is empty */
ARGS(wssessioncount)
END
ACTION(wssessioncount, session_count, NONE, 0, 0, NULL, NULL, 0)

/* recordings; the second is ours */

ARGS(recordings)
    ARG(limit, INT, LOOSE, 1, 1000, NULL)
END
ACTION(recordings, recordings, NONE, 0, S_RECORDINGS, NULL, "Access denied", 0)

ARGS(deleterecording)
    ARG(file, STR, NEEDED, 7, 255, "Invalid file")
END
ACTION(deleterecording, recording_delete, NONE, 0, S_RECORDINGS, NULL,
       "Access denied", DB)

/* server */

ARGS(serverstatus)
END
ACTION(serverstatus, server_status, NONE, 0, S_BACKUP|S_RESTORE|S_UPDATE,
       NULL, "Access denied", 0)
