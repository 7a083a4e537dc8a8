-- The end of the audit chain, kept where the owner of the cases' database cannot rewrite it. One row a day.
CREATE TABLE audit_anchor (
    day date PRIMARY KEY,
    row_id bigint NOT NULL,
    hash bytea NOT NULL
);
