/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */
/* Before the first paint: the theme chosen in this browser, else the system's. */
(() => {
    try {
        const theme = localStorage.getItem('mesh-theme');
        if (theme === 'light' || theme === 'dark') {
            document.documentElement.dataset.theme = theme;
        }
    } catch {
        /* storage is blocked: the system's theme stays */
    }
})();
