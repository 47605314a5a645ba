--
-- Events of ChirpStack v4 as Protocol Buffers: as bytes, in base64, and in hexadecimal digits, as key_vault_ingest writes
-- them.
--
-- protobuf_events.js made the events, with the package that ChirpStack publishes.  The payload under the key in the
-- envelope is 0167010e02684a, as in demo/messages.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan', keep_messages => true);
\ir storage_places.psql

CREATE TEMP TABLE event (name text, base64 text);
INSERT INTO event VALUES
    ('uplink', 'CiQzYWM3ZTNjNC00NDAxLTRiOGQtOTM4Ni1hNWM5MDJmOTIwMmQSCgjA3cixBhCgwh4a2wEKJDUyZjE0Y2Q0LWM2ZjEtNGZiZC04Zjg3LTQwMjVlMWQ0OTI0MhIKQ2hpcnBTdGFjaxokMTdjODJlOTYtYmUwMy00ZjM4LWFlZjMtZjgzZDQ4NTgyZDk3IhBUZXN0IGFwcGxpY2F0aW9uKiQxNDg1NWJmNy1kMTBkLTRhZWUtYjYxOC1lYmZjYjY0ZGM3YWQyD1Rlc3QgInByb2ZpbGUiXDoIR2Vyw6R0IDFCEDAxMDEwMTAxMDEwMTAxMDFQAkoMCgVjYWbDqRIDYQliSgwKA2tleRIFdmFsdWUiCDAxZmE4YjJjKAEwBTiSCEACUgcGqJIS+4BtWk0KLwoEbGlzdBInMiUKCREAAAAAAADwPwoDGgF4CgIIAAoCIAEKCyoJCgcKAWESAjIACgoKAXMSBRoDcSIBCg4KAXQSCREAAAAAAIA7QGKGAQoQMDAxNmMwMDFmMTUzYTE0YxDP3u/aD4oBCwjB3cixBhCA5Zp3IgsI0uLzmgUQwJaxAjDc//////////8BPQAAKEFiGwm9wbxs4C9KQBGYmk78YqgTwBkAAAAAAAAlQGoEE3OWOXobChJyZWdpb25fY29tbW9uX25hbWUSBUVVODY4gAECYh0KEDAwMTZjMDAxZjE1M2ExNGQwnP//////////AWoSCODKu50DEgoaCAjI0AcQBygBeiYSJAoIYXBwMS1rZWsSGO6gCBz0PaBaIvzH8KpFha4sGL1dG2zr6IIBBWV1ODY4'),
    ('uplink_plain', 'CiQzYWM3ZTNjNC00NDAxLTRiOGQtOTM4Ni1hNWM5MDJmOTIwMmUSBgj83cixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSIIMDFmYThiMmMoATAFOJIIQAJSBwFnAQ4CaEpaTQovCgRsaXN0EicyJQoJEQAAAAAAAPA/CgMaAXgKAggACgIgAQoLKgkKBwoBYRICMgAKCgoBcxIFGgNxIgEKDgoBdBIJEQAAAAAAgDtAYoEBChAwMDE2YzAwMWYxNTNhMTRjEM/e79oPigEGCPzdyLEGIgsI0uLzmgUQwJaxAjDc//////////8BPQAAKEFiGwm9wbxs4C9KQBGYmk78YqgTwBkAAAAAAAAlQGoEE3OWOXobChJyZWdpb25fY29tbW9uX25hbWUSBUVVODY4gAECYh0KEDAwMTZjMDAxZjE1M2ExNGQwnP//////////AWoSCODKu50DEgoaCAjI0AcQBygBggEFZXU4Njg='),
    ('uplink_zeros', 'CiQzYWM3ZTNjNC00NDAxLTRiOGQtOTM4Ni1hNWM5MDJmOTIwMmQSBgi43sixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSIIMDFmYThiMmNieAoQMDAxNmMwMDFmMTUzYTE0YxDP3u/aDyILCNLi85oFEMCWsQIw3P//////////AT0AAChBYhsJvcG8bOAvSkARmJpO/GKoE8AZAAAAAAAAJUBqBBNzljl6GwoScmVnaW9uX2NvbW1vbl9uYW1lEgVFVTg2OIABAmIdChAwMDE2YzAwMWYxNTNhMTRkMJz//////////wFqEgjgyrudAxIKGggIyNAHEAcoAYIBBWV1ODY4'),
    ('uplink_key', 'CiQzYWM3ZTNjNC00NDAxLTRiOGQtOTM4Ni1hNWM5MDJmOTIwMmQSCgjA3cixBhCgwh4a2wEKJDUyZjE0Y2Q0LWM2ZjEtNGZiZC04Zjg3LTQwMjVlMWQ0OTI0MhIKQ2hpcnBTdGFjaxokMTdjODJlOTYtYmUwMy00ZjM4LWFlZjMtZjgzZDQ4NTgyZDk3IhBUZXN0IGFwcGxpY2F0aW9uKiQxNDg1NWJmNy1kMTBkLTRhZWUtYjYxOC1lYmZjYjY0ZGM3YWQyD1Rlc3QgInByb2ZpbGUiXDoIR2Vyw6R0IDFCEDAxMDEwMTAxMDEwMTAxMDJQAkoMCgVjYWbDqRIDYQliSgwKA2tleRIFdmFsdWUiCDI2MGIxMjM0KAEwBTiCgARAAlIHLhFe2aRcmVpNCi8KBGxpc3QSJzIlCgkRAAAAAAAA8D8KAxoBeAoCCAAKAiABCgsqCQoHCgFhEgIyAAoKCgFzEgUaA3EiAQoOCgF0EgkRAAAAAACAO0BihgEKEDAwMTZjMDAxZjE1M2ExNGMQz97v2g+KAQsIwd3IsQYQgOWadyILCNLi85oFEMCWsQIw3P//////////AT0AAChBYhsJvcG8bOAvSkARmJpO/GKoE8AZAAAAAAAAJUBqBBNzljl6GwoScmVnaW9uX2NvbW1vbl9uYW1lEgVFVTg2OIABAmIdChAwMDE2YzAwMWYxNTNhMTRkMJz//////////wFqEgjgyrudAxIKGggIyNAHEAcoAXoaCgQwYTBiEhISEOySWAKuQwynf9Pdc8ssxYiCAQVldTg2OA=='),
    ('uplink_max', 'CiQzYWM3ZTNjNC00NDAxLTRiOGQtOTM4Ni1hNWM5MDJmOTIwMmQSBgj03sixBhq/AQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACIggwMWZhOGIyYygBMAU4/////w9A/wFS/wEHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwdaTQovCgRsaXN0EicyJQoJEQAAAAAAAPA/CgMaAXgKAggACgIgAQoLKgkKBwoBYRICMgAKCgoBcxIFGgNxIgEKDgoBdBIJEQAAAAAAgDtAYocBChAwMDE2YzAwMWYxNTNhMTRjEM/e79oPigEMCPTeyLEGEJiM69wDIgsI0uLzmgUQwJaxAjDc//////////8BPQAAKEFiGwm9wbxs4C9KQBGYmk78YqgTwBkAAAAAAAAlQGoEE3OWOXobChJyZWdpb25fY29tbW9uX25hbWUSBUVVODY4gAECYh0KEDAwMTZjMDAxZjE1M2ExNGQwnP//////////AWoSCODKu50DEgoaCAjI0AcQBygBggEFZXU4Njg='),
    ('join', 'CiRjOWRiZTM1OC0yNTc4LTRmYjctYjI5NS02NmI0NGVkYzQ1YTYSBgiE3cixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSIIMDAxODk0NDAyKgoCMGMSJAoIYXBwMS1rZWsSGO6gCBz0PaBaIvzH8KpFha4sGL1dG2zr6A=='),
    ('join_relay', 'CiRjOWRiZTM1OC0yNTc4LTRmYjctYjI5NS02NmI0NGVkYzQ1YTcSBgii3cixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSIIMDAxODk0NDEqHQoQMDgwNzA2MDUwNDAzMDIwMSD9//////////8BOgVldTg2OA=='),
    ('ack', 'CiQ5ZGFmZDNhNi0xZTZlLTQ0YmMtYWY4Yy01Y2QwYTZkNWE0YWMSBgjF3cixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSIkY2YxZjdhOWItMzZiMS00YjllLWIyZWQtMWYwZDYyZjNjMGI5KAEw8KIE'),
    ('nack', 'CiQ5ZGFmZDNhNi0xZTZlLTQ0YmMtYWY4Yy01Y2QwYTZkNWE0YWQSBgjG3cixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSIkY2YxZjdhOWItMzZiMS00YjllLWIyZWQtMWYwZDYyZjNjMGJh'),
    ('txack', 'CNjlq6oDEgYIx93IsQYa2wEKJDUyZjE0Y2Q0LWM2ZjEtNGZiZC04Zjg3LTQwMjVlMWQ0OTI0MhIKQ2hpcnBTdGFjaxokMTdjODJlOTYtYmUwMy00ZjM4LWFlZjMtZjgzZDQ4NTgyZDk3IhBUZXN0IGFwcGxpY2F0aW9uKiQxNDg1NWJmNy1kMTBkLTRhZWUtYjYxOC1lYmZjYjY0ZGM3YWQyD1Rlc3QgInByb2ZpbGUiXDoIR2Vyw6R0IDFCEDAxMDEwMTAxMDEwMTAxMDFQAkoMCgVjYWbDqRIDYQliSgwKA2tleRIFdmFsdWUiJGNmMWY3YTliLTM2YjEtNGI5ZS1iMmVkLTFmMGQ2MmYzYzBiYigFMhAwMDE2YzAwMWYxNTNhMTRjOhEI4OmEngMQ/v//////////AQ=='),
    ('txack_zero', 'EgYIyN3IsQYa2wEKJDUyZjE0Y2Q0LWM2ZjEtNGZiZC04Zjg3LTQwMjVlMWQ0OTI0MhIKQ2hpcnBTdGFjaxokMTdjODJlOTYtYmUwMy00ZjM4LWFlZjMtZjgzZDQ4NTgyZDk3IhBUZXN0IGFwcGxpY2F0aW9uKiQxNDg1NWJmNy1kMTBkLTRhZWUtYjYxOC1lYmZjYjY0ZGM3YWQyD1Rlc3QgInByb2ZpbGUiXDoIR2Vyw6R0IDFCEDAxMDEwMTAxMDEwMTAxMDFQAkoMCgVjYWbDqRIDYQliSgwKA2tleRIFdmFsdWUiJGNmMWY3YTliLTM2YjEtNGI5ZS1iMmVkLTFmMGQ2MmYzYzBiYigFMhAwMDE2YzAwMWYxNTNhMTRj'),
    ('status', 'CiQ5ZGFmZDNhNi0xZTZlLTQ0YmMtYWY4Yy01Y2QwYTZkNWE0YWUSBgjA3cixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSgHRc3MrkI='),
    ('location', 'CiQ5ZGFmZDNhNi0xZTZlLTQ0YmMtYWY4Yy01Y2QwYTZkNWE0YWYSBgjA3cixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSIJCQAAAAAAAPg/'),
    ('log', 'CgYIwN3IsQYS2wEKJDUyZjE0Y2Q0LWM2ZjEtNGZiZC04Zjg3LTQwMjVlMWQ0OTI0MhIKQ2hpcnBTdGFjaxokMTdjODJlOTYtYmUwMy00ZjM4LWFlZjMtZjgzZDQ4NTgyZDk3IhBUZXN0IGFwcGxpY2F0aW9uKiQxNDg1NWJmNy1kMTBkLTRhZWUtYjYxOC1lYmZjYjY0ZGM3YWQyD1Rlc3QgInByb2ZpbGUiXDoIR2Vyw6R0IDFCEDAxMDEwMTAxMDEwMTAxMDFQAkoMCgVjYWbDqRIDYQliSgwKA2tleRIFdmFsdWUYAiAGKgNNSUMyFQoQZGVkdXBsaWNhdGlvbl9pZBIBeA=='),
    ('integration', 'CiQ5ZGFmZDNhNi0xZTZlLTQ0YmMtYWY4Yy01Y2QwYTZkNWE0YjAa2wEKJDUyZjE0Y2Q0LWM2ZjEtNGZiZC04Zjg3LTQwMjVlMWQ0OTI0MhIKQ2hpcnBTdGFjaxokMTdjODJlOTYtYmUwMy00ZjM4LWFlZjMtZjgzZDQ4NTgyZDk3IhBUZXN0IGFwcGxpY2F0aW9uKiQxNDg1NWJmNy1kMTBkLTRhZWUtYjYxOC1lYmZjYjY0ZGM3YWQyD1Rlc3QgInByb2ZpbGUiXDoIR2Vyw6R0IDFCEDAxMDEwMTAxMDEwMTAxMDFQAkoMCgVjYWbDqRIDYQliSgwKA2tleRIFdmFsdWUiJDlkYWZkM2E2LTFlNmUtNDRiYy1hZjhjLTVjZDBhNmQ1YTRiMSoEdGVzdA=='),
    ('deep', 'CiQzYWM3ZTNjNC00NDAxLTRiOGQtOTM4Ni1hNWM5MDJmOTIwMmQSBgiw38ixBhrbAQokNTJmMTRjZDQtYzZmMS00ZmJkLThmODctNDAyNWUxZDQ5MjQyEgpDaGlycFN0YWNrGiQxN2M4MmU5Ni1iZTAzLTRmMzgtYWVmMy1mODNkNDg1ODJkOTciEFRlc3QgYXBwbGljYXRpb24qJDE0ODU1YmY3LWQxMGQtNGFlZS1iNjE4LWViZmNiNjRkYzdhZDIPVGVzdCAicHJvZmlsZSJcOghHZXLDpHQgMUIQMDEwMTAxMDEwMTAxMDEwMVACSgwKBWNhZsOpEgNhCWJKDAoDa2V5EgV2YWx1ZSIIMDFmYThiMmMoATAFOJIIQAJSBwaokhL7gG1axgIKwwIKAWQSvQIqugIKtwIKAWQSsQIqrgIKqwIKAWQSpQIqogIKnwIKAWQSmQIqlgIKkwIKAWQSjQIqigIKhwIKAWQSgQIq/gEK+wEKAWQS9QEq8gEK7wEKAWQS6QEq5gEK4wEKAWQS3QEq2gEK1wEKAWQS0QEqzgEKywEKAWQSxQEqwgEKvwEKAWQSuQEqtgEKswEKAWQSrQEqqgEKpwEKAWQSoQEqngEKmwEKAWQSlQEqkgEKjwEKAWQSiQEqhgEKgwEKAWQSfip8CnoKAWQSdSpzCnEKAWQSbCpqCmgKAWQSYyphCl8KAWQSWipYClYKAWQSUSpPCk0KAWQSSCpGCkQKAWQSPyo9CjsKAWQSNio0CjIKAWQSLSorCikKAWQSJCoiCiAKAWQSGyoZChcKAWQSEioQCg4KAWQSCREAAAAAAADwP2KBAQoQMDAxNmMwMDFmMTUzYTE0YxDP3u/aD4oBBgiw38ixBiILCNLi85oFEMCWsQIw3P//////////AT0AAChBYhsJvcG8bOAvSkARmJpO/GKoE8AZAAAAAAAAJUBqBBNzljl6GwoScmVnaW9uX2NvbW1vbl9uYW1lEgVFVTg2OIABAmIdChAwMDE2YzAwMWYxNTNhMTRkMJz//////////wFqEgjgyrudAxIKGggIyNAHEAcoAYIBBWV1ODY4'),
    ('too_deep', 'CiQzYWM3ZTNjNC00NDAxLTRiOGQtOTM4Ni1hNWM5MDJmOTIwMmQSCgjA3cixBhCgwh4a2wEKJDUyZjE0Y2Q0LWM2ZjEtNGZiZC04Zjg3LTQwMjVlMWQ0OTI0MhIKQ2hpcnBTdGFjaxokMTdjODJlOTYtYmUwMy00ZjM4LWFlZjMtZjgzZDQ4NTgyZDk3IhBUZXN0IGFwcGxpY2F0aW9uKiQxNDg1NWJmNy1kMTBkLTRhZWUtYjYxOC1lYmZjYjY0ZGM3YWQyD1Rlc3QgInByb2ZpbGUiXDoIR2Vyw6R0IDFCEDAxMDEwMTAxMDEwMTAxMDFQAkoMCgVjYWbDqRIDYQliSgwKA2tleRIFdmFsdWUiCDAxZmE4YjJjKAEwBTiSCEACUgcGqJIS+4BtWvYLCvMLCgFkEu0LKuoLCucLCgFkEuELKt4LCtsLCgFkEtULKtILCs8LCgFkEskLKsYLCsMLCgFkEr0LKroLCrcLCgFkErELKq4LCqsLCgFkEqULKqILCp8LCgFkEpkLKpYLCpMLCgFkEo0LKooLCocLCgFkEoELKv4KCvsKCgFkEvUKKvIKCu8KCgFkEukKKuYKCuMKCgFkEt0KKtoKCtcKCgFkEtEKKs4KCssKCgFkEsUKKsIKCr8KCgFkErkKKrYKCrMKCgFkEq0KKqoKCqcKCgFkEqEKKp4KCpsKCgFkEpUKKpIKCo8KCgFkEokKKoYKCoMKCgFkEv0JKvoJCvcJCgFkEvEJKu4JCusJCgFkEuUJKuIJCt8JCgFkEtkJKtYJCtMJCgFkEs0JKsoJCscJCgFkEsEJKr4JCrsJCgFkErUJKrIJCq8JCgFkEqkJKqYJCqMJCgFkEp0JKpoJCpcJCgFkEpEJKo4JCosJCgFkEoUJKoIJCv8ICgFkEvkIKvYICvMICgFkEu0IKuoICucICgFkEuEIKt4ICtsICgFkEtUIKtIICs8ICgFkEskIKsYICsMICgFkEr0IKroICrcICgFkErEIKq4ICqsICgFkEqUIKqIICp8ICgFkEpkIKpYICpMICgFkEo0IKooICocICgFkEoEIKv4HCvsHCgFkEvUHKvIHCu8HCgFkEukHKuYHCuMHCgFkEt0HKtoHCtcHCgFkEtEHKs4HCssHCgFkEsUHKsIHCr8HCgFkErkHKrYHCrMHCgFkEq0HKqoHCqcHCgFkEqEHKp4HCpsHCgFkEpUHKpIHCo8HCgFkEokHKoYHCoMHCgFkEv0GKvoGCvcGCgFkEvEGKu4GCusGCgFkEuUGKuIGCt8GCgFkEtkGKtYGCtMGCgFkEs0GKsoGCscGCgFkEsEGKr4GCrsGCgFkErUGKrIGCq8GCgFkEqkGKqYGCqMGCgFkEp0GKpoGCpcGCgFkEpEGKo4GCosGCgFkEoUGKoIGCv8FCgFkEvkFKvYFCvMFCgFkEu0FKuoFCucFCgFkEuEFKt4FCtsFCgFkEtUFKtIFCs8FCgFkEskFKsYFCsMFCgFkEr0FKroFCrcFCgFkErEFKq4FCqsFCgFkEqUFKqIFCp8FCgFkEpkFKpYFCpMFCgFkEo0FKooFCocFCgFkEoEFKv4ECvsECgFkEvUEKvIECu8ECgFkEukEKuYECuMECgFkEt0EKtoECtcECgFkEtEEKs4ECssECgFkEsUEKsIECr8ECgFkErkEKrYECrMECgFkEq0EKqoECqcECgFkEqEEKp4ECpsECgFkEpUEKpIECo8ECgFkEokEKoYECoMECgFkEv0DKvoDCvcDCgFkEvEDKu4DCusDCgFkEuUDKuIDCt8DCgFkEtkDKtYDCtMDCgFkEs0DKsoDCscDCgFkEsEDKr4DCrsDCgFkErUDKrIDCq8DCgFkEqkDKqYDCqMDCgFkEp0DKpoDCpcDCgFkEpEDKo4DCosDCgFkEoUDKoIDCv8CCgFkEvkCKvYCCvMCCgFkEu0CKuoCCucCCgFkEuECKt4CCtsCCgFkEtUCKtICCs8CCgFkEskCKsYCCsMCCgFkEr0CKroCCrcCCgFkErECKq4CCqsCCgFkEqUCKqICCp8CCgFkEpkCKpYCCpMCCgFkEo0CKooCCocCCgFkEoECKv4BCvsBCgFkEvUBKvIBCu8BCgFkEukBKuYBCuMBCgFkEt0BKtoBCtcBCgFkEtEBKs4BCssBCgFkEsUBKsIBCr8BCgFkErkBKrYBCrMBCgFkEq0BKqoBCqcBCgFkEqEBKp4BCpsBCgFkEpUBKpIBCo8BCgFkEokBKoYBCoMBCgFkEn4qfAp6CgFkEnUqcwpxCgFkEmwqagpoCgFkEmMqYQpfCgFkEloqWApWCgFkElEqTwpNCgFkEkgqRgpECgFkEj8qPQo7CgFkEjYqNAoyCgFkEi0qKwopCgFkEiQqIgogCgFkEhsqGQoXCgFkEhIqEAoOCgFkEgkRAAAAAAAA8D9ihgEKEDAwMTZjMDAxZjE1M2ExNGMQz97v2g+KAQsIwd3IsQYQgOWadyILCNLi85oFEMCWsQIw3P//////////AT0AAChBYhsJvcG8bOAvSkARmJpO/GKoE8AZAAAAAAAAJUBqBBNzljl6GwoScmVnaW9uX2NvbW1vbl9uYW1lEgVFVTg2OIABAmIdChAwMDE2YzAwMWYxNTNhMTRkMJz//////////wFqEgjgyrudAxIKGggIyNAHEAcoAYIBBWV1ODY4');
