-- Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

-- All tables (data.md 2).  Run by mesh-admin in one transaction.  One text for
-- both databases, made fit by two rules:
--
--   a line that ends in "-- sqlite" or "-- postgres" is for that one only;
--   SQLite, which compares bytes anyway, does not get COLLATE "C".
--
-- What only PostgreSQL has and takes more lines is in 0001_schema.postgres.sql.
-- Never edited once released: the next change is a file of its own.  An index
-- names the statement of mesh_sql.h that needs it, or the referring key that
-- would otherwise be searched for by a scan when what it points to goes.


-- The server.

CREATE TABLE meta (
    key             text COLLATE "C" NOT NULL,
    value           text COLLATE "C" NOT NULL,
    CONSTRAINT meta_pk PRIMARY KEY (key)
);

CREATE TABLE domain (
    domain_id       bigint  NOT NULL,
    name            text COLLATE "C" NOT NULL,
    doc             text    NOT NULL DEFAULT '{}',
    CONSTRAINT domain_pk PRIMARY KEY (domain_id),
    CONSTRAINT domain_name_uq UNIQUE (name),
    CONSTRAINT domain_doc_len CHECK (length(doc) <= 65536)
);

CREATE TABLE setting (
    domain_id       bigint  NOT NULL,
    key             text COLLATE "C" NOT NULL,
    value           text    NOT NULL,
    CONSTRAINT setting_pk PRIMARY KEY (domain_id, key),
    CONSTRAINT setting_domain_fk FOREIGN KEY (domain_id)
        REFERENCES domain (domain_id) ON DELETE CASCADE
);

CREATE TABLE server_key (
    name            text COLLATE "C" NOT NULL,
    secret          text    NOT NULL,               -- hex
    created_at      bigint  NOT NULL,
    CONSTRAINT server_key_pk PRIMARY KEY (name)
);

CREATE TABLE server_node (
    server_node_id  bigint  NOT NULL,
    name            text COLLATE "C" NOT NULL,
    beat_at         bigint  NOT NULL,
    CONSTRAINT server_node_pk PRIMARY KEY (server_node_id),
    CONSTRAINT server_node_name_uq UNIQUE (name)
);


-- Accounts.

CREATE TABLE account (
    account_id      bigint  NOT NULL,
    domain_id       bigint  NOT NULL,
    login           text COLLATE "C" NOT NULL,      -- folded
    name            text    NOT NULL,
    real_name       text    NOT NULL DEFAULT '',
    email           text    NOT NULL DEFAULT '',
    site_rights     bigint  NOT NULL DEFAULT 0,
    removed_rights  bigint  NOT NULL DEFAULT 0,
    consent         bigint  NOT NULL DEFAULT 0,
    flags           bigint  NOT NULL DEFAULT 0,
    created_at      bigint  NOT NULL,
    doc             text    NOT NULL DEFAULT '{}',
    revision        bigint  NOT NULL DEFAULT 1,
    CONSTRAINT account_pk PRIMARY KEY (account_id),
    CONSTRAINT account_domain_uq UNIQUE (domain_id, account_id),
    CONSTRAINT account_login_uq UNIQUE (domain_id, login),
    CONSTRAINT account_domain_fk FOREIGN KEY (domain_id)
        REFERENCES domain (domain_id),
    CONSTRAINT account_login_len CHECK (length(login) BETWEEN 1 AND 128),
    CONSTRAINT account_doc_len CHECK (length(doc) <= 65536),
    CONSTRAINT account_site_rights_range
        CHECK (site_rights BETWEEN 0 AND 4294967295),
    CONSTRAINT account_removed_rights_range
        CHECK (removed_rights BETWEEN 0 AND 4294967295)
);

