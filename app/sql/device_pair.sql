-- No row: another phone was faster.
UPDATE devices SET pair_key = NULL, paired_at = $2 WHERE pair_key = $1
