-- What was ended for users, such as a sign-in, for all nodes to end too. A row is deleted after a day.
CREATE TABLE @schema@.revocation (
    key bigint PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    what text NOT NULL
);

CREATE INDEX revocation_at ON @schema@.revocation (at);