-- written with every login, apart from what a person edits
CREATE TABLE account_seen (
    account_id      bigint  NOT NULL,
    login_at        bigint,
    previous_at     bigint,
    access_at       bigint,
    CONSTRAINT account_seen_pk PRIMARY KEY (account_id),
    CONSTRAINT account_seen_account_fk FOREIGN KEY (account_id)
        REFERENCES account (account_id) ON DELETE CASCADE
);
ALTER TABLE account_seen SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0); -- postgres

CREATE TABLE credential (
    credential_id   bigint  NOT NULL,
    account_id      bigint  NOT NULL,
    kind            text COLLATE "C" NOT NULL,      -- password, totp, ...
    label           text    NOT NULL DEFAULT '',
    public_part     text    NOT NULL DEFAULT '',
    secret          text    NOT NULL,
    counter         bigint  NOT NULL DEFAULT 0,
    created_at      bigint  NOT NULL,
    used_at         bigint,
    expires_at      bigint,
    CONSTRAINT credential_pk PRIMARY KEY (credential_id),
    CONSTRAINT credential_account_fk FOREIGN KEY (account_id)
        REFERENCES account (account_id) ON DELETE CASCADE
);

-- WEB_PASSWORD_GET
CREATE INDEX credential_account_ix ON credential (account_id, kind);
-- an account has one password
CREATE UNIQUE INDEX credential_password_uq ON credential (account_id)
    WHERE kind = 'password';

CREATE TABLE web_session (
    token_hash      text COLLATE "C" NOT NULL,      -- SHA-256, hex
    account_id      bigint  NOT NULL,
    created_at      bigint  NOT NULL,
    used_at         bigint  NOT NULL,
    expires_at      bigint  NOT NULL,
    address         text    NOT NULL DEFAULT '',
    agent           text    NOT NULL DEFAULT '',
    CONSTRAINT web_session_pk PRIMARY KEY (token_hash),
    CONSTRAINT web_session_account_fk FOREIGN KEY (account_id)
        REFERENCES account (account_id) ON DELETE CASCADE
);

-- CTL_WEB_SESSIONS
CREATE INDEX web_session_account_ix ON web_session (account_id);
-- KEEP_WEB_SESSIONS
CREATE INDEX web_session_expires_ix ON web_session (expires_at);

CREATE TABLE login_token (
    login_token_id  bigint  NOT NULL,
    account_id      bigint  NOT NULL,
    name            text    NOT NULL,
    login           text COLLATE "C" NOT NULL,
    hash            text    NOT NULL,
    scope           text    NOT NULL DEFAULT '',
    created_at      bigint  NOT NULL,
    expires_at      bigint,
    CONSTRAINT login_token_pk PRIMARY KEY (login_token_id),
    CONSTRAINT login_token_login_uq UNIQUE (login),
    CONSTRAINT login_token_account_fk FOREIGN KEY (account_id)
        REFERENCES account (account_id) ON DELETE CASCADE
);

-- login_token_account_fk
CREATE INDEX login_token_account_ix ON login_token (account_id);

CREATE TABLE user_group (
    user_group_id   bigint  NOT NULL,
    domain_id       bigint  NOT NULL,
    wire_id         text COLLATE "C" NOT NULL,
    name            text    NOT NULL,
    consent         bigint  NOT NULL DEFAULT 0,
    flags           bigint  NOT NULL DEFAULT 0,
    external        text    NOT NULL DEFAULT '',
    doc             text    NOT NULL DEFAULT '{}',
    revision        bigint  NOT NULL DEFAULT 1,
    CONSTRAINT user_group_pk PRIMARY KEY (user_group_id),
    CONSTRAINT user_group_domain_uq UNIQUE (domain_id, user_group_id),
    CONSTRAINT user_group_wire_uq UNIQUE (domain_id, wire_id),
    CONSTRAINT user_group_domain_fk FOREIGN KEY (domain_id)
        REFERENCES domain (domain_id),
    CONSTRAINT user_group_doc_len CHECK (length(doc) <= 65536)
);

