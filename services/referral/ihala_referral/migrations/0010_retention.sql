-- What has ended long ago is deleted: found by when it was received.
CREATE INDEX referral_ended ON referral (received_at) WHERE state IN ('closed', 'withdrawn');
