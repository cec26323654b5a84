DELETE FROM sessions WHERE device_id = $1
