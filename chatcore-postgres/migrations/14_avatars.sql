-- Where people's pictures are.
ALTER TABLE @schema@.chat_user ADD COLUMN avatar text;

-- Keeps the row of an erased person without a picture.
CREATE FUNCTION @schema@.chat_forget_avatar() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.avatar := NULL;
    RETURN NEW;
END
$$;
CREATE TRIGGER forget_avatar BEFORE INSERT OR UPDATE ON @schema@.chat_user FOR EACH ROW
    WHEN (NEW.avatar IS NOT NULL AND NEW.name = @schema@.chat_erased_name())
    EXECUTE FUNCTION @schema@.chat_forget_avatar();

-- Stores a user's name and avatar, or that they have none. Of several at once for the same user each waits for the one
-- before it. The name of a person who was erased meanwhile is another one, and nothing is stored.
CREATE FUNCTION @schema@.chat_put_profile(
    p_id text, p_name text, p_folded text, p_places int[], p_words text[], p_avatar text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM @schema@.chat_put_user(p_id, p_name, p_folded, p_places, p_words);
    UPDATE @schema@.chat_user AS u SET avatar = p_avatar
        WHERE u.id = p_id AND u.name = p_name AND u.avatar IS DISTINCT FROM p_avatar;
END
$$;