CREATE FUNCTION pg_temp.event(name text) RETURNS bytea LANGUAGE sql AS $$ SELECT decode(e.base64, 'base64') FROM event e WHERE e.name = $1 $$;

SELECT is(lorawan.ingest(pg_temp.event(name)), outcome, name) FROM (VALUES
    (1, 'uplink', 'uplink'), (2, 'uplink_plain', 'uplink'), (3, 'uplink_zeros', 'uplink'), (4, 'uplink_key', 'uplink'), (5, 'uplink_max', 'uplink'), (6, 'deep', 'uplink'),
    (7, 'join', 'join'), (8, 'join_relay', 'join'), (9, 'ack', 'downlink'), (10, 'nack', 'downlink'), (11, 'txack', 'downlink'), (12, 'txack_zero', 'downlink'),
    (13, 'status', 'rejected'), (14, 'location', 'rejected'), (15, 'log', 'rejected'), (16, 'integration', 'rejected')) v (n, name, outcome) ORDER BY n;
SELECT results_eq('SELECT DISTINCT reason, message #>> ''{deviceInfo,devEui}'' FROM lorawan.rejected', $$VALUES ('no uplink, join or downlink event of ChirpStack', '0101010101010101')$$, 'events that a storage does not need are rejected as such');
TRUNCATE lorawan.rejected CASCADE;
SELECT results_eq('SELECT received_at, application_id, device_id, dev_eui, dev_addr, f_cnt, f_port::integer, payload, status FROM lorawan.uplink_decrypted ORDER BY received_at, f_cnt',
    $$VALUES ('2024-05-01 12:00:01.25Z'::timestamptz, '17c82e96-be03-4f38-aef3-f83d48582d97', 'Gerät 1', '\x0101010101010101'::bytea, '\x01fa8b2c'::bytea, 1042::bigint, 2, '\x0167010e02684a'::bytea, 'decrypted'),
             ('2024-05-01 12:00:01.25Z', '17c82e96-be03-4f38-aef3-f83d48582d97', 'Gerät 1', '\x0101010101010102', '\x260b1234', 65538, 2, '\x0167010e02684a', 'decrypted'),
             ('2024-05-01 12:01Z', '17c82e96-be03-4f38-aef3-f83d48582d97', 'Gerät 1', '\x0101010101010101', '\x01fa8b2c', 1042, 2, '\x0167010e02684a', 'plain'),
             ('2024-05-01 12:02Z', '17c82e96-be03-4f38-aef3-f83d48582d97', 'Gerät 1', '\x0101010101010101', '\x01fa8b2c', 0, 0, '', 'plain'),
             ('2024-05-01 12:03:00.999999Z', '17c82e96-be03-4f38-aef3-f83d48582d97', 'Gerät 1', '\x0101010101010101', '\x01fa8b2c', 4294967295, 255, decode(repeat('07', 255), 'hex'), 'plain'),
             ('2024-05-01 12:04Z', '17c82e96-be03-4f38-aef3-f83d48582d97', 'Gerät 1', '\x0101010101010101', '\x01fa8b2c', 1042, 2, '\x06a89212fb806d', 'plain')$$, 'every field is where it belongs');
