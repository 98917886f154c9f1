-- Durable consumers: how far the app's own programs have read the logs.
--
-- Processes of the version before go on working: what they append is noted for the consumers too.

CREATE TABLE @schema@.consumer (
    name text COLLATE "C" PRIMARY KEY,
    -- The number of its last lease: each lease gets the next number.
    generation bigint GENERATED ALWAYS AS IDENTITY,
    holder bigint NOT NULL DEFAULT 0, -- who has the lease
    until timestamptz NOT NULL DEFAULT '-infinity', -- the end of the lease
    -- A transaction that had begun before this number may not have seen the consumer, and may have noted no news for it.
    -- NULL: all of them have ended, and what they appended is noted.
    border xid8
);

-- How far a consumer has read a channel's log. No row: nothing of it.
CREATE TABLE @schema@.consumer_position (
    consumer text COLLATE "C" NOT NULL,
    channel bigint NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    event_check text, -- of the event at seq
    PRIMARY KEY (consumer, channel)
);

-- The channels whose log goes on after a consumer's position, or has another epoch. A row may be superfluous, but none is
-- ever missing: a row is removed under a lock on the channel's row, so nothing is appended meanwhile.
CREATE TABLE @schema@.consumer_news (
    consumer text COLLATE "C" NOT NULL,
    channel bigint NOT NULL,
    PRIMARY KEY (consumer, channel)
);

-- Notes changed channels for all consumers, in the transaction that changes them.
CREATE FUNCTION @schema@.chat_note_news() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (SELECT FROM @schema@.consumer) THEN
        INSERT INTO @schema@.consumer_news (consumer, channel)
            SELECT r.name, c.id FROM changed AS c CROSS JOIN @schema@.consumer AS r WHERE c.last_seq > 0
            ORDER BY c.id, r.name
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER chat_note_news AFTER UPDATE ON @schema@.channel REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION @schema@.chat_note_news();

-- Enters a consumer, unless there is one with this name or there are p_most. Says whether there is one now. Of several at
-- once each waits for the one before it.
CREATE FUNCTION @schema@.chat_create_consumer(p_name text, p_at_end boolean, p_most bigint)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    -- Looks first, so that an existing one waits for no lock.
    IF EXISTS (SELECT FROM @schema@.consumer AS r WHERE r.name = p_name) THEN
        RETURN true;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('@schema@.consumer', 0));
    IF EXISTS (SELECT FROM @schema@.consumer AS r WHERE r.name = p_name) THEN
        RETURN true;
    END IF;
    IF (SELECT count(*) FROM @schema@.consumer) >= p_most THEN
        RETURN false;
    END IF;
    INSERT INTO @schema@.consumer (name) VALUES (p_name);
    IF p_at_end THEN
        INSERT INTO @schema@.consumer_position (consumer, channel, epoch, seq)
            SELECT p_name, c.id, c.epoch, c.last_seq FROM @schema@.channel AS c;
    ELSE
        INSERT INTO @schema@.consumer_news (consumer, channel)
            SELECT p_name, c.id FROM @schema@.channel AS c WHERE c.last_seq > 0
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN true;
END
$$;

-- Removes a consumer, and says whether there was one.
CREATE FUNCTION @schema@.chat_remove_consumer(p_name text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_found boolean;
BEGIN
    DELETE FROM @schema@.consumer AS r WHERE r.name = p_name;
    v_found := FOUND;
    DELETE FROM @schema@.consumer_position AS p WHERE p.consumer = p_name;
    DELETE FROM @schema@.consumer_news AS n WHERE n.consumer = p_name;
    RETURN v_found;
END
$$;

-- Gives a consumer a new lease, and returns its number. NULL: another holder has one. 0: there is no such consumer.
CREATE FUNCTION @schema@.chat_take_consumer(p_name text, p_holder bigint, p_seconds double precision)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_generation bigint;
BEGIN
    UPDATE @schema@.consumer AS r
        SET generation = DEFAULT, holder = p_holder, until = clock_timestamp() + make_interval(secs => p_seconds),
            border = pg_snapshot_xmax(pg_current_snapshot())
        WHERE r.name = p_name AND (r.holder = p_holder OR r.until <= clock_timestamp())
        RETURNING r.generation INTO v_generation;
    IF FOUND THEN
        RETURN v_generation;
    END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM @schema@.consumer AS r WHERE r.name = p_name) THEN NULL ELSE 0 END;
END
$$;