CREATE TABLE member (
    domain_id       bigint  NOT NULL,
    user_group_id   bigint  NOT NULL,
    account_id      bigint  NOT NULL,
    CONSTRAINT member_pk PRIMARY KEY (user_group_id, account_id),
    CONSTRAINT member_user_group_fk FOREIGN KEY (domain_id, user_group_id)
        REFERENCES user_group (domain_id, user_group_id) ON DELETE CASCADE,
    CONSTRAINT member_account_fk FOREIGN KEY (domain_id, account_id)
        REFERENCES account (domain_id, account_id) ON DELETE CASCADE
);

-- MODEL_MEMBER and both foreign keys
CREATE INDEX member_account_ix ON member (domain_id, account_id);
CREATE INDEX member_user_group_ix ON member (domain_id, user_group_id);

CREATE TABLE account_part (
    account_id      bigint  NOT NULL,
    part            text COLLATE "C" NOT NULL,      -- ws, im, ntp
    text            text    NOT NULL,
    CONSTRAINT account_part_pk PRIMARY KEY (account_id, part),
    CONSTRAINT account_part_account_fk FOREIGN KEY (account_id)
        REFERENCES account (account_id) ON DELETE CASCADE
);


-- Device groups and devices.

CREATE TABLE device_group (
    device_group_id bigint  NOT NULL,
    domain_id       bigint  NOT NULL,
    wire_id         text COLLATE "C" NOT NULL,      -- mesh/D/<64>
    parent_id       bigint,
    kind            bigint  NOT NULL,               -- mtype
    name            text    NOT NULL,
    consent         bigint  NOT NULL DEFAULT 0,
    flags           bigint  NOT NULL DEFAULT 0,
    created_at      bigint  NOT NULL,
    created_by      bigint,
    deleted_at      bigint,
    doc             text    NOT NULL DEFAULT '{}',
    revision        bigint  NOT NULL DEFAULT 1,
    CONSTRAINT device_group_pk PRIMARY KEY (device_group_id),
    CONSTRAINT device_group_domain_uq UNIQUE (domain_id, device_group_id),
    CONSTRAINT device_group_wire_uq UNIQUE (domain_id, wire_id),
    CONSTRAINT device_group_domain_fk FOREIGN KEY (domain_id)
        REFERENCES domain (domain_id),
    CONSTRAINT device_group_parent_fk FOREIGN KEY (domain_id, parent_id)
        REFERENCES device_group (domain_id, device_group_id),
    CONSTRAINT device_group_parent_self CHECK (parent_id <> device_group_id),
    CONSTRAINT device_group_doc_len CHECK (length(doc) <= 65536)
);

-- device_group_parent_fk
CREATE INDEX device_group_parent_ix ON device_group (domain_id, parent_id);

CREATE TABLE device (
    device_id       bigint  NOT NULL,
    domain_id       bigint  NOT NULL,
    wire_id         text COLLATE "C" NOT NULL,      -- node/D/<64>
    device_group_id bigint  NOT NULL,
    kind            bigint  NOT NULL,               -- mtype
    icon            bigint  NOT NULL DEFAULT 1,
    name            text    NOT NULL,
    name_key        text COLLATE "C" NOT NULL,      -- folded
    reported_name   text    NOT NULL DEFAULT '',
    description     text    NOT NULL DEFAULT '',
    system          text    NOT NULL DEFAULT '',
    agent_kind      bigint  NOT NULL DEFAULT 0,
    agent_caps      bigint  NOT NULL DEFAULT 0,
    agent_version   bigint  NOT NULL DEFAULT 0,
    host            text    NOT NULL DEFAULT '',
    amt_uuid        text COLLATE "C",
    consent         bigint  NOT NULL DEFAULT 0,
    first_seen_at   bigint  NOT NULL,
    approved_at     bigint,
    doc             text    NOT NULL DEFAULT '{}',
    revision        bigint  NOT NULL DEFAULT 1,
    CONSTRAINT device_pk PRIMARY KEY (device_id),
    CONSTRAINT device_domain_uq UNIQUE (domain_id, device_id),
    CONSTRAINT device_wire_uq UNIQUE (domain_id, wire_id),
    CONSTRAINT device_device_group_fk FOREIGN KEY (domain_id, device_group_id)
        REFERENCES device_group (domain_id, device_group_id),
    CONSTRAINT device_doc_len CHECK (length(doc) <= 65536)
);

