// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** The server's rules, said before it is asked; '' when there is nothing to say. */
export function userNameFault(name: string): string {
    const trimmed = name.trim();
    if (!trimmed) {
        return 'The user name is missing.';
    }
    if ([...trimmed].length > 64) {
        return 'At most 64 characters.';
    }
    // eslint-disable-next-line no-control-regex
    return /[/\s",~\x00-\x1f\x7f]/.test(trimmed) ? 'No blanks, and none of / " , ~' : '';
}

export function passwordFault(password: string, name: string): string {
    if (!password) {
        return 'The password is missing.';
    }
    if ([...password].length < 10) {
        return 'At least 10 characters.';
    }
    return password.toLowerCase() === name.trim().toLowerCase() ? 'It must not be the user name.' : '';
}

/**
 * 0 (too short) to 4: length and kinds of characters; a run of equal or successive
 * ones counts little.  A hint while typing, not a proof.
 */
export function passwordStrength(password: string, name: string): number {
    const chars = [...password];
    if (chars.length < 10 || passwordFault(password, name)) {
        return 0;
    }
    let worth = 0;
    for (let i = 0; i < chars.length; i++) {
        const step = (chars[i]?.codePointAt(0) ?? 0) - (chars[i - 1]?.codePointAt(0) ?? -9);
        worth += step >= -1 && step <= 1 ? 0.25 : 1;
    }
    const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z\d]/].filter((kind) => kind.test(password)).length;
    const score = worth * (0.7 + kinds * 0.15);
    return score < 8 ? 1 : score < 12 ? 2 : score < 17 ? 3 : 4;
}
