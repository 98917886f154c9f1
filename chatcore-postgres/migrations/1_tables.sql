-- The channels: the directory, and where each log stands. Whoever appends or prunes holds the channel's row.
CREATE TABLE @schema@.channel (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    topic text NOT NULL,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    created_by_name text NOT NULL,
    epoch text NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0,
    last_at bigint NOT NULL DEFAULT 0,
    -- Messages ever published, and how many of them were pruned.
    messages bigint NOT NULL DEFAULT 0,
    trimmed_messages bigint NOT NULL DEFAULT 0,
    -- The log has every event after this seq.
    trimmed bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50); -- a row changes with every batch: the new version finds room on its page

-- The logs. A message's row holds the message as it stands now too: one row to write for each publish.
CREATE TABLE @schema@.event (
    channel bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL, -- milliseconds since 1970
    kind smallint NOT NULL, -- 0 message, 1 edit, 2 delete, 3 reaction on, 4 reaction off
    author text COLLATE "C" NOT NULL,
    author_name text NOT NULL,
    nonce text, -- a message's
    -- Of a message a hash of channel, author and nonce, of any other kind random: by it a repetition is found.
    digest uuid NOT NULL,
    -- The append's own key: a retry of a commit whose answer was lost finds its own row by it.
    key bigint NOT NULL,
    target bigint, -- what a message answers, or what an edit, a delete, a reaction is about
    text text NOT NULL, -- as published; of a reaction the emoji
    attachments jsonb,
    -- What later events made of a message.
    ordinal bigint, -- how many messages were published up to and with this one
    deleted boolean NOT NULL DEFAULT false,
    edited_text text,
    edited_at bigint,
    reactions jsonb,
    PRIMARY KEY (channel, seq)
);
-- One narrow key in place of three: an insertion costs half as much.
CREATE UNIQUE INDEX event_digest ON @schema@.event (digest);
CREATE INDEX event_message ON @schema@.event (channel, seq) WHERE kind = 0;
CREATE INDEX event_edit ON @schema@.event (channel, target) WHERE kind = 1;

-- The digests of pruned messages that are younger than a day.
CREATE TABLE @schema@.orphan_digest (
    digest uuid PRIMARY KEY,
    channel bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX orphan_digest_age ON @schema@.orphan_digest (channel, at);

CREATE TABLE @schema@.chat_user (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE @schema@.marker (
    chat_user text COLLATE "C" NOT NULL,
    channel bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (chat_user, channel)
) WITH (fillfactor = 70);

CREATE TABLE @schema@.upload (
    id text COLLATE "C" PRIMARY KEY,
    channel bigint NOT NULL,
    channel_name text NOT NULL,
    owner text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    state smallint NOT NULL, -- 0 receiving, 1 ready, 2 attached, 3 discarded
    seq bigint, -- the message that holds it, where attached
    attachment jsonb NOT NULL,
    -- From when on nobody needs the bytes.
    reclaimable_from bigint GENERATED ALWAYS AS
        (CASE state WHEN 2 THEN NULL WHEN 3 THEN -1 ELSE at END) STORED
);
CREATE INDEX upload_reclaimable ON @schema@.upload (reclaimable_from) WHERE reclaimable_from IS NOT NULL;
