-- Who looks by time, every ten seconds in the log and each hour in the inbox, reads every range of pages that is not
-- summarised yet: with autovacuum alone, up to a fifth of the table before it comes.
ALTER INDEX event_created_at SET (autosummarize = on);
ALTER INDEX inbox_received_at SET (autosummarize = on);
