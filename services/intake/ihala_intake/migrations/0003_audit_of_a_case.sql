-- Who read a person's data is told to the person.
CREATE INDEX audit_case ON audit (case_id, id);
-- What is addressed to whom, by case.
CREATE INDEX addressee_case ON addressee (case_id);
