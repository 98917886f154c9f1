-- Who belongs to which channel, and what a message has besides its text.
--
-- Processes of the version before go on working: what they create has a title and an owner, and what they append is
-- checked, so they write nothing to an archived channel, or of a stranger to a private one. But they list private
-- channels to everybody, and can't read logs with changes of members. So update all processes before the first private
-- channel is created. Whom they name or rename is found by the new name after the next start of a process.

ALTER TABLE @schema@.channel
    ADD COLUMN title text NOT NULL DEFAULT '',
    ADD COLUMN kind smallint NOT NULL DEFAULT 0, -- 0 open, 1 private, 2 direct
    ADD COLUMN history smallint NOT NULL DEFAULT 0, -- what a new member can read of the past: 0 all, 1 nothing
    ADD COLUMN archived boolean NOT NULL DEFAULT false,
    -- The numbers of the channel's rows in member, and of those who own it.
    ADD COLUMN members bigint NOT NULL DEFAULT 0,
    ADD COLUMN owners bigint NOT NULL DEFAULT 0,
    ADD COLUMN people bytea; -- of a direct channel the SHA-256 of its people's ids

-- A transaction that changes a channel's members locks the channel's row first.
CREATE TABLE @schema@.member (
    channel bigint NOT NULL,
    chat_user text COLLATE "C" NOT NULL,
    name text NOT NULL, -- as it was then: people see the name in chat_user, if there is one
    role smallint NOT NULL, -- 0 owner, 1 member
    notify smallint NOT NULL DEFAULT 0, -- 0 all, 1 mentions, 2 none
    since bigint NOT NULL DEFAULT 0, -- the seq of the event that added them for the last time
    -- Copies from a private or direct channel, so that a user's channels are one range of an index.
    closed_name text COLLATE "C",
    archived boolean NOT NULL DEFAULT false,
    PRIMARY KEY (channel, chat_user)
);

INSERT INTO @schema@.member (channel, chat_user, name, role)
    SELECT id, created_by, created_by_name, 0 FROM @schema@.channel;
UPDATE @schema@.channel SET title = name, members = 1, owners = 1;

CREATE INDEX member_user ON @schema@.member (chat_user, archived, closed_name);
CREATE INDEX channel_open ON @schema@.channel (archived, name) WHERE kind = 0;
CREATE UNIQUE INDEX channel_people ON @schema@.channel (people) WHERE people IS NOT NULL;

-- kind: also 5 a change of a member, 6 a change of the channel.
ALTER TABLE @schema@.event
    -- Of a message or an edit. In an edit, null if that has not changed.
    ADD COLUMN mentions jsonb, -- {"list": ids, "@channel" or "@here", "here": ids}
    ADD COLUMN message_kind text,
    ADD COLUMN data text, -- JSON as the app wrote it
    -- What edits made of a message.
    ADD COLUMN edited_mentions jsonb,
    ADD COLUMN edited_data text,
    -- Of kind 5 {"op", "user", "role"}, of kind 6 {"title", "topic", "archived"}.
    ADD COLUMN change jsonb;

-- How a name is found. The program fills it in, since SQL can't fold a name: at each put_user, and at its start for
-- rows of which folded_of is not the name.
ALTER TABLE @schema@.chat_user
    ADD COLUMN folded text,
    ADD COLUMN folded_of text;

-- The folded name from the beginning of each word on, at most 64 characters.
CREATE TABLE @schema@.user_word (
    chat_user text COLLATE "C" NOT NULL,
    place int NOT NULL, -- the first character in the folded name, from 1
    word text COLLATE "C" NOT NULL,
    PRIMARY KEY (chat_user, place)
);
CREATE INDEX user_word_word ON @schema@.user_word (word, chat_user);

-- Stores a user's name. Of several at once for the same user each waits for the one before it.
CREATE FUNCTION @schema@.chat_put_user(p_id text, p_name text, p_folded text, p_places int[], p_words text[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (
        SELECT FROM @schema@.chat_user AS u WHERE u.id = p_id AND u.name = p_name AND u.folded_of = p_name
    ) THEN
        RETURN;
    END IF;
    INSERT INTO @schema@.chat_user AS u (id, name, folded, folded_of) VALUES (p_id, p_name, p_folded, p_name)
        ON CONFLICT (id) DO UPDATE SET name = p_name, folded = p_folded, folded_of = p_name;
    DELETE FROM @schema@.user_word AS w WHERE w.chat_user = p_id;
    INSERT INTO @schema@.user_word (chat_user, place, word)
        SELECT p_id, n.place, n.word FROM unnest(p_places, p_words) AS n (place, word);
END
$$;

-- Creates a channel with these members, if there are fewer channels than p_most. Of several at once each waits for the
-- one before it, on all nodes. No row: there are as many. A row without is_new: a channel has that name, or another that
-- looks the same; or these people have that direct channel. It fails if a closed channel would have a name that is taken.
CREATE FUNCTION @schema@.chat_create_channel(
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
    RETURN QUERY SELECT v_channel, true;
END
$$;

-- For processes of the version before.
CREATE OR REPLACE FUNCTION @schema@.chat_create_channel(
    p_name text, p_topic text, p_by text, p_by_name text, p_epoch text, p_most bigint, p_look text
) RETURNS TABLE (channel @schema@.channel, is_new boolean) LANGUAGE sql VOLATILE AS $$
    SELECT * FROM @schema@.chat_create_channel(
        p_name, p_name, p_topic, 0::smallint, 0::smallint, p_by, p_by_name, p_epoch, p_most, p_look, NULL,
        ARRAY[p_by], ARRAY[p_by_name])
$$;
-- That of processes before those.
DROP FUNCTION @schema@.chat_create_channel(text, text, text, text, text, bigint);

-- Enters a user in an open channel's members, and says whether they are new. NULL: there is no such channel.
CREATE FUNCTION @schema@.chat_join(p_channel bigint, p_user text, p_name text)
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
    IF v_kind <> 0 THEN
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

-- Removes a user from an open channel's members: 0. It removes nobody if they are no member: 1, or if they are the last
-- owner and others remain: 2. NULL: there is no such channel.
CREATE FUNCTION @schema@.chat_leave(p_channel bigint, p_user text)
RETURNS smallint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_channel @schema@.channel;
    v_role smallint;
BEGIN
    SELECT c.* INTO v_channel FROM @schema@.channel AS c WHERE c.id = p_channel FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT m.role INTO v_role FROM @schema@.member AS m WHERE m.channel = p_channel AND m.chat_user = p_user;
    IF NOT FOUND OR v_channel.kind <> 0 THEN
        RETURN 1;
    END IF;
    IF v_role = 0 AND v_channel.owners = 1 AND v_channel.members > 1 THEN
        RETURN 2;
    END IF;
    DELETE FROM @schema@.member AS m WHERE m.channel = p_channel AND m.chat_user = p_user;
    UPDATE @schema@.channel AS c SET members = c.members - 1, owners = c.owners - (v_role = 0)::int
        WHERE c.id = p_channel;
    RETURN 0;
END
$$;