-- device_device_group_fk
CREATE INDEX device_domain_group_ix ON device (domain_id, device_group_id);
-- CTL_NODES
CREATE INDEX device_group_name_ix ON device (device_group_id, name_key);
-- search by name within a domain
CREATE INDEX device_name_ix ON device (domain_id, name_key);
-- Intel AMT callers are found by it
CREATE INDEX device_amt_uuid_ix ON device (amt_uuid);

CREATE TABLE device_tag (
    device_id       bigint  NOT NULL,
    tag             text COLLATE "C" NOT NULL,
    CONSTRAINT device_tag_pk PRIMARY KEY (device_id, tag),
    CONSTRAINT device_tag_device_fk FOREIGN KEY (device_id)
        REFERENCES device (device_id) ON DELETE CASCADE,
    CONSTRAINT device_tag_len CHECK (length(tag) BETWEEN 1 AND 63)
);

-- search by tag
CREATE INDEX device_tag_tag_ix ON device_tag (tag);

CREATE TABLE device_part (
    device_id       bigint  NOT NULL,
    part            text COLLATE "C" NOT NULL,      -- status, network, ...
    hash            text    NOT NULL DEFAULT '',
    updated_at      bigint  NOT NULL,
    doc             text    NOT NULL,
    CONSTRAINT device_part_pk PRIMARY KEY (device_id, part),
    CONSTRAINT device_part_device_fk FOREIGN KEY (device_id)
        REFERENCES device (device_id) ON DELETE CASCADE
);

-- late writes: no other index, so that an update stays in its page
CREATE TABLE device_seen (
    device_id       bigint  NOT NULL,
    at              bigint  NOT NULL,
    cause           bigint  NOT NULL,               -- 1 connect, 0 disconnect
    kind            bigint  NOT NULL,               -- 1 agent, 2 AMT caller
    address         text    NOT NULL DEFAULT '',
    server_node_id  bigint,
    CONSTRAINT device_seen_pk PRIMARY KEY (device_id),
    CONSTRAINT device_seen_device_fk FOREIGN KEY (device_id)
        REFERENCES device (device_id) ON DELETE CASCADE
);
ALTER TABLE device_seen SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0); -- postgres

CREATE TABLE presence ( -- sqlite
CREATE UNLOGGED TABLE presence ( -- postgres
    device_id       bigint  NOT NULL,
    server_node_id  bigint  NOT NULL,
    serial          bigint  NOT NULL,
    since           bigint  NOT NULL,
    CONSTRAINT presence_pk PRIMARY KEY (device_id)
);
ALTER TABLE presence SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0); -- postgres

-- what a node that is gone left
CREATE INDEX presence_server_node_ix ON presence (server_node_id);

CREATE TABLE secret (
    secret_id       bigint  NOT NULL,
    device_id       bigint,
    device_group_id bigint,
    account_id      bigint,
    kind            text COLLATE "C" NOT NULL,
    public_part     text    NOT NULL DEFAULT '',
    secret          text    NOT NULL,
    CONSTRAINT secret_pk PRIMARY KEY (secret_id),
    CONSTRAINT secret_object
        CHECK ((device_id IS NULL) <> (device_group_id IS NULL)),
    CONSTRAINT secret_device_fk FOREIGN KEY (device_id)
        REFERENCES device (device_id) ON DELETE CASCADE,
    CONSTRAINT secret_device_group_fk FOREIGN KEY (device_group_id)
        REFERENCES device_group (device_group_id) ON DELETE CASCADE,
    CONSTRAINT secret_account_fk FOREIGN KEY (account_id)
        REFERENCES account (account_id) ON DELETE CASCADE
);

