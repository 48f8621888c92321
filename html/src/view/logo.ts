// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html } from 'lit';

export const logo = html`<svg class="logo" viewBox="0 0 24 24" aria-hidden="true">
    <path d="M5 18V6l14 12V6" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>
    <circle cx="5" cy="18" r="2.5"/><circle cx="5" cy="6" r="2.5"/><circle cx="19" cy="18" r="2.5"/><circle cx="19" cy="6" r="2.5"/></svg>`;
