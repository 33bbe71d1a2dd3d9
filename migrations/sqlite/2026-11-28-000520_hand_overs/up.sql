-- A hand-over of a sign-in to another device, with the link of purpose hand-over that has the same hash. sid is the
-- lifelong name of the session that asked. The first browser that sends the link's form claims it: claimed_by is the hash of a secret in its
-- cookies, and number is what both screens then show. The person confirms the number in the session that asked.
CREATE TABLE hand_overs (
    account_id TEXT NOT NULL,
    token_hash BLOB NOT NULL,
    sid TEXT NOT NULL,
    claimed_by BLOB,
    number INTEGER,
    confirmed_at INTEGER,
    PRIMARY KEY (account_id, token_hash),
    FOREIGN KEY (account_id, token_hash) REFERENCES links (account_id, token_hash) ON DELETE CASCADE
) STRICT;