-- secret_device_fk, secret_device_group_fk, secret_account_fk
CREATE INDEX secret_device_ix ON secret (device_id);
CREATE INDEX secret_device_group_ix ON secret (device_group_id);
CREATE INDEX secret_account_ix ON secret (account_id);


-- Rights: nothing but a row of access grants any.

CREATE TABLE access (
    access_id       bigint  NOT NULL,
    domain_id       bigint  NOT NULL,
    account_id      bigint,
    user_group_id   bigint,
    device_group_id bigint,
    device_id       bigint,
    rights          bigint  NOT NULL,
    expires_at      bigint,
    created_by      bigint,
    created_at      bigint  NOT NULL,
    CONSTRAINT access_pk PRIMARY KEY (access_id),
    CONSTRAINT access_subject
        CHECK ((account_id IS NULL) <> (user_group_id IS NULL)),
    CONSTRAINT access_object
        CHECK ((device_group_id IS NULL) <> (device_id IS NULL)),
    CONSTRAINT access_rights_range CHECK (rights BETWEEN 0 AND 4294967295),
    CONSTRAINT access_rights_device
        CHECK (device_id IS NULL OR (rights & 7) = 0),
    -- four, as NULLs never collide
    CONSTRAINT access_account_group_uq UNIQUE (account_id, device_group_id),
    CONSTRAINT access_account_device_uq UNIQUE (account_id, device_id),
    CONSTRAINT access_user_group_group_uq
        UNIQUE (user_group_id, device_group_id),
    CONSTRAINT access_user_group_device_uq UNIQUE (user_group_id, device_id),
    CONSTRAINT access_account_fk FOREIGN KEY (domain_id, account_id)
        REFERENCES account (domain_id, account_id) ON DELETE CASCADE,
    CONSTRAINT access_user_group_fk FOREIGN KEY (domain_id, user_group_id)
        REFERENCES user_group (domain_id, user_group_id) ON DELETE CASCADE,
    CONSTRAINT access_device_group_fk FOREIGN KEY (domain_id, device_group_id)
        REFERENCES device_group (domain_id, device_group_id)
        ON DELETE CASCADE,
    CONSTRAINT access_device_fk FOREIGN KEY (domain_id, device_id)
        REFERENCES device (domain_id, device_id) ON DELETE CASCADE
);

-- access_account_fk, access_user_group_fk, access_device_group_fk,
-- access_device_fk
CREATE INDEX access_account_ix ON access (domain_id, account_id);
CREATE INDEX access_user_group_ix ON access (domain_id, user_group_id);
CREATE INDEX access_device_group_ix ON access (domain_id, device_group_id);
CREATE INDEX access_device_ix ON access (domain_id, device_id);

CREATE TABLE watch (
    watch_id        bigint  NOT NULL,
    account_id      bigint  NOT NULL,
    device_group_id bigint,
    device_id       bigint,
    flags           bigint  NOT NULL,
    CONSTRAINT watch_pk PRIMARY KEY (watch_id),
    CONSTRAINT watch_object
        CHECK ((device_group_id IS NULL) <> (device_id IS NULL)),
    CONSTRAINT watch_group_uq UNIQUE (account_id, device_group_id),
    CONSTRAINT watch_device_uq UNIQUE (account_id, device_id),
    CONSTRAINT watch_account_fk FOREIGN KEY (account_id)
        REFERENCES account (account_id) ON DELETE CASCADE,
    CONSTRAINT watch_device_group_fk FOREIGN KEY (device_group_id)
        REFERENCES device_group (device_group_id) ON DELETE CASCADE,
    CONSTRAINT watch_device_fk FOREIGN KEY (device_id)
        REFERENCES device (device_id) ON DELETE CASCADE
);