SELECT results_eq('SELECT event, f_cnt, queue_item_id, received_at FROM lorawan.downlink ORDER BY received_at', $$VALUES ('ack', 70000::bigint, 'cf1f7a9b-36b1-4b9e-b2ed-1f0d62f3c0b9', '2024-05-01 12:00:05Z'::timestamptz), ('nack', 0, 'cf1f7a9b-36b1-4b9e-b2ed-1f0d62f3c0ba', '2024-05-01 12:00:06Z'),
    ('txack', 5, 'cf1f7a9b-36b1-4b9e-b2ed-1f0d62f3c0bb', '2024-05-01 12:00:07Z'), ('txack', 5, 'cf1f7a9b-36b1-4b9e-b2ed-1f0d62f3c0bb', '2024-05-01 12:00:08Z')$$, 'downlinks, too');
SELECT results_eq('SELECT dev_addr, app_s_key IS NOT NULL FROM lorawan.session ORDER BY started_at, dev_eui', $$VALUES ('\x00189440'::bytea, true), ('\x00189441', false), ('\x01fa8b2c', true), ('\x260b1234', true)$$, 'and sessions');
SELECT is_empty($$SELECT pg_temp.places('\xEC925802AE430CA77FD3DD73CB2CC588')$$, 'a plaintext key is written nowhere');
SELECT is(message, '{"deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", "time": "2024-05-01T12:00:00.000500000Z",
 "deviceInfo": {"tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242", "tenantName": "ChirpStack", "applicationId": "17c82e96-be03-4f38-aef3-f83d48582d97", "applicationName": "Test application", "deviceProfileId": "14855bf7-d10d-4aee-b618-ebfcb64dc7ad",
   "deviceProfileName": "Test \"profile\"\\", "deviceName": "Gerät 1", "devEui": "0101010101010101", "deviceClassEnabled": "CLASS_C", "tags": {"café": "a\tb", "key": {"sealed": [1]}}},
 "devAddr": "01fa8b2c", "adr": true, "dr": 5, "fCnt": 1042, "fPort": 2, "confirmed": false, "data": "BqiSEvuAbQ==", "object": {"t": 27.5, "list": [1, "x", null, true, {"a": []}], "s": "q\"\u0001"},
 "rxInfo": [{"gatewayId": "0016c001f153a14c", "uplinkId": 4217106255, "nsTime": "2024-05-01T12:00:01.250000000Z", "timeSinceGpsEpoch": "1398600018.005000000s", "rssi": -36, "snr": 10.5, "location": {"latitude": 52.3740364, "longitude": -4.9144401, "altitude": 10.5}, "context": "E3OWOQ==", "metadata": {"region_common_name": "EU868"}, "crcStatus": "CRC_OK"},
            {"gatewayId": "0016c001f153a14d", "rssi": -100}],
 "txInfo": {"frequency": 867100000, "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 7, "codeRate": "CR_4_5"}}},
 "joinServerContext": {"sessionKeyId": "", "appSKey": {"kekLabel": "app1-kek", "aesKey": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}, "regionConfigId": "eu868"}', 'the message is kept as the JSON that ChirpStack would send') FROM lorawan.uplink WHERE dev_eui = '\x0101010101010101' AND encrypted;

-- In other clothes
SELECT is(lorawan.ingest(base64), CASE name WHEN 'join' THEN 'join' ELSE 'duplicate' END, name || ' in base64') FROM event WHERE name IN ('uplink', 'uplink_key', 'join', 'ack');
SELECT is(lorawan.ingest('not UTF-8 text, in hexadecimal digits: ' || encode(decode(base64, 'base64'), 'hex')), 'duplicate', name || ' in hexadecimal digits') FROM event WHERE name IN ('uplink', 'txack');
SELECT is(lorawan.ingest((SELECT string_agg(base64, E'\r\n') FROM event WHERE name LIKE 'uplink%') || E'\n{"a": 1}\n' || (SELECT base64 FROM event WHERE name = 'ack')), 'stored 0, duplicates 6, rejected 1', 'many lines, and JSON between them');
INSERT INTO lorawan.inbox SELECT base64 FROM event WHERE name LIKE 'uplink%' OR name = 'nack';
SELECT results_eq('SELECT reason FROM lorawan.rejected', $$VALUES ('message has no known format')$$, 'by the inbox, too');
TRUNCATE lorawan.rejected CASCADE;
SELECT is(lorawan.ingest('x' || base64), 'rejected', 'base64 and something else') FROM event WHERE name = 'uplink';
SELECT is(lorawan.ingest(pg_temp.event('too_deep')), 'rejected', 'an object that is too deep');
SELECT results_eq('SELECT message IS NULL, reason FROM lorawan.rejected ORDER BY id', $$VALUES (true, 'line is not a JSON object'), (true, 'message is neither text in UTF-8 nor a whole event of ChirpStack')$$, 'is kept wrapped');
SELECT is(convert_from(string_agg(key_vault.unwrap(key), '' ORDER BY n), 'UTF8'), 'not UTF-8 text, in hexadecimal digits: ' || encode(pg_temp.event('too_deep'), 'hex'), 'and whole') FROM lorawan.rejected_key WHERE rejected_id = (SELECT max(id) FROM lorawan.rejected);
TRUNCATE lorawan.rejected CASCADE;

--
-- Broken ones: nothing of them is stored, and none is an error.
--
CALL key_vault.create_storage('broken', kek_label => 'lorawan');
CREATE FUNCTION pg_temp.varint(n bigint) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    result bytea := '';
BEGIN
    WHILE n > 127 LOOP
        result := result || decode(lpad(to_hex(n % 128 + 128), 2, '0'), 'hex');
        n := n / 128;
    END LOOP;
    RETURN result || decode(lpad(to_hex(n), 2, '0'), 'hex');
END $$;
-- Each of the 500 beginnings of an uplink.  A message that ends with a field is whole, so it lacks other fields: what is left of an uplink must not be taken for another event.
CREATE TEMP TABLE beginning AS SELECT n, broken.ingest(substr(pg_temp.event('uplink'), 1, n)) AS outcome FROM generate_series(1, length(pg_temp.event('uplink')) - 1) n;
SELECT is(count(*) FILTER (WHERE outcome NOT IN ('rejected', 'uplink', 'join') AND n > 1), 0::bigint, 'beginnings of an uplink') FROM beginning;
SELECT is(array_agg(n) FILTER (WHERE outcome = 'join'), ARRAY[position('\x2801'::bytea IN pg_temp.event('uplink')) - 1], 'only with all of a join it is one') FROM beginning;
SELECT is(outcome, 'rejected', 'without its last byte it is none') FROM beginning ORDER BY n DESC LIMIT 1;
-- Zeros are left out, so an uplink may have no other field before its payload (field 10) and its gateways.
SELECT is(broken.ingest(substr(pg_temp.event('uplink'), 1, position('\x2801'::bytea IN pg_temp.event('uplink')) - 1) || '\x520106'), 'rejected', 'nor is an uplink of zeros that ends after its payload');
SELECT is_empty($$SELECT frm_payload FROM broken.uplink WHERE frm_payload <> '\x06a89212fb806d'$$, 'no uplink has lost its payload');
TRUNCATE broken.rejected, broken.session, broken.uplink, broken.device CASCADE;
SELECT is(broken.ingest(m), 'rejected', name) FROM (VALUES
    ('a size beyond the end', '\x0affffffff0f'::bytea || pg_temp.event('uplink')),
    ('the largest size', '\x0affffffffffffffffff01' || pg_temp.event('uplink')),
    ('a number of 11 bytes', '\x38ffffffffffffffffffff01' || pg_temp.event('uplink')),
    ('field 0', '\x0000' || pg_temp.event('uplink')),
    ('a group', '\x0b0c' || pg_temp.event('uplink')),
    ('wire type 7', '\x0f' || pg_temp.event('uplink')),
    ('fCnt as bytes', pg_temp.event('uplink') || '\x3a0105'),
    ('fCnt as a float', pg_temp.event('uplink') || '\x3d00000000'),
    ('data as a number', pg_temp.event('uplink') || '\x5005'),
    ('joinServerContext as a number', pg_temp.event('uplink') || '\x7805'),
    ('a gateway as a number', pg_temp.event('uplink') || '\x6005'),
    ('a time without an end', pg_temp.event('uplink') || '\x120108'),
    ('nanoseconds that are too many', pg_temp.event('uplink') || '\x1206108094ebdc03'),
    ('the year 300000', pg_temp.event('uplink') || '\x12070880c0a8ca9a3a'),
    ('a tag whose value is a number', pg_temp.event('uplink') || '\x1a124210303130313031303130313031303130314a00'),
    ('an object with a value of no kind', pg_temp.event('uplink') || '\x5a070a050a0161120a')) v (name, m);
SELECT is(count(*), 0::bigint, 'stored: none of them') FROM broken.uplink;
SELECT is(broken.ingest(pg_temp.event('uplink') || '\x38ffffffff10'), 'rejected', 'a counter that is too large');
SELECT results_eq('SELECT reason, found FROM broken.rejected WHERE message IS NOT NULL', $$VALUES ('fCnt is not an integer from 0 to 4294967295', '4563402751')$$, 'is said to be so');
SELECT is(broken.ingest(pg_temp.event('uplink') || '\x3805'), 'uplink', 'of two counters');
SELECT is(f_cnt, 5::bigint, 'the last one counts') FROM broken.uplink;
SELECT is(broken.ingest(pg_temp.event('uplink') || '\xfa0f0168'), 'uplink', 'a field that is not known');
TRUNCATE broken.rejected, broken.session, broken.uplink, broken.device CASCADE;

-- Levels inside levels, far beyond what a stack takes
CREATE FUNCTION pg_temp.nested(levels integer) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    value bytea := '\x0800';
BEGIN
    FOR i IN 1 .. levels LOOP
        value := '\x32'::bytea || pg_temp.varint(length(value) + 1 + length(pg_temp.varint(length(value)))) || '\x0a' || pg_temp.varint(length(value)) || value;
    END LOOP;
    value := '\x0a0161'::bytea || '\x12' || pg_temp.varint(length(value)) || value;
    value := '\x0a'::bytea || pg_temp.varint(length(value)) || value;
    RETURN '\x5a'::bytea || pg_temp.varint(length(value)) || value;
END $$;
SELECT is(broken.ingest(pg_temp.event('uplink') || pg_temp.nested(30)), 'uplink', 'lists in lists');
SELECT is(broken.ingest(pg_temp.event('uplink') || pg_temp.nested(10000)), 'rejected', 'ten thousand of them');
-- Bytes that are changed at random, the same ones each time
SELECT setseed(0.5) \g /dev/null
CREATE TEMP TABLE changed AS SELECT broken.ingest(set_byte(set_byte(m, (random() * (length(m) - 1))::integer, (random() * 255)::integer), (random() * (length(m) - 1))::integer, (random() * 255)::integer)) AS outcome
  FROM (SELECT pg_temp.event(name) AS m FROM event, generate_series(1, 100) WHERE name <> 'too_deep') e;
SELECT is(count(*), 1600::bigint, 'changed at random: no error') FROM changed;
SELECT is(count(*) FILTER (WHERE outcome = 'rejected') BETWEEN 300 AND 1550, true, 'most of them are broken') FROM changed;
SELECT * FROM finish();
ROLLBACK;
