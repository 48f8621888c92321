// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** Icons in use, by their Lucide names.  Nothing else gets into the sprite. */
export const ICONS = [
    'activity', 'arrow-down', 'arrow-left', 'arrow-right', 'arrow-up', 'check', 'chevron-down', 'chevron-left', 'chevron-right',
    'chevron-up', 'circle-alert', 'circle-user', 'copy', 'cpu', 'download', 'ellipsis', 'eye', 'eye-off', 'folder',
    'folder-plus', 'history', 'info', 'key-round', 'lock', 'list-filter', 'log-out', 'message-square', 'minus', 'monitor', 'moon',
    'network', 'pencil', 'play', 'plus', 'power', 'refresh-cw', 'scroll-text', 'search', 'server', 'settings',
    'square-terminal', 'sun', 'tag', 'trash-2', 'triangle-alert', 'upload', 'user-plus', 'users', 'x', 'zap', 'maximize', 'sun-moon',
    'laptop', 'smartphone', 'router', 'microchip', 'container', 'hard-drive', 'columns-3', 'ellipsis-vertical', 
    'square-arrow-out-up-right', 'keyboard', 'clipboard', 'scaling', 'camera',
    'square-arrow-out-up-right', 'file', 'file-archive', 'file-code', 'file-text', 'folder-up', 'pause',
    'phone', 'phone-off', 'video', 'video-off', 'mic', 'mic-off', 'paperclip',
] as const;

export type IconName = (typeof ICONS)[number];
