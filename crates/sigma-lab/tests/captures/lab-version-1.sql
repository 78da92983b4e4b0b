-- A file of the lab as the release with schema version 1 left it, with a key and two registrations: .dump of sqlite3, and two pragmas.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE vps (
    seq INTEGER PRIMARY KEY,
    record TEXT NOT NULL,
    id TEXT NOT NULL AS (record ->> '$.id'),
    hostname TEXT NOT NULL AS (record ->> '$.hostname'),
    status TEXT NOT NULL AS (record ->> '$.status'),
    merged TEXT AS (record ->> '$.extra.merged_hostnames')
) STRICT;
INSERT INTO vps VALUES(1,'{"id":"17f24c37-f8ee-457e-9974-e91eda20b0db","hostname":"vps-1","alias":"","provider_id":null,"ip_addresses":[{"ip":"203.0.113.9","label":"x"}],"ssh_port":22,"country":"","city":"","dc_name":"","cpu_cores":null,"ram_mb":null,"disk_gb":null,"bandwidth_tb":null,"cost_monthly":null,"currency":"USD","status":"active","purchase_date":null,"expire_date":null,"purpose":"","vpn_protocol":"","tags":[],"monitoring_enabled":true,"node_exporter_port":9100,"extra":{"last_heartbeat":"2026-11-27T16:03:12.427189491+00:00","system_info":{"cpu_cores":4}},"notes":"","source":"agent","cloud_account_id":null,"created_at":"2026-11-27T16:03:12.427199Z","updated_at":"2026-11-27T16:03:12.427199Z"}');
INSERT INTO vps VALUES(2,'{"id":"e973a80f-5636-4a6e-afc8-7e54519702fb","hostname":"vps-2","alias":"","provider_id":null,"ip_addresses":[{"ip":"2001:db8::7","label":"x"}],"ssh_port":22,"country":"","city":"","dc_name":"","cpu_cores":null,"ram_mb":null,"disk_gb":null,"bandwidth_tb":null,"cost_monthly":null,"currency":"USD","status":"active","purchase_date":null,"expire_date":null,"purpose":"","vpn_protocol":"","tags":[],"monitoring_enabled":true,"node_exporter_port":9100,"extra":{"last_heartbeat":"2026-11-27T16:03:12.428300664+00:00","system_info":{"cpu_cores":4}},"notes":"","source":"agent","cloud_account_id":null,"created_at":"2026-11-27T16:03:12.428306Z","updated_at":"2026-11-27T16:03:12.428306Z"}');
CREATE TABLE ip_history (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    vps_id TEXT NOT NULL,
    action TEXT NOT NULL,
    ip TEXT NOT NULL,
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
INSERT INTO ip_history VALUES(1,'7bae666e-2ab6-4b6a-94e1-9a4c09f87465','17f24c37-f8ee-457e-9974-e91eda20b0db','added','203.0.113.9','x','agent','2026-11-27T16:03:12.427199Z');
INSERT INTO ip_history VALUES(2,'c296803a-33cc-4680-a450-4462a417feaa','e973a80f-5636-4a6e-afc8-7e54519702fb','added','2001:db8::7','x','agent','2026-11-27T16:03:12.428306Z');
CREATE TABLE ip_checks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    vps_id TEXT NOT NULL,
    ip TEXT NOT NULL,
    check_type TEXT NOT NULL,
    source TEXT NOT NULL,
    success INTEGER NOT NULL,
    latency_ms INTEGER,
    checked_at TEXT NOT NULL
) STRICT;
CREATE TABLE api_keys (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    key_prefix TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
INSERT INTO api_keys VALUES(1,'326eca47-5506-4182-a36d-a042b2683ef7','host',X'aabe81c2291e1f18f70bea7c0057cbf3cad37eecd4ddd02a67b21190d42456f6','sk_sigma_e0ca4171','agent','2026-11-27T16:03:12.420258Z');
CREATE UNIQUE INDEX vps_by_id ON vps (id);
CREATE INDEX vps_by_hostname ON vps (hostname);
CREATE INDEX vps_that_were_merged ON vps (seq) WHERE merged IS NOT NULL;
CREATE INDEX ip_history_by_vps ON ip_history (vps_id);
PRAGMA application_id=1399416652;
PRAGMA user_version=1;
COMMIT;
