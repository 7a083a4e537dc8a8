-- What each agency may read by its data-sharing agreements, learnt from directory.partner.v1.
CREATE TABLE partner_agreements (
    partner_id text PRIMARY KEY,
    agreements jsonb NOT NULL,
    changed_at timestamptz NOT NULL
);
