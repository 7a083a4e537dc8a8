-- Handovers that wait for an answer are looked for by agency, in case it is gone.
CREATE INDEX attempt_handover ON attempt (partner_id) WHERE state = 'handover';
