-- The type lorawan_frame: the fields of a frame.

-- src/functions/lorawan_frame.c sets the columns by their numbers.
CREATE TYPE key_vault.lorawan_frame AS (
    mtype        text,
    uplink       boolean,
    confirmed    boolean,
    dev_addr     bytea,
    adr          boolean,
    adr_ack_req  boolean,
    ack          boolean,
    class_b      boolean,
    f_pending    boolean,
    f_cnt16      integer,
    f_opts       bytea,
    f_port       integer,
    frm_payload  bytea,
    mic          bytea,
    join_eui     bytea,
    dev_eui      bytea,
    dev_nonce    integer,
    rejoin_type  integer,
    net_id       bytea,
    rj_count     integer,
    body         bytea
);
COMMENT ON TYPE key_vault.lorawan_frame IS
'the fields of a LoRaWAN frame (LoRaWAN L2 1.0.4 and 1.1, sections 4 and 6.2); columns that a frame of its mtype does not have are NULL';
COMMENT ON COLUMN key_vault.lorawan_frame.mtype IS
'join-request, join-accept, (un)confirmed data uplink or downlink, rejoin-request, proprietary';
COMMENT ON COLUMN key_vault.lorawan_frame.uplink IS 'sent by the device; NULL for proprietary frames';
COMMENT ON COLUMN key_vault.lorawan_frame.confirmed IS 'data frames: asks for an acknowledgement';
COMMENT ON COLUMN key_vault.lorawan_frame.dev_addr IS 'data frames: 4 bytes, big-endian as displayed';
COMMENT ON COLUMN key_vault.lorawan_frame.adr IS 'data frames: FCtrl, bit 7';
COMMENT ON COLUMN key_vault.lorawan_frame.adr_ack_req IS 'data uplinks: FCtrl, bit 6';
COMMENT ON COLUMN key_vault.lorawan_frame.ack IS 'data frames: FCtrl, bit 5';
COMMENT ON COLUMN key_vault.lorawan_frame.class_b IS 'data uplinks: FCtrl, bit 4';
COMMENT ON COLUMN key_vault.lorawan_frame.f_pending IS 'data downlinks: FCtrl, bit 4';
COMMENT ON COLUMN key_vault.lorawan_frame.f_cnt16 IS
'data frames: the low 16 bits of the frame counter; decryption needs the full counter, see lorawan_f_cnt and lorawan_full_f_cnt';
COMMENT ON COLUMN key_vault.lorawan_frame.f_opts IS
'data frames: 0 to 15 bytes of MAC commands; encrypted in LoRaWAN 1.1';
COMMENT ON COLUMN key_vault.lorawan_frame.f_port IS
'data frames: 0 to 255; NULL without FPort; if it is 0 the payload is MAC commands, encrypted with a network session key';
COMMENT ON COLUMN key_vault.lorawan_frame.frm_payload IS 'data frames: encrypted; NULL without FPort';
COMMENT ON COLUMN key_vault.lorawan_frame.mic IS
'4 bytes, as in the frame; NULL for join-accepts, whose MIC is encrypted, and proprietary frames';
COMMENT ON COLUMN key_vault.lorawan_frame.join_eui IS
'join-requests and rejoin-requests of type 1: 8 bytes, big-endian as displayed; called AppEUI in LoRaWAN 1.0';
COMMENT ON COLUMN key_vault.lorawan_frame.dev_eui IS
'join-requests and rejoin-requests: 8 bytes, big-endian as displayed';
COMMENT ON COLUMN key_vault.lorawan_frame.dev_nonce IS 'join-requests: 0 to 65535';
COMMENT ON COLUMN key_vault.lorawan_frame.rejoin_type IS 'rejoin-requests: 0, 1 or 2';
COMMENT ON COLUMN key_vault.lorawan_frame.net_id IS
'rejoin-requests of types 0 and 2: 3 bytes, big-endian as displayed';
COMMENT ON COLUMN key_vault.lorawan_frame.rj_count IS
'rejoin-requests: RJcount0 (types 0 and 2) or RJcount1 (type 1), 0 to 65535';
COMMENT ON COLUMN key_vault.lorawan_frame.body IS
'what follows the MHDR: of join-accepts 16 or 32 bytes, encrypted, with the MIC; of proprietary frames everything';
