-- Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

-- What PostgreSQL needs beside 0001_schema.sql; run after it, in the same
-- transaction.


-- Makes the partitions of this month and of the three that follow, where they
-- are missing.  A row that came before its partition waits in the default one
-- and is moved.  Returns how many were made.  Attaching waits for readers of
-- the default one, and lists wait behind it: not for long.
CREATE FUNCTION mesh_partitions(now_ms bigint) RETURNS bigint
    LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    parent   text;
    part     text;
    month    timestamp;
    from_ms  bigint;
    to_ms    bigint;
    made     bigint := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('mesh_partitions')) THEN
        RETURN 0;
    END IF;

    FOREACH parent IN ARRAY ARRAY['event', 'power'] LOOP
        FOR i IN 0..3 LOOP
            month := date_trunc('month', to_timestamp(now_ms / 1000.0)
                                AT TIME ZONE 'UTC')
                     + make_interval(months => i);
            part := parent || '_' || to_char(month, 'YYYYMM');

            CONTINUE WHEN to_regclass(part) IS NOT NULL;

            from_ms := extract(epoch FROM month)::bigint * 1000;
            to_ms := extract(epoch FROM month + interval '1 month')::bigint
                     * 1000;

            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS'
                           ' INCLUDING CONSTRAINTS)', part, parent);
            EXECUTE format('WITH m AS (DELETE FROM %I WHERE at >= %s'
                           ' AND at < %s RETURNING *)'
                           ' INSERT INTO %I SELECT * FROM m',
                           parent || '_default', from_ms, to_ms, part);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I'
                           ' FOR VALUES FROM (%s) TO (%s)',
                           parent, part, from_ms, to_ms);
            made := made + 1;
        END LOOP;
    END LOOP;

    RETURN made;
END
$$;


-- Called before anything else by whoever connects.  A dump that was restored
-- into another cluster brings transaction numbers of the old one: new ones must
-- sort behind them, and what was to be read as a change is read as a whole.
CREATE FUNCTION mesh_cluster() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    id   text;
    old  text;
    top  bigint;
BEGIN
    SELECT system_identifier::text INTO id FROM pg_control_system();
    SELECT value INTO old FROM meta WHERE key = 'cluster';

    IF old = id THEN
        RETURN id;
    END IF;

    SELECT value INTO old FROM meta WHERE key = 'cluster' FOR UPDATE;

    IF old = id THEN
        RETURN id;
    END IF;

    UPDATE meta SET value = id WHERE key = 'cluster';

    IF old <> '' THEN
        DELETE FROM change;

        SELECT greatest(coalesce((SELECT max(tx) FROM event), 0),
                        coalesce((SELECT max(to_tx) FROM seal), 0)) + 1
            INTO top;

        UPDATE meta SET value = top::text WHERE key = 'tx_offset';

        INSERT INTO event (domain_id, at, kind, action, text, tx)
            VALUES (1, floor(extract(epoch FROM clock_timestamp()) * 1000),
                    'server', 'restored', 'Database restored from a dump',
                    pg_current_xact_id()::text::bigint + top);
    END IF;

    RETURN id;
END
$$;


INSERT INTO meta (key, value) VALUES ('cluster', '');
