-- What the channels' names look like: no two channels that are created from now on look the same. Of those that do and
-- are older, the first has the row. The program fills it in at its start, since SQL can't tell what a name looks like.
CREATE TABLE @schema@.channel_look (
    look text COLLATE "C" PRIMARY KEY,
    channel bigint NOT NULL UNIQUE
);

-- Creates a channel whose name looks like none that there is, if there are fewer than p_most. Of several at once each
-- waits for the one before it, on all nodes. No row: there are as many. A row without is_new: the name is taken by that
-- channel. The function of 6 parameters stays for processes of the version before.
CREATE FUNCTION @schema@.chat_create_channel(
    p_name text, p_topic text, p_by text, p_by_name text, p_epoch text, p_most bigint, p_look text
) RETURNS TABLE (channel @schema@.channel, is_new boolean) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('@schema@.channel', 0));
    RETURN QUERY SELECT c, false FROM @schema@.channel AS c
        WHERE c.name = p_name OR c.id = (SELECT l.channel FROM @schema@.channel_look AS l WHERE l.look = p_look)
        ORDER BY c.name <> p_name LIMIT 1;
    IF FOUND OR (SELECT count(*) FROM @schema@.channel) >= p_most THEN
        RETURN;
    END IF;
    RETURN QUERY WITH made AS (
        INSERT INTO @schema@.channel AS c (name, topic, created_at, created_by, created_by_name, epoch)
        VALUES (p_name, p_topic, @schema@.chat_now(), p_by, p_by_name, p_epoch) RETURNING c
    ), entered AS (
        INSERT INTO @schema@.channel_look (look, channel) SELECT p_look, (made.c).id FROM made
    ) SELECT made.c, true FROM made;
END
$$;
