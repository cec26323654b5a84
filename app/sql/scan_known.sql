SELECT result, entered FROM scans WHERE scan_key = $1
