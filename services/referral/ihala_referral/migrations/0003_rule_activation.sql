-- Which rule set is in force: the one activated last; without a row, the newest that came with the service and is valid.
CREATE TABLE rule_activation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text NOT NULL REFERENCES rule_set,
    activated_by text NOT NULL,
    activated_at timestamptz NOT NULL
);
CREATE INDEX rule_activation_version ON rule_activation (version, id);

ALTER TABLE rule_set ADD COLUMN loaded_by text;  -- null: came with the service
