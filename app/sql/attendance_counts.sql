SELECT registration_id / 4294967296 AS event, 0 AS minute, count(*) AS n FROM attendance GROUP BY 1
