-- Appends a batch, as 3_reactions.sql says. A channel's last_at that is more than a minute ahead of the clock was
-- written when a clock was wrong, and holds no event back.
CREATE OR REPLACE FUNCTION @schema@.chat_append(
    p_ends int[], p_plain boolean[],
    p_channel bigint[], p_left int[], p_kind smallint[], p_author text[], p_author_name text[], p_nonce text[],
    p_digest uuid[], p_key bigint[], p_target bigint[], p_text text[], p_attachments text[],
    p_reactions bigint[], p_kinds bigint[]
) RETURNS TABLE (
    run int, item int, channel bigint, refusal smallint, seq bigint, at bigint, epoch text, duplicate boolean
)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_from int := 1;
    v_now bigint;
    v_last bigint;
    v_channels bigint[] := ARRAY(SELECT DISTINCT unnest(p_channel));
    v_channel @schema@.channel;
    v_message @schema@.event;
    v_files text[];
    v_reactions bigint;
    v_kinds bigint;
BEGIN
    SELECT max(locked.last_at) INTO v_last FROM (
        SELECT c.last_at FROM @schema@.channel AS c WHERE c.id = ANY (v_channels) ORDER BY c.id FOR UPDATE
    ) AS locked;
    v_now := @schema@.chat_now();
    IF v_last > v_now + 60000 THEN
        UPDATE @schema@.channel AS c SET last_at = v_now WHERE c.id = ANY (v_channels) AND c.last_at > v_now + 60000;
    END IF;
    FOR v_run IN 1 .. cardinality(p_ends) LOOP
        IF p_plain[v_run] THEN
            -- Nearly always every nonce is new, and the log's own index says so: looking each up first would
            -- cost a third of all. Otherwise the run is undone and done with a look.
            IF NOT EXISTS (SELECT FROM @schema@.orphan_digest AS o WHERE o.channel = ANY (v_channels)) THEN
                BEGIN
                    UPDATE @schema@.channel AS c
                        SET last_seq = c.last_seq + f.places, messages = c.messages + f.places,
                            last_at = greatest(c.last_at, v_now)
                        FROM (
                            SELECT g.channel, count(*) AS places
                            FROM unnest(p_channel[v_from:p_ends[v_run]]) AS g (channel) GROUP BY g.channel
                        ) AS f
                        WHERE c.id = f.channel;
                    INSERT INTO @schema@.event
                            (channel, seq, at, kind, author, author_name, nonce, digest, key, text, ordinal)
                        SELECT c.id, c.last_seq - g.remaining, c.last_at, 0, g.author, g.author_name, g.nonce,
                            g.digest, g.key, g.text, c.messages - g.remaining
                        FROM unnest(
                            p_channel[v_from:p_ends[v_run]], p_left[v_from:p_ends[v_run]],
                            p_author[v_from:p_ends[v_run]], p_author_name[v_from:p_ends[v_run]],
                            p_nonce[v_from:p_ends[v_run]], p_digest[v_from:p_ends[v_run]],
                            p_key[v_from:p_ends[v_run]], p_text[v_from:p_ends[v_run]]
                        ) AS g (channel, remaining, author, author_name, nonce, digest, key, text)
                        JOIN (SELECT * FROM @schema@.channel WHERE id = ANY (v_channels) OFFSET 0) AS c
                            ON c.id = g.channel;
                    RETURN QUERY SELECT v_run, NULL::int, c.id, 0::smallint, c.last_seq, c.last_at, c.epoch, false
                        FROM @schema@.channel AS c WHERE c.id = ANY (v_channels);
                    v_from := p_ends[v_run] + 1;
                    CONTINUE;
                EXCEPTION WHEN unique_violation THEN
                    NULL;
                END;
            END IF;
            RETURN QUERY
            WITH looked AS MATERIALIZED (
                SELECT g.*, c.id, c.epoch, first.seq AS first_seq, first.at AS first_at, first.key AS first_key,
                    c.last_seq, c.messages, greatest(c.last_at, v_now) AS at,
                    count(*) FILTER (WHERE c.id IS NOT NULL AND first.seq IS NULL)
                        OVER (PARTITION BY g.channel ORDER BY g.n) AS place
                FROM unnest(
                    p_channel[v_from:p_ends[v_run]], p_author[v_from:p_ends[v_run]],
                    p_author_name[v_from:p_ends[v_run]], p_nonce[v_from:p_ends[v_run]],
                    p_digest[v_from:p_ends[v_run]], p_key[v_from:p_ends[v_run]], p_text[v_from:p_ends[v_run]]
                ) WITH ORDINALITY AS g (channel, author, author_name, nonce, digest, key, text, n)
                LEFT JOIN (
                    SELECT * FROM @schema@.channel WHERE id = ANY (v_channels) OFFSET 0
                ) AS c ON c.id = g.channel
                LEFT JOIN LATERAL (
                    (SELECT e.seq, e.at, e.key FROM @schema@.event AS e WHERE e.digest = g.digest)
                    UNION ALL
                    (SELECT o.seq, o.at, NULL FROM @schema@.orphan_digest AS o WHERE o.digest = g.digest)
                    LIMIT 1
                ) AS first ON true
            ), added AS (
                INSERT INTO @schema@.event
                    (channel, seq, at, kind, author, author_name, nonce, digest, key, text, ordinal)
                SELECT l.channel, l.last_seq + l.place, l.at, 0, l.author, l.author_name, l.nonce, l.digest, l.key,
                    l.text, l.messages + l.place
                FROM looked AS l WHERE l.id IS NOT NULL AND l.first_seq IS NULL
            ), moved AS (
                UPDATE @schema@.channel AS c
                SET last_seq = c.last_seq + f.places, messages = c.messages + f.places, last_at = f.at
                FROM (
                    SELECT l.id, max(l.place) AS places, max(l.at) AS at FROM looked AS l
                    WHERE l.id IS NOT NULL AND l.first_seq IS NULL GROUP BY l.id
                ) AS f
                WHERE c.id = f.id
            )
            SELECT v_run, v_from - 1 + l.n::int, l.channel, (CASE WHEN l.id IS NULL THEN 1 ELSE 0 END)::smallint,
                coalesce(l.first_seq, l.last_seq + l.place), coalesce(l.first_at, l.at), l.epoch,
                l.first_seq IS NOT NULL AND l.first_key IS DISTINCT FROM l.key
            FROM looked AS l;
            v_from := p_ends[v_run] + 1;
            CONTINUE;
        END IF;

        FOR v_item IN v_from .. p_ends[v_run] LOOP
            run := v_run; item := v_item; channel := p_channel[v_item]; refusal := 0; seq := NULL; at := NULL; epoch := NULL; duplicate := false;

            SELECT c.* INTO v_channel FROM @schema@.channel AS c WHERE c.id = p_channel[v_item];
            IF NOT FOUND THEN
                refusal := 1;
                RETURN NEXT;
                CONTINUE;
            END IF;
            epoch := v_channel.epoch;

            SELECT first.seq, first.at, first.key IS DISTINCT FROM p_key[v_item] INTO seq, at, duplicate FROM (
                SELECT e.seq, e.at, e.key FROM @schema@.event AS e WHERE e.digest = p_digest[v_item]
                UNION ALL
                SELECT o.seq, o.at, NULL FROM @schema@.orphan_digest AS o WHERE o.digest = p_digest[v_item]
            ) AS first;
            IF FOUND THEN
                RETURN NEXT;
                CONTINUE;
            END IF;
            duplicate := false;

            IF p_target[v_item] IS NOT NULL THEN
                SELECT e.* INTO v_message FROM @schema@.event AS e
                    WHERE e.channel = v_channel.id AND e.seq = p_target[v_item] AND e.kind = 0;
                IF NOT FOUND OR (p_kind[v_item] <> 0 AND v_message.deleted) THEN
                    refusal := 2;
                    RETURN NEXT;
                    CONTINUE;
                END IF;
            END IF;

            IF p_kind[v_item] = 3 AND NOT EXISTS (
                SELECT FROM jsonb_array_elements(v_message.reactions) AS r
                WHERE r ->> 'emoji' = p_text[v_item] AND r -> 'users' ? p_author[v_item]
            ) THEN
                SELECT coalesce(sum(jsonb_array_length(r -> 'users')), 0),
                        count(*) FILTER (WHERE r -> 'users' ? p_author[v_item])
                    INTO v_reactions, v_kinds FROM jsonb_array_elements(v_message.reactions) AS r;
                refusal := CASE WHEN v_reactions >= p_reactions[v_item] THEN 4
                    WHEN v_kinds >= p_kinds[v_item] THEN 5 ELSE 0 END;
                IF refusal <> 0 THEN
                    RETURN NEXT;
                    CONTINUE;
                END IF;
            END IF;

            seq := v_channel.last_seq + 1;
            at := greatest(v_channel.last_at, v_now);
            IF p_attachments[v_item] IS NOT NULL THEN
                SELECT array_agg(file ->> 'id') INTO v_files
                    FROM jsonb_array_elements(p_attachments[v_item]::jsonb) AS file;
                -- A channel's files are locked under its own row's lock, so two batches can't deadlock here.
                -- A file that is named twice counts once, and so is refused.
                IF cardinality(v_files) <> (SELECT count(*) FROM (
                    SELECT 1 FROM @schema@.upload AS u
                    WHERE u.id = ANY (v_files) AND u.channel = v_channel.id AND u.owner = p_author[v_item]
                        AND u.state = 1
                    FOR UPDATE
                ) AS free) THEN
                    refusal := 3;
                    RETURN NEXT;
                    CONTINUE;
                END IF;
                UPDATE @schema@.upload AS u SET state = 2, seq = v_channel.last_seq + 1 WHERE u.id = ANY (v_files);
            END IF;

            INSERT INTO @schema@.event
                (channel, seq, at, kind, author, author_name, nonce, digest, key, target, text, attachments, ordinal)
            VALUES (
                v_channel.id, v_channel.last_seq + 1, greatest(v_channel.last_at, v_now), p_kind[v_item],
                p_author[v_item], p_author_name[v_item], p_nonce[v_item], p_digest[v_item], p_key[v_item],
                p_target[v_item], p_text[v_item], p_attachments[v_item]::jsonb,
                CASE p_kind[v_item] WHEN 0 THEN v_channel.messages + 1 END
            );
            UPDATE @schema@.channel AS c
                SET last_seq = c.last_seq + 1, last_at = greatest(c.last_at, v_now),
                    messages = c.messages + (p_kind[v_item] = 0)::int
                WHERE c.id = v_channel.id;

            IF p_kind[v_item] = 1 THEN
                UPDATE @schema@.event AS e
                    SET edited_text = p_text[v_item], edited_at = greatest(v_channel.last_at, v_now)
                    WHERE e.channel = v_channel.id AND e.seq = p_target[v_item];
            ELSIF p_kind[v_item] = 2 THEN
                UPDATE @schema@.event AS e SET text = ''
                    WHERE e.channel = v_channel.id AND e.target = p_target[v_item] AND e.kind = 1;
                UPDATE @schema@.event AS e
                    SET deleted = true, text = '', attachments = NULL, edited_text = NULL, edited_at = NULL,
                        reactions = NULL
                    WHERE e.channel = v_channel.id AND e.seq = p_target[v_item];
                UPDATE @schema@.upload AS u SET state = 3, seq = NULL
                    WHERE u.id IN (SELECT file ->> 'id' FROM jsonb_array_elements(v_message.attachments) AS file);
            ELSIF p_kind[v_item] IN (3, 4) THEN
                UPDATE @schema@.event AS e
                    SET reactions = @schema@.chat_react(
                        e.reactions, p_text[v_item], p_kind[v_item] = 3, p_author[v_item])
                    WHERE e.channel = v_channel.id AND e.seq = p_target[v_item];
            END IF;
            RETURN NEXT;
        END LOOP;
        v_from := p_ends[v_run] + 1;
    END LOOP;
END
$$;
