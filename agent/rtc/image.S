/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The part that WebRTC is, inside of the agent: nothing of it is in memory
   before a session asks for it. */

    .section .rodata
    .balign 64
    .globl mesh_agent_rtc_image
    .hidden mesh_agent_rtc_image
mesh_agent_rtc_image:
    .incbin MESH_AGENT_RTC_IMAGE
    .globl mesh_agent_rtc_image_end
    .hidden mesh_agent_rtc_image_end
mesh_agent_rtc_image_end:

    .section .note.GNU-stack, "", %progbits
