-- Appends that change members, and appends that are allowed only to members.

-- Decides whether a channel and its members allow an append, as the program's judge does: the same refusals in the same
-- order, numbered as in chat_append. 0: it is allowed. The channel's row is locked, so nobody comes or goes meanwhile.
CREATE FUNCTION @schema@.chat_judge(
    p_channel @schema@.channel, p_kind smallint, p_author text, p_checked boolean, p_most bigint, p_change jsonb
) RETURNS smallint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_op text := p_change ->> 'op';
    v_author smallint; -- the role, or null of no member
    v_subject smallint;
    v_is_last boolean;
BEGIN
    IF p_checked THEN
        SELECT m.role INTO v_author FROM @schema@.member AS m
            WHERE m.channel = p_channel.id AND m.chat_user = p_author;
        IF p_channel.kind <> 0 AND v_author IS NULL THEN
            RETURN 1;
        END IF;
        IF v_author IS DISTINCT FROM 0 AND (
            p_kind = 6 OR (p_kind = 5 AND (v_op IN ('removed', 'role') OR (v_op = 'added' AND p_channel.kind <> 0)))
        ) THEN
            RETURN 6;
        END IF;
    END IF;
    IF p_channel.archived AND (
        p_kind IN (0, 1, 3) OR (p_kind = 5 AND v_op IN ('added', 'role'))
        OR (p_kind = 6 AND p_change ->> 'archived' IS NULL)
    ) THEN
        RETURN 7;
    END IF;
    IF p_kind = 6 THEN
        RETURN CASE WHEN p_change ->> 'title' <> p_channel.title OR p_change ->> 'topic' <> p_channel.topic
            OR (p_change ->> 'archived')::boolean <> p_channel.archived THEN 0 ELSE 10 END;
    END IF;
    IF p_kind <> 5 THEN
        RETURN 0;
    END IF;
    IF p_channel.kind = 2 THEN
        RETURN 6;
    END IF;
    SELECT m.role INTO v_subject FROM @schema@.member AS m
        WHERE m.channel = p_channel.id AND m.chat_user = p_change #>> '{user,id}';
    IF NOT FOUND THEN
        RETURN CASE WHEN v_op <> 'added' THEN 9 WHEN p_channel.members >= p_most THEN 8 ELSE 0 END;
    END IF;
    v_is_last := v_subject = 0 AND p_channel.owners <= 1;
    RETURN CASE
        WHEN v_op = 'added' THEN 10
        WHEN v_op = 'role' AND v_subject = @schema@.chat_role(p_change) THEN 10
        WHEN v_op = 'role' AND v_is_last THEN 11
        WHEN v_op IN ('removed', 'left') AND v_is_last AND p_channel.members > 1 THEN 11
        ELSE 0 END;
END
$$;

-- The role in a change of a member, as in the table member.
CREATE FUNCTION @schema@.chat_role(p_change jsonb) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT (CASE p_change ->> 'role' WHEN 'owner' THEN 0 ELSE 1 END)::smallint
$$;

-- Makes the change of an event of kind 5 or 6, which is allowed and has this seq. The channel's row is locked.
CREATE FUNCTION @schema@.chat_change(p_channel @schema@.channel, p_kind smallint, p_seq bigint, p_change jsonb)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_user text := p_change #>> '{user,id}';
    v_role smallint := @schema@.chat_role(p_change);
    v_before smallint;
BEGIN
    IF p_kind = 6 THEN
        UPDATE @schema@.channel AS c
            SET title = coalesce(p_change ->> 'title', c.title), topic = coalesce(p_change ->> 'topic', c.topic),
                archived = coalesce((p_change ->> 'archived')::boolean, c.archived)
            WHERE c.id = p_channel.id;
        IF p_channel.kind <> 0 AND (p_change ->> 'archived')::boolean <> p_channel.archived THEN
            UPDATE @schema@.member AS m SET archived = NOT p_channel.archived WHERE m.channel = p_channel.id;
        END IF;
        RETURN;
    END IF;
    IF p_change ->> 'op' = 'added' THEN
        INSERT INTO @schema@.member (channel, chat_user, name, role, since, closed_name)
            VALUES (p_channel.id, v_user, p_change #>> '{user,name}', v_role, p_seq,
                CASE WHEN p_channel.kind <> 0 THEN p_channel.name END);
        UPDATE @schema@.channel AS c SET members = c.members + 1, owners = c.owners + (v_role = 0)::int
            WHERE c.id = p_channel.id;
        RETURN;
    END IF;
    SELECT m.role INTO v_before FROM @schema@.member AS m WHERE m.channel = p_channel.id AND m.chat_user = v_user;
    IF p_change ->> 'op' = 'role' THEN
        UPDATE @schema@.member AS m SET role = v_role WHERE m.channel = p_channel.id AND m.chat_user = v_user;
        UPDATE @schema@.channel AS c SET owners = c.owners + (v_role = 0)::int - (v_before = 0)::int
            WHERE c.id = p_channel.id;
    ELSE
        DELETE FROM @schema@.member AS m WHERE m.channel = p_channel.id AND m.chat_user = v_user;
        UPDATE @schema@.channel AS c SET members = c.members - 1, owners = c.owners - (v_before = 0)::int
            WHERE c.id = p_channel.id;
    END IF;
END
$$;

-- Appends a batch, as 3_reactions.sql and 4_clock.sql say. Also:
--
-- p_kind: also 5 a change of a member, 6 a change of the channel. p_checked: whether the author's membership must allow
-- the item. p_more: of a message or an edit {"mentions", "kind", "data"}, of kinds 5 and 6 the event's change.
-- p_most has the most reactions on the message, or the most members.
-- refusal: also 6 not allowed, 7 archived, 8 too many members, 9 not a member, 10 nothing changes, 11 the last owner.
--
-- In an open channel anybody may write, so a run of plain messages needs no check. If one of the locked channels is private,
-- direct or archived, one statement looks for refused items in each plain run. A run that has one goes item by item.
CREATE FUNCTION @schema@.chat_append(
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
                WHERE c.archived OR (c.kind <> 0 AND g.checked AND NOT EXISTS (
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

-- For processes of the version before: a refusal that they don't know is that of a channel that does not exist.
CREATE OR REPLACE FUNCTION @schema@.chat_append(
    p_ends int[], p_plain boolean[],
    p_channel bigint[], p_left int[], p_kind smallint[], p_author text[], p_author_name text[], p_nonce text[],
    p_digest uuid[], p_key bigint[], p_target bigint[], p_text text[], p_attachments text[],
    p_reactions bigint[], p_kinds bigint[]
) RETURNS TABLE (
    run int, item int, channel bigint, refusal smallint, seq bigint, at bigint, epoch text, duplicate boolean
)
LANGUAGE sql VOLATILE AS $$
    SELECT a.run, a.item, a.channel, (CASE WHEN a.refusal > 5 THEN 1 ELSE a.refusal END)::smallint, a.seq, a.at,
        a.epoch, a.duplicate
    FROM @schema@.chat_append(
        p_ends, p_plain, p_channel, p_left, p_kind, p_author, p_author_name, p_nonce, p_digest, p_key, p_target,
        p_text, p_attachments, p_reactions, p_kinds, array_fill(true, ARRAY[cardinality(p_channel)]), '{}'
    ) AS a
$$;
-- That of processes before those.
DROP FUNCTION @schema@.chat_append(
    int[], boolean[], bigint[], int[], smallint[], text[], text[], text[], uuid[], bigint[], bigint[], text[], text[]
);