-- watch_device_group_fk, watch_device_fk
CREATE INDEX watch_device_group_ix ON watch (device_group_id);
CREATE INDEX watch_device_ix ON watch (device_id);

CREATE TABLE share (
    share_id        bigint  NOT NULL,
    domain_id       bigint  NOT NULL,
    wire_id         text COLLATE "C" NOT NULL,
    device_id       bigint  NOT NULL,
    account_id      bigint,
    guest           text    NOT NULL,
    protocols       bigint  NOT NULL,
    consent         bigint  NOT NULL DEFAULT 0,
    view_only       bigint  NOT NULL DEFAULT 0,
    starts_at       bigint,
    ends_at         bigint,
    recurring       bigint  NOT NULL DEFAULT 0,
    secret          text    NOT NULL DEFAULT '',
    doc             text    NOT NULL DEFAULT '{}',
    CONSTRAINT share_pk PRIMARY KEY (share_id),
    CONSTRAINT share_wire_uq UNIQUE (domain_id, wire_id),
    CONSTRAINT share_device_fk FOREIGN KEY (domain_id, device_id)
        REFERENCES device (domain_id, device_id) ON DELETE CASCADE,
    CONSTRAINT share_account_fk FOREIGN KEY (domain_id, account_id)
        REFERENCES account (domain_id, account_id) ON DELETE CASCADE
);

-- share_device_fk, share_account_fk
CREATE INDEX share_device_ix ON share (domain_id, device_id);
CREATE INDEX share_account_ix ON share (domain_id, account_id);

CREATE TABLE invitation (
    invitation_id   bigint  NOT NULL,
    domain_id       bigint  NOT NULL,
    device_group_id bigint  NOT NULL,
    code            text COLLATE "C" NOT NULL,
    uses_left       bigint,
    expires_at      bigint,
    doc             text    NOT NULL DEFAULT '{}',
    CONSTRAINT invitation_pk PRIMARY KEY (invitation_id),
    CONSTRAINT invitation_code_uq UNIQUE (domain_id, code),
    CONSTRAINT invitation_device_group_fk
        FOREIGN KEY (domain_id, device_group_id)
        REFERENCES device_group (domain_id, device_group_id)
        ON DELETE CASCADE
);

-- invitation_device_group_fk
CREATE INDEX invitation_device_group_ix
    ON invitation (domain_id, device_group_id);

CREATE TABLE note (
    note_id         bigint  NOT NULL,
    device_id       bigint,
    device_group_id bigint,
    account_id      bigint,
    text            text    NOT NULL,
    CONSTRAINT note_pk PRIMARY KEY (note_id),
    CONSTRAINT note_object CHECK (
        (CASE WHEN device_id IS NULL THEN 0 ELSE 1 END)
        + (CASE WHEN device_group_id IS NULL THEN 0 ELSE 1 END)
        + (CASE WHEN account_id IS NULL THEN 0 ELSE 1 END) = 1),
    CONSTRAINT note_device_uq UNIQUE (device_id),
    CONSTRAINT note_device_group_uq UNIQUE (device_group_id),
    CONSTRAINT note_account_uq UNIQUE (account_id),
    CONSTRAINT note_device_fk FOREIGN KEY (device_id)
        REFERENCES device (device_id) ON DELETE CASCADE,
    CONSTRAINT note_device_group_fk FOREIGN KEY (device_group_id)
        REFERENCES device_group (device_group_id) ON DELETE CASCADE,
    CONSTRAINT note_account_fk FOREIGN KEY (account_id)
        REFERENCES account (account_id) ON DELETE CASCADE
);


-- What happened.  An event has no foreign key: what was removed stays named.

CREATE SEQUENCE mesh_key START 1000 INCREMENT 1000; -- postgres
CREATE SEQUENCE event_key; -- postgres
CREATE SEQUENCE change_key; -- postgres

