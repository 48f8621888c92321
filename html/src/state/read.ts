// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/* Members of messages, which are data from a peer: one of another type than
   expected is as if it were not there. */

export type Any = Record<string, unknown>;

export const str = (value: unknown): string => (typeof value === 'string' ? value : '');
export const num = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
export const obj = (value: unknown): Any => (value && typeof value === 'object' && !Array.isArray(value) ? value as Any : {});
export const list = (value: unknown): Any[] => (Array.isArray(value) ? value.map(obj) : []);
