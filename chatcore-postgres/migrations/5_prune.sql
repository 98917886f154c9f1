-- Does one step of a prune, of at most p_step events and as many digests; says whether there is more to do, and
-- NULL where there is no such channel. Digests of pruned messages stay while their time is after p_expired, which is
-- a day ago. Those that a wrong clock gave a time to come count as of now.
CREATE OR REPLACE FUNCTION @schema@.chat_prune(p_channel bigint, p_through bigint, p_expired bigint, p_step bigint)
RETURNS boolean LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_channel @schema@.channel;
    v_through bigint;
    v_step bigint;
    v_ordinal bigint;
    v_digests bigint;
    v_now bigint := p_expired + 86400000;
BEGIN
    SELECT c.* INTO v_channel FROM @schema@.channel AS c WHERE c.id = p_channel FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_through := least(p_through, v_channel.last_seq);
    v_step := least(v_through, v_channel.trimmed + p_step);

    UPDATE @schema@.orphan_digest AS o SET at = v_now WHERE o.channel = p_channel AND o.at > v_now;

    WITH old AS (
        SELECT o.digest FROM @schema@.orphan_digest AS o
        WHERE o.channel = p_channel AND o.at <= p_expired ORDER BY o.at LIMIT p_step
    )
    DELETE FROM @schema@.orphan_digest AS o USING old WHERE o.digest = old.digest;
    GET DIAGNOSTICS v_digests = ROW_COUNT;

    IF v_step > v_channel.trimmed THEN
        WITH gone AS (
            DELETE FROM @schema@.event AS e WHERE e.channel = p_channel AND e.seq <= v_step
            RETURNING e.kind, e.digest, e.seq, e.at, e.ordinal, e.attachments
        ), kept AS (
            INSERT INTO @schema@.orphan_digest (digest, channel, seq, at)
            SELECT g.digest, p_channel, g.seq, least(g.at, v_now) FROM gone AS g WHERE g.kind = 0 AND g.at > p_expired
        ), discarded AS (
            UPDATE @schema@.upload AS u SET state = 3, seq = NULL
            FROM gone AS g, jsonb_array_elements(g.attachments) AS file
            WHERE g.attachments IS NOT NULL AND u.id = file ->> 'id'
        )
        SELECT max(g.ordinal) INTO v_ordinal FROM gone AS g;
        UPDATE @schema@.channel AS c
            SET trimmed = v_step, trimmed_messages = coalesce(v_ordinal, c.trimmed_messages)
            WHERE c.id = p_channel;
    END IF;
    RETURN v_step < v_through OR v_digests = p_step;
END
$$;