CREATE TABLE event (
    event_id        integer NOT NULL PRIMARY KEY AUTOINCREMENT, -- sqlite
    event_id        bigint  NOT NULL DEFAULT nextval('event_key'), -- postgres
    domain_id       bigint  NOT NULL,
    at              bigint  NOT NULL,
    kind            text COLLATE "C" NOT NULL,
    action          text COLLATE "C" NOT NULL,
    msgid           bigint,
    text            text    NOT NULL DEFAULT '',
    args            text,
    account_id      bigint,                         -- who did it
    address         text,
    subject_id      bigint,                         -- account it concerns
    device_id       bigint,
    device_group_id bigint,
    user_group_id   bigint,
    session         text,
    doc             text,
    tx              bigint -- sqlite
    tx              bigint  NOT NULL, -- postgres
    CONSTRAINT event_pk PRIMARY KEY (event_id, at) -- postgres
) PARTITION BY RANGE (at); -- postgres
); -- sqlite

CREATE TABLE event_default PARTITION OF event DEFAULT; -- postgres

-- CTL_EVENTS: of the domain, a group, a device, an account
CREATE INDEX event_domain_ix ON event (domain_id, at);
CREATE INDEX event_device_group_ix ON event (device_group_id, at);
CREATE INDEX event_device_ix ON event (device_id, at);
CREATE INDEX event_account_ix ON event (account_id, at);
CREATE INDEX event_subject_ix ON event (subject_id, at);
-- sealing reads in the order of transactions
CREATE INDEX event_tx_ix ON event USING brin (tx); -- postgres

CREATE TABLE power (
    device_id       bigint,                         -- null: the server
    at              bigint  NOT NULL,
    state           bigint  NOT NULL
) PARTITION BY RANGE (at); -- postgres
); -- sqlite

CREATE TABLE power_default PARTITION OF power DEFAULT; -- postgres

-- CTL_POWER
CREATE INDEX power_device_ix ON power (device_id, at);
-- KEEP_POWER
CREATE INDEX power_at_ix ON power (at); -- sqlite

CREATE TABLE stat (
    server_node_id  bigint  NOT NULL,
    at              bigint  NOT NULL,
    doc             text    NOT NULL,
    CONSTRAINT stat_pk PRIMARY KEY (server_node_id, at),
    CONSTRAINT stat_server_node_fk FOREIGN KEY (server_node_id)
        REFERENCES server_node (server_node_id) ON DELETE CASCADE
);

CREATE TABLE seal (
    seal_id         bigint  NOT NULL,
    month           bigint  NOT NULL,               -- year * 100 + month
    from_tx         bigint  NOT NULL,
    to_tx           bigint  NOT NULL,
    count           bigint  NOT NULL,
    hash            text    NOT NULL,
    made_at         bigint  NOT NULL,
    CONSTRAINT seal_pk PRIMARY KEY (seal_id)
);

-- never starts at 1 again: readers remember the last one they saw
CREATE TABLE change (
    change_id       integer NOT NULL PRIMARY KEY AUTOINCREMENT, -- sqlite
    change_id       bigint  NOT NULL DEFAULT nextval('change_key'), -- postgres
    tx              bigint, -- sqlite
    tx              bigint  NOT NULL, -- postgres
    kind            bigint  NOT NULL,
    id              bigint  NOT NULL,
    revision        bigint  NOT NULL DEFAULT 0
    , CONSTRAINT change_pk PRIMARY KEY (change_id) -- postgres
);
ALTER TABLE change SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0); -- postgres

-- MODEL_CHANGES
CREATE INDEX change_tx_ix ON change (tx); -- postgres


INSERT INTO meta (key, value) VALUES ('tx_offset', '0');
INSERT INTO meta (key, value) VALUES ('change_floor', '0');
INSERT INTO meta (key, value) VALUES ('setup', '');
INSERT INTO meta (key, value) VALUES ('next_key', '1000'); -- sqlite
INSERT INTO domain (domain_id, name) VALUES (1, '');
