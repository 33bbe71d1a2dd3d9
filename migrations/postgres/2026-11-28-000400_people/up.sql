-- The words by which people are searched: the name and the address in lower case. Empty until the program has filled it
-- in, for accounts that an older version created.
ALTER TABLE accounts ADD COLUMN search TEXT NOT NULL DEFAULT '';
-- When the person asked for the deletion of their account. It is deleted 14 days later, unless they sign in before.
ALTER TABLE accounts ADD COLUMN deletion_asked_at TIMESTAMPTZ;
-- When the account was deleted. Only its id remains in the row, for the sealed audit trail.
ALTER TABLE accounts ADD COLUMN deleted_at TIMESTAMPTZ;
-- When the trail ended with the account's deletion. No event is added after it.
ALTER TABLE trails ADD COLUMN closed_at TIMESTAMPTZ;
-- For the list of people, newest first. A search reads the index alone.
CREATE INDEX accounts_people ON accounts (created_at, id, search) WHERE deleted_at IS NULL;
CREATE INDEX accounts_leaving ON accounts (deletion_asked_at) WHERE deletion_asked_at IS NOT NULL;
CREATE INDEX accounts_owners ON accounts (id) WHERE role = 'owner';
-- Addresses of people in the trails of others: they are wiped when the account is deleted.
CREATE INDEX audit_by_others ON audit (actor) WHERE ip IS NOT NULL AND actor <> account_id AND account_id <> '';
