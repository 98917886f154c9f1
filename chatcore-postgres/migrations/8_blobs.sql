-- Files. One without a size is not whole: it is being written or removed, and nobody can read it.
CREATE TABLE @schema@.blob (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    size bigint,
    began timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX blob_id ON @schema@.blob (id);
CREATE UNIQUE INDEX blob_whole ON @schema@.blob (id) WHERE size IS NOT NULL;
CREATE INDEX blob_unfinished ON @schema@.blob (began) WHERE size IS NULL;

-- The bytes of a file: parts of 64 KiB, counted from 0, and a shorter one at the end.
CREATE TABLE @schema@.blob_part (
    blob bigint NOT NULL REFERENCES @schema@.blob ON DELETE CASCADE,
    part bigint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (blob, part)
);
-- Most files are compressed already, and a range of bytes is read without the bytes before it.
ALTER TABLE @schema@.blob_part ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Writes a part. Its commit does not wait for the disk: the one that makes the file whole waits for all before it.
CREATE FUNCTION @schema@.chat_put_blob_part(p_blob bigint, p_part bigint, p_bytes bytea)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO @schema@.blob_part (blob, part, bytes) VALUES (p_blob, p_part, p_bytes)
        ON CONFLICT (blob, part) DO NOTHING; -- a repetition
END
$$;

-- Makes a file whole, and says whether all of its parts are there: a crash of the server may have lost some.
CREATE FUNCTION @schema@.chat_end_blob(p_blob bigint, p_parts bigint, p_size bigint)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE @schema@.blob AS b SET size = p_size WHERE b.number = p_blob AND (p_parts, p_size) = (
        SELECT count(*), coalesce(sum(octet_length(p.bytes)), 0) FROM @schema@.blob_part AS p WHERE p.blob = p_blob
    );
    RETURN FOUND;
END
$$;

-- Does one step of a removal, of at most p_step parts; says whether there is more to do.
CREATE FUNCTION @schema@.chat_remove_blob(p_blob bigint, p_step bigint)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_removed bigint;
BEGIN
    WITH old AS (
        SELECT p.part FROM @schema@.blob_part AS p WHERE p.blob = p_blob ORDER BY p.part LIMIT p_step
    )
    DELETE FROM @schema@.blob_part AS p USING old WHERE p.blob = p_blob AND p.part = old.part;
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    IF v_removed = p_step THEN
        RETURN true;
    END IF;
    DELETE FROM @schema@.blob AS b WHERE b.number = p_blob;
    RETURN false;
END
$$;
