/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include <seccomp.h>

#include "mesh_signer.h"


#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

/* the reports of a sanitizer need most of the kernel */

int
mesh_signer_confine(void)
{
    mesh_signer_log("warn", "built with a sanitizer: no filter of system "
                    "calls");
    return MESH_OK;
}

#else


static const int  mesh_signer_calls[] = {

    /* talk */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
    SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(accept4),
    SCMP_SYS(getsockopt), SCMP_SYS(close), SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),

    /* threads and their memory; mprotect: malloc of a thread */
    SCMP_SYS(futex), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mprotect),
    SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(brk),

    /* getpid: OpenSSL's random generator asks before each signature */
    SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday), SCMP_SYS(time),

    /* signals and the end; rt_sigprocmask: a thread that ends */
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group)
};


int
mesh_signer_confine(void)
{
    int              rc;
    size_t           i;
    scmp_filter_ctx  ctx;

    ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

    if (ctx == NULL) {
        mesh_signer_log("emerg", "seccomp_init() failed");
        return MESH_ERROR;
    }

    /* the threads are there already */

    rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);

    for (i = 0; rc == 0
         && i < sizeof(mesh_signer_calls) / sizeof(mesh_signer_calls[0]); i++)
    {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, mesh_signer_calls[i], 0);
    }

    if (rc == 0) {
        rc = seccomp_load(ctx);
    }

    seccomp_release(ctx);

    if (rc != 0) {
        mesh_signer_log("emerg", "cannot load the filter of system calls: %s",
                        strerror(-rc));
        return MESH_ERROR;
    }

    return MESH_OK;
}

#endif
