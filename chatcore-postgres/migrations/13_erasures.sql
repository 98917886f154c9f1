-- People who were erased.
--
-- In the columns that keep nothing but a name, an erased person has the name U&'Deleted user\007F'. In event.change, the
-- person is {"id", "name": "Deleted user", "deleted": true}. Processes of the version before show both as a name.

CREATE TABLE @schema@.erased (
    chat_user text COLLATE "C" PRIMARY KEY,
    keeps_texts boolean NOT NULL, -- whether their messages stay, without their name
    done boolean NOT NULL DEFAULT false,
    -- All transactions that may not have seen this row have smaller numbers.
    writes_before xid8,
    -- All channels with smaller ids are covered, and of this one all events up to seq.
    channel bigint NOT NULL DEFAULT 0,
    seq bigint NOT NULL DEFAULT 0
);

CREATE FUNCTION @schema@.chat_erased_name() RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'Deleted user' || chr(127)
$$;

-- What somebody has left, in the order of the logs. Each event costs one more insertion into an index.
CREATE INDEX event_author ON @schema@.event (author, channel, seq);
CREATE INDEX event_subject ON @schema@.event ((change #>> '{user,id}'), channel, seq) WHERE kind = 5;
CREATE INDEX channel_creator ON @schema@.channel (created_by, id);
CREATE INDEX upload_unused ON @schema@.upload (owner) WHERE state IN (0, 1);

CREATE FUNCTION @schema@.chat_begin_erasure(p_user text, p_keeps_texts boolean)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO @schema@.erased AS x (chat_user, keeps_texts) VALUES (p_user, p_keeps_texts)
        ON CONFLICT (chat_user) DO UPDATE
        SET keeps_texts = p_keeps_texts, done = false, writes_before = NULL, channel = 0, seq = 0
        WHERE x.done OR x.keeps_texts <> p_keeps_texts;
    INSERT INTO @schema@.chat_user AS u (id, name, folded, folded_of)
        VALUES (p_user, @schema@.chat_erased_name(), '', @schema@.chat_erased_name())
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, folded = excluded.folded, folded_of = excluded.folded_of;
    DELETE FROM @schema@.user_word AS w WHERE w.chat_user = p_user;
END
$$;

-- Returns what a person has left in the next part of a log, which has at most p_limit events of theirs.
--
-- state: 0 nothing, 1 ask again later, 2 found. Found is one row without a kind, and one for each message that is not
-- deleted (kind 0, its seq) and for each reaction that is still there (kind 3, the message's seq, the emoji). through is the
-- last seq of the part, or the greatest number for the rest of the log.
--
-- A transaction that writes gets its number before it looks whether its author was erased. So those that have not seen
-- it have smaller numbers than the first call here, and nothing of theirs is missed once they are all over.
CREATE FUNCTION @schema@.chat_next_traces(p_user text, p_limit bigint)
RETURNS TABLE (state smallint, channel bigint, through bigint, kind smallint, seq bigint, emoji text)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_erased @schema@.erased;
    v_channel bigint;
    v_from bigint;
    v_through bigint;
BEGIN
    SELECT x.* INTO v_erased FROM @schema@.erased AS x WHERE x.chat_user = p_user AND NOT x.done;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 0::smallint, NULL::bigint, NULL::bigint, NULL::smallint, NULL::bigint, NULL::text;
        RETURN;
    END IF;
    IF v_erased.writes_before IS NULL THEN
        UPDATE @schema@.erased AS x SET writes_before = pg_current_xact_id()
            WHERE x.chat_user = p_user AND x.writes_before IS NULL;
    END IF;
    IF v_erased.writes_before IS NULL OR pg_snapshot_xmin(pg_current_snapshot()) < v_erased.writes_before THEN
        RETURN QUERY SELECT 1::smallint, NULL::bigint, NULL::bigint, NULL::smallint, NULL::bigint, NULL::text;
        RETURN;
    END IF;
    SELECT min(f.channel) INTO v_channel FROM (
        (SELECT e.channel FROM @schema@.event AS e
            WHERE e.author = p_user AND (e.channel, e.seq) > (v_erased.channel, v_erased.seq)
            ORDER BY e.channel, e.seq LIMIT 1)
        UNION ALL
        (SELECT e.channel FROM @schema@.event AS e
            WHERE e.kind = 5 AND e.change #>> '{user,id}' = p_user
                AND (e.channel, e.seq) > (v_erased.channel, v_erased.seq)
            ORDER BY e.channel, e.seq LIMIT 1)
        UNION ALL
        (SELECT c.id FROM @schema@.channel AS c WHERE c.created_by = p_user AND c.id >= v_erased.channel
            ORDER BY c.id LIMIT 1)
        UNION ALL
        -- All memberships of theirs, by their index.
        (SELECT m.channel FROM (SELECT j.channel FROM @schema@.member AS j WHERE j.chat_user = p_user OFFSET 0) AS m
            WHERE m.channel >= v_erased.channel)
    ) AS f (channel);
    IF v_channel IS NULL THEN
        RETURN QUERY SELECT 0::smallint, NULL::bigint, NULL::bigint, NULL::smallint, NULL::bigint, NULL::text;
        RETURN;
    END IF;
    v_from := CASE WHEN v_channel = v_erased.channel THEN v_erased.seq ELSE 0 END;
    SELECT CASE WHEN count(*) < p_limit THEN 9223372036854775807 ELSE max(t.seq) END INTO v_through FROM (
        SELECT e.seq FROM @schema@.event AS e WHERE e.author = p_user AND e.channel = v_channel AND e.seq > v_from
        ORDER BY e.seq LIMIT p_limit
    ) AS t;
    RETURN QUERY SELECT 2::smallint, v_channel, v_through, NULL::smallint, NULL::bigint, NULL::text;
    RETURN QUERY
        SELECT 2::smallint, v_channel, v_through, e.kind, CASE e.kind WHEN 0 THEN e.seq ELSE e.target END,
            CASE e.kind WHEN 3 THEN e.text END
        FROM @schema@.event AS e
        WHERE e.author = p_user AND e.channel = v_channel AND e.seq > v_from AND e.seq <= v_through
            AND ((e.kind = 0 AND NOT e.deleted) OR (e.kind = 3 AND EXISTS (
                SELECT FROM @schema@.event AS t CROSS JOIN LATERAL jsonb_array_elements(t.reactions) AS r
                WHERE t.channel = v_channel AND t.seq = e.target AND r ->> 'emoji' = e.text AND r -> 'users' ? p_user
            )))
        ORDER BY e.seq;
END
$$;

-- Takes a person's name out of a channel and of a part of its log, and moves the mark behind that.
CREATE FUNCTION @schema@.chat_cover_traces(p_user text, p_channel bigint, p_through bigint)
RETURNS void LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_erased @schema@.erased;
    v_from bigint;
    v_is_rest boolean := p_through = 9223372036854775807;
BEGIN
    SELECT x.* INTO v_erased FROM @schema@.erased AS x WHERE x.chat_user = p_user AND NOT x.done FOR UPDATE;
    IF NOT FOUND OR p_channel < v_erased.channel THEN
        RETURN;
    END IF;
    v_from := CASE WHEN p_channel = v_erased.channel THEN v_erased.seq ELSE 0 END;
    IF p_through <= v_from THEN
        RETURN;
    END IF;
    -- As an append does, before any of its events.
    PERFORM 1 FROM @schema@.channel AS c WHERE c.id = p_channel FOR UPDATE;
    UPDATE @schema@.event AS e SET author_name = @schema@.chat_erased_name()
        WHERE e.author = p_user AND e.channel = p_channel AND e.seq > v_from AND e.seq <= p_through
            AND e.author_name <> @schema@.chat_erased_name();
    UPDATE @schema@.event AS e
        SET change = jsonb_set(e.change, '{user}', jsonb_build_object('id', p_user, 'name', 'Deleted user', 'deleted', true))
        WHERE e.kind = 5 AND e.change #>> '{user,id}' = p_user AND e.channel = p_channel
            AND e.seq > v_from AND e.seq <= p_through;
    UPDATE @schema@.channel AS c SET created_by_name = @schema@.chat_erased_name()
        WHERE c.id = p_channel AND c.created_by = p_user;
    UPDATE @schema@.member AS m SET name = @schema@.chat_erased_name()
        WHERE m.channel = p_channel AND m.chat_user = p_user;
    UPDATE @schema@.erased AS x
        SET channel = p_channel + v_is_rest::int, seq = CASE WHEN v_is_rest THEN 0 ELSE p_through END
        WHERE x.chat_user = p_user;
END
$$;

CREATE FUNCTION @schema@.chat_end_erasure(p_user text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE @schema@.erased AS x SET done = true WHERE x.chat_user = p_user AND NOT x.done;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM @schema@.marker AS m WHERE m.chat_user = p_user;
    UPDATE @schema@.upload AS u SET state = 3, seq = NULL WHERE u.owner = p_user AND u.state IN (0, 1);
END
$$;

CREATE FUNCTION @schema@.chat_readmit(p_user text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    DELETE FROM @schema@.erased AS x WHERE x.chat_user = p_user AND x.done;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM @schema@.chat_user AS u WHERE u.id = p_user;
    RETURN true;
END
$$;

-- Stores a user's name, as in 10_members.sql. The row itself says whether the user was erased: an erasure and a new name at
-- the same time end without a name, in either order.
CREATE OR REPLACE FUNCTION @schema@.chat_put_user(
    p_id text, p_name text, p_folded text, p_places int[], p_words text[]
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (
        SELECT FROM @schema@.chat_user AS u WHERE u.id = p_id AND u.name = p_name AND u.folded_of = p_name
    ) THEN
        RETURN;
    END IF;
    INSERT INTO @schema@.chat_user AS u (id, name, folded, folded_of) VALUES (p_id, p_name, p_folded, p_name)
        ON CONFLICT (id) DO UPDATE SET name = p_name, folded = p_folded, folded_of = p_name
        WHERE u.name <> @schema@.chat_erased_name();
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM @schema@.user_word AS w WHERE w.chat_user = p_id;
    INSERT INTO @schema@.user_word (chat_user, place, word)
        SELECT p_id, n.place, n.word FROM unnest(p_places, p_words) AS n (place, word);
END
$$;

-- The functions below are as before, except that they enter nothing of a person who was erased.

-- Also: refusal 12, the author was erased, or whom a change of the members is about.
CREATE OR REPLACE FUNCTION @schema@.chat_append(
    p_ends int[], p_plain boolean[],
    p_channel bigint[], p_left int[], p_kind smallint[], p_author text[], p_author_name text[], p_nonce text[],
    p_digest uuid[], p_key bigint[], p_target bigint[], p_text text[], p_attachments text[],
    p_most bigint[], p_kinds bigint[], p_checked boolean[], p_more text[]
) RETURNS TABLE (
    run int, item int, channel bigint, refusal smallint, seq bigint, at bigint, epoch text, duplicate boolean
)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_from int := 1;
    v_now bigint;
    v_last bigint;
    v_guarded boolean; -- whether a channel is not open, or archived
    v_plain boolean;
    v_erased text[]; -- the authors who were erased
    v_is_erased boolean;
    v_more jsonb;
    v_channels bigint[] := ARRAY(SELECT DISTINCT unnest(p_channel));
    v_channel @schema@.channel;
    v_message @schema@.event;
    v_files text[];
    v_reactions bigint;
    v_kinds bigint;
BEGIN
    SELECT max(locked.last_at), bool_or(locked.kind <> 0 OR locked.archived) INTO v_last, v_guarded FROM (
        SELECT c.last_at, c.kind, c.archived FROM @schema@.channel AS c WHERE c.id = ANY (v_channels) ORDER BY c.id FOR UPDATE
    ) AS locked;
    v_now := @schema@.chat_now();
    -- Read after the locks, by a transaction that has a number: see chat_next_traces.
    v_erased := ARRAY(SELECT x.chat_user FROM @schema@.erased AS x WHERE x.chat_user = ANY (p_author));
    v_guarded := v_guarded OR cardinality(v_erased) > 0;
    IF v_last > v_now + 60000 THEN
        UPDATE @schema@.channel AS c SET last_at = v_now WHERE c.id = ANY (v_channels) AND c.last_at > v_now + 60000;
    END IF;
    FOR v_run IN 1 .. cardinality(p_ends) LOOP
        v_plain := p_plain[v_run];
        IF v_plain AND v_guarded THEN
            v_plain := NOT EXISTS (
                SELECT FROM unnest(
                    p_channel[v_from:p_ends[v_run]], p_author[v_from:p_ends[v_run]], p_checked[v_from:p_ends[v_run]]
                ) AS g (channel, author, checked)
                JOIN @schema@.channel AS c ON c.id = g.channel
                WHERE c.archived OR g.author = ANY (v_erased) OR (c.kind <> 0 AND g.checked AND NOT EXISTS (
                    SELECT FROM @schema@.member AS m WHERE m.channel = g.channel AND m.chat_user = g.author
                ))
            );
        END IF;
        IF v_plain THEN
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

            v_more := p_more[v_item]::jsonb;
            v_is_erased := p_author[v_item] = ANY (v_erased);
            IF (v_is_erased AND (p_kind[v_item] IN (0, 1, 3, 6) OR (p_kind[v_item] = 5 AND v_more ->> 'op' = 'added')))
                OR (p_kind[v_item] = 5 AND v_more ->> 'op' IN ('added', 'role') AND EXISTS (
                    SELECT FROM @schema@.erased AS x WHERE x.chat_user = v_more #>> '{user,id}'
                ))
            THEN
                refusal := 12;
                RETURN NEXT;
                CONTINUE;
            END IF;
            -- The last owner of an archive may be erased, too.
            v_channel.archived := v_channel.archived AND NOT v_is_erased;
            -- In an open channel, everybody may do what changes neither it nor its members.
            IF p_kind[v_item] > 4 OR v_channel.kind <> 0 OR v_channel.archived THEN
                refusal := @schema@.chat_judge(
                    v_channel, p_kind[v_item], p_author[v_item], p_checked[v_item], p_most[v_item], v_more);
                IF refusal <> 0 THEN
                    RETURN NEXT;
                    CONTINUE;
                END IF;
            END IF;

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
                refusal := CASE WHEN v_reactions >= p_most[v_item] THEN 4
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
                (channel, seq, at, kind, author, author_name, nonce, digest, key, target, text, attachments, ordinal,
                mentions, message_kind, data, change)
            VALUES (
                v_channel.id, v_channel.last_seq + 1, greatest(v_channel.last_at, v_now), p_kind[v_item],
                p_author[v_item], p_author_name[v_item], p_nonce[v_item], p_digest[v_item], p_key[v_item],
                p_target[v_item], p_text[v_item], p_attachments[v_item]::jsonb,
                CASE p_kind[v_item] WHEN 0 THEN v_channel.messages + 1 END,
                v_more -> 'mentions', v_more ->> 'kind', v_more ->> 'data', CASE WHEN p_kind[v_item] > 4 THEN v_more END
            );
            UPDATE @schema@.channel AS c
                SET last_seq = c.last_seq + 1, last_at = greatest(c.last_at, v_now),
                    messages = c.messages + (p_kind[v_item] = 0)::int
                WHERE c.id = v_channel.id;

            IF p_kind[v_item] = 1 THEN
                UPDATE @schema@.event AS e
                    SET edited_text = p_text[v_item], edited_at = greatest(v_channel.last_at, v_now),
                        edited_mentions = coalesce(v_more -> 'mentions', e.edited_mentions),
                        edited_data = coalesce(v_more ->> 'data', e.edited_data)
                    WHERE e.channel = v_channel.id AND e.seq = p_target[v_item];
            ELSIF p_kind[v_item] = 2 THEN
                UPDATE @schema@.event AS e SET text = '', mentions = NULL, data = NULL
                    WHERE e.channel = v_channel.id AND e.target = p_target[v_item] AND e.kind = 1;
                UPDATE @schema@.event AS e
                    SET deleted = true, text = '', attachments = NULL, edited_text = NULL, edited_at = NULL,
                        reactions = NULL, mentions = NULL, edited_mentions = NULL, data = NULL, edited_data = NULL
                    WHERE e.channel = v_channel.id AND e.seq = p_target[v_item];
                UPDATE @schema@.upload AS u SET state = 3, seq = NULL
                    WHERE u.id IN (SELECT file ->> 'id' FROM jsonb_array_elements(v_message.attachments) AS file);
            ELSIF p_kind[v_item] IN (3, 4) THEN
                UPDATE @schema@.event AS e
                    SET reactions = @schema@.chat_react(
                        e.reactions, p_text[v_item], p_kind[v_item] = 3, p_author[v_item])
                    WHERE e.channel = v_channel.id AND e.seq = p_target[v_item];
            ELSIF p_kind[v_item] IN (5, 6) THEN
                PERFORM @schema@.chat_change(v_channel, p_kind[v_item], seq, v_more);
                IF v_more ->> 'archived' = 'true' THEN
                    v_guarded := true;
                END IF;
            END IF;
            RETURN NEXT;
        END LOOP;
        v_from := p_ends[v_run] + 1;
    END LOOP;
END
$$;

-- Also: it fails if p_by or a member was erased.
CREATE OR REPLACE FUNCTION @schema@.chat_create_channel(
    p_name text, p_title text, p_topic text, p_kind smallint, p_history smallint, p_by text, p_by_name text,
    p_epoch text, p_most bigint, p_look text, p_people bytea, p_members text[], p_member_names text[]
) RETURNS TABLE (channel @schema@.channel, is_new boolean) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_channel @schema@.channel;
    v_role smallint := CASE p_kind WHEN 2 THEN 1 ELSE 0 END;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('@schema@.channel', 0));
    IF p_kind = 2 THEN
        RETURN QUERY SELECT c, false FROM @schema@.channel AS c WHERE c.people = p_people;
    ELSIF p_kind = 0 THEN
        RETURN QUERY SELECT c, false FROM @schema@.channel AS c
            WHERE c.name = p_name OR c.id = (SELECT l.channel FROM @schema@.channel_look AS l WHERE l.look = p_look)
            ORDER BY c.name <> p_name LIMIT 1;
    END IF;
    IF p_kind <> 1 AND FOUND THEN
        RETURN;
    END IF;
    IF p_kind <> 0 AND EXISTS (SELECT FROM @schema@.channel AS c WHERE c.name = p_name) THEN
        RAISE EXCEPTION 'a channel has that name already' USING ERRCODE = 'unique_violation';
    END IF;
    IF (SELECT count(*) FROM @schema@.channel) >= p_most THEN
        RETURN;
    END IF;
    INSERT INTO @schema@.channel AS c (
        name, title, topic, kind, history, created_at, created_by, created_by_name, epoch, people, members, owners
    ) VALUES (
        p_name, p_title, p_topic, p_kind, p_history, @schema@.chat_now(), p_by, p_by_name, p_epoch, p_people,
        cardinality(p_members), CASE v_role WHEN 0 THEN cardinality(p_members) ELSE 0 END
    ) RETURNING c.* INTO v_channel;
    INSERT INTO @schema@.member (channel, chat_user, name, role, closed_name)
        SELECT v_channel.id, n.id, n.name, v_role, CASE WHEN p_kind <> 0 THEN p_name END
        FROM unnest(p_members, p_member_names) AS n (id, name);
    INSERT INTO @schema@.channel_look (look, channel) SELECT p_look, v_channel.id WHERE p_look IS NOT NULL
        ON CONFLICT DO NOTHING;
    -- Read once this transaction has a number.
    IF EXISTS (SELECT FROM @schema@.erased AS x WHERE x.chat_user = p_by OR x.chat_user = ANY (p_members)) THEN
        RAISE EXCEPTION 'the user was erased' USING ERRCODE = 'CC003';
    END IF;
    RETURN QUERY SELECT v_channel, true;
END
$$;

CREATE OR REPLACE FUNCTION @schema@.chat_join(p_channel bigint, p_user text, p_name text)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_kind smallint;
BEGIN
    -- Looks first, so that a member waits for no lock.
    IF EXISTS (SELECT FROM @schema@.member AS m WHERE m.channel = p_channel AND m.chat_user = p_user) THEN
        RETURN false;
    END IF;
    SELECT c.kind INTO v_kind FROM @schema@.channel AS c WHERE c.id = p_channel FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_kind <> 0 OR EXISTS (SELECT FROM @schema@.erased AS x WHERE x.chat_user = p_user) THEN
        RETURN false;
    END IF;
    INSERT INTO @schema@.member (channel, chat_user, name, role) VALUES (p_channel, p_user, p_name, 1)
        ON CONFLICT (channel, chat_user) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE @schema@.channel AS c SET members = c.members + 1 WHERE c.id = p_channel;
    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION @schema@.chat_put_upload(
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
    IF EXISTS (SELECT FROM @schema@.erased AS x WHERE x.chat_user = p_owner) THEN
        RAISE EXCEPTION 'erased' USING ERRCODE = 'CC001';
    END IF;
    RETURN true;
EXCEPTION WHEN SQLSTATE 'CC001' THEN
    RETURN false;
END
$$;

CREATE OR REPLACE FUNCTION @schema@.chat_mark_read(p_user text, p_channel bigint, p_seq bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_head bigint;
    v_now bigint;
BEGIN
    SELECT c.last_seq INTO v_head FROM @schema@.channel AS c WHERE c.id = p_channel;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT m.seq INTO v_now FROM @schema@.marker AS m WHERE m.chat_user = p_user AND m.channel = p_channel;
    IF v_now >= least(p_seq, v_head) THEN
        RETURN v_now;
    END IF;
    IF EXISTS (SELECT FROM @schema@.erased AS x WHERE x.chat_user = p_user) THEN
        RETURN coalesce(v_now, 0);
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO @schema@.marker AS m (chat_user, channel, seq) VALUES (p_user, p_channel, least(p_seq, v_head))
        ON CONFLICT (chat_user, channel) DO UPDATE SET seq = greatest(m.seq, excluded.seq)
        RETURNING m.seq INTO v_now;
    RETURN v_now;
END
$$;