-- The channels after p_after with news for a consumer, at most p_items, and how far it has read each.
CREATE FUNCTION @schema@.chat_consumer_news(p_consumer text, p_after bigint, p_items bigint)
RETURNS TABLE (channel @schema@.channel, is_new boolean, epoch text, seq bigint, event_check text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_border xid8;
    v_missing bigint[];
    v_locked bigint[];
BEGIN
    -- Once after each lease, when all transactions have ended that may not have seen the consumer: notes what they appended.
    SELECT r.border INTO v_border FROM @schema@.consumer AS r WHERE r.name = p_consumer;
    IF v_border <= pg_snapshot_xmin(pg_current_snapshot()) THEN
        v_missing := ARRAY(
            SELECT c.id FROM @schema@.channel AS c
            LEFT JOIN @schema@.consumer_position AS p ON p.consumer = p_consumer AND p.channel = c.id
            WHERE c.last_seq > 0 AND (p.channel IS NULL OR p.seq < c.last_seq OR p.epoch <> c.epoch) AND NOT EXISTS (
                SELECT FROM @schema@.consumer_news AS n WHERE n.consumer = p_consumer AND n.channel = c.id
            )
        );
        -- Waits for no transaction: the next call looks at the others.
        v_locked := ARRAY(
            SELECT c.id FROM @schema@.channel AS c WHERE c.id = ANY (v_missing) ORDER BY c.id FOR SHARE SKIP LOCKED
        );
        INSERT INTO @schema@.consumer_news (consumer, channel) SELECT p_consumer, l.id FROM unnest(v_locked) AS l (id)
            ON CONFLICT DO NOTHING;
        IF cardinality(v_locked) = cardinality(v_missing) THEN
            UPDATE @schema@.consumer AS r SET border = NULL WHERE r.name = p_consumer AND r.border = v_border;
        END IF;
    END IF;
    RETURN QUERY
        SELECT c, p.channel IS NULL, coalesce(p.epoch, c.epoch), coalesce(p.seq, 0), p.event_check
        FROM (
            SELECT n.channel FROM @schema@.consumer_news AS n
            WHERE n.consumer = p_consumer AND n.channel > p_after ORDER BY n.channel LIMIT p_items
        ) AS found
        JOIN @schema@.channel AS c ON c.id = found.channel
        LEFT JOIN @schema@.consumer_position AS p ON p.consumer = p_consumer AND p.channel = found.channel;
END
$$;

-- Sets a consumer's positions, unless a later lease was taken: then it says no.
CREATE FUNCTION @schema@.chat_advance(
    p_consumer text, p_generation bigint, p_channel bigint[], p_epoch text[], p_seq bigint[], p_check text[]
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM @schema@.consumer AS r WHERE r.name = p_consumer AND r.generation = p_generation FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO @schema@.consumer_position AS p (consumer, channel, epoch, seq, event_check)
        SELECT p_consumer, c.id, g.epoch, g.seq, g.event_check
        FROM unnest(p_channel, p_epoch, p_seq, p_check) AS g (channel, epoch, seq, event_check)
        JOIN @schema@.channel AS c ON c.id = g.channel
        ON CONFLICT (consumer, channel)
            DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, event_check = excluded.event_check;
    -- Of positions that are set back. The others have their rows.
    INSERT INTO @schema@.consumer_news (consumer, channel)
        SELECT p_consumer, c.id FROM unnest(p_channel, p_epoch, p_seq) AS g (channel, epoch, seq)
        JOIN @schema@.channel AS c ON c.id = g.channel
        WHERE (c.last_seq > g.seq OR c.epoch <> g.epoch) AND NOT EXISTS (
            SELECT FROM @schema@.consumer_news AS n WHERE n.consumer = p_consumer AND n.channel = c.id
        )
        ON CONFLICT DO NOTHING;
    -- Waits for no append: the row of a channel to which one is under way stays.
    WITH locked AS MATERIALIZED (
        SELECT c.id, c.epoch, c.last_seq FROM @schema@.channel AS c WHERE c.id = ANY (p_channel)
        ORDER BY c.id FOR SHARE SKIP LOCKED
    )
    DELETE FROM @schema@.consumer_news AS n
        USING locked AS c, unnest(p_channel, p_epoch, p_seq) AS g (channel, epoch, seq)
        WHERE n.consumer = p_consumer AND n.channel = c.id AND g.channel = c.id
            AND g.epoch = c.epoch AND g.seq >= c.last_seq;
    RETURN true;
END
$$;
