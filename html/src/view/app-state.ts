// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Mesh } from '../state/mesh.ts';

/** The one model of this page. */
export const mesh = new Mesh(new URL('.', document.baseURI).href);
