-- Where a merchant is told beside its mail, by channel: {"slack":"C0123ABCD"}.
ALTER TABLE merchants ADD COLUMN channels TEXT NOT NULL DEFAULT '{}';
