-- What is bounded in all: channels, and the bytes of files.

-- Creates a channel, if there are fewer than p_most. Of several at once each waits for the one before it, on all nodes.
-- No row: there are as many. A row without is_new: the name is taken.
CREATE FUNCTION @schema@.chat_create_channel(
    p_name text, p_topic text, p_by text, p_by_name text, p_epoch text, p_most bigint
) RETURNS TABLE (channel @schema@.channel, is_new boolean) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('@schema@.channel', 0));
    RETURN QUERY SELECT c, false FROM @schema@.channel AS c WHERE c.name = p_name;
    IF FOUND OR (SELECT count(*) FROM @schema@.channel) >= p_most THEN
        RETURN;
    END IF;
    RETURN QUERY WITH made AS (
        INSERT INTO @schema@.channel AS c (name, topic, created_at, created_by, created_by_name, epoch)
        VALUES (p_name, p_topic, @schema@.chat_now(), p_by, p_by_name, p_epoch) RETURNING c
    ) SELECT made.c, true FROM made;
END
$$;

-- The bytes of all files in the index: of each owner, and under '' of all.
CREATE TABLE @schema@.file_bytes (
    owner text COLLATE "C" PRIMARY KEY,
    bytes bigint NOT NULL
);

CREATE FUNCTION @schema@.chat_count_file(p_owner text, p_bytes bigint)
RETURNS void LANGUAGE sql VOLATILE AS $$
    -- All change the row of all first, so that no two wait for each other.
    INSERT INTO @schema@.file_bytes AS f (owner, bytes) VALUES ('', p_bytes)
        ON CONFLICT (owner) DO UPDATE SET bytes = f.bytes + p_bytes;
    INSERT INTO @schema@.file_bytes AS f (owner, bytes) VALUES (p_owner, p_bytes)
        ON CONFLICT (owner) DO UPDATE SET bytes = f.bytes + p_bytes;
    DELETE FROM @schema@.file_bytes AS f WHERE f.owner = p_owner AND f.bytes = 0;
$$;

CREATE FUNCTION @schema@.chat_count_files() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_before bigint := 0;
    v_after bigint := 0;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        v_before := coalesce((OLD.attachment ->> 'size')::bigint, 0);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        v_after := coalesce((NEW.attachment ->> 'size')::bigint, 0);
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.owner = NEW.owner THEN
        IF v_after <> v_before THEN
            PERFORM @schema@.chat_count_file(NEW.owner, v_after - v_before);
        END IF;
        RETURN NULL;
    END IF;
    IF v_before <> 0 THEN
        PERFORM @schema@.chat_count_file(OLD.owner, -v_before);
    END IF;
    IF v_after <> 0 THEN
        PERFORM @schema@.chat_count_file(NEW.owner, v_after);
    END IF;
    RETURN NULL;
END
$$;

-- A publish and a delete change the state only, and cost nothing here.
CREATE TRIGGER count_files AFTER INSERT OR DELETE OR UPDATE OF owner, attachment ON @schema@.upload
    FOR EACH ROW EXECUTE FUNCTION @schema@.chat_count_files();

INSERT INTO @schema@.file_bytes (owner, bytes)
    SELECT owner, sum((attachment ->> 'size')::bigint) FROM @schema@.upload GROUP BY owner
    HAVING sum((attachment ->> 'size')::bigint) > 0;
INSERT INTO @schema@.file_bytes (owner, bytes) SELECT '', coalesce(sum(bytes), 0) FROM @schema@.file_bytes;

-- Enters an upload or replaces it. False, and nothing changes, if it takes more bytes than it did and the files of its
-- owner would then have more than p_user, or all of them more than p_all.
CREATE FUNCTION @schema@.chat_put_upload(
    p_id text, p_channel bigint, p_channel_name text, p_owner text, p_at bigint, p_state smallint, p_seq bigint,
    p_attachment jsonb, p_user bigint, p_all bigint
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_before bigint;
BEGIN
    SELECT (u.attachment ->> 'size')::bigint INTO v_before FROM @schema@.upload AS u WHERE u.id = p_id FOR UPDATE;
    INSERT INTO @schema@.upload (id, channel, channel_name, owner, at, state, seq, attachment)
        VALUES (p_id, p_channel, p_channel_name, p_owner, p_at, p_state, p_seq, p_attachment)
        ON CONFLICT (id) DO UPDATE SET
            channel = excluded.channel, channel_name = excluded.channel_name, owner = excluded.owner,
            at = excluded.at, state = excluded.state, seq = excluded.seq, attachment = excluded.attachment;
    -- The trigger has counted it, and holds the counts' rows until the end of the transaction.
    IF (p_attachment ->> 'size')::bigint > coalesce(v_before, 0) AND EXISTS (
        SELECT FROM @schema@.file_bytes AS f
        WHERE (f.owner = p_owner AND f.bytes > p_user) OR (f.owner = '' AND f.bytes > p_all)
    ) THEN
        RAISE EXCEPTION 'over' USING ERRCODE = 'CC001';
    END IF;
    RETURN true;
EXCEPTION WHEN SQLSTATE 'CC001' THEN
    RETURN false;
END
$$;
