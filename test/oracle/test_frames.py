"""Frames against lora-packet: parsing and building.

No cases are made where the two differ on purpose: lora-packet does not look
at Major, accepts frames that are too long or have MAC commands in two places, does
not distinguish class B from FPending, and reads RJcount1 from the wrong offset.
"""

import oracle

rng = oracle.rng
lora_packet = oracle.lora_packet("frames")

MTYPES = {
    "join-request": "Join Request",
    "unconfirmed data uplink": "Unconfirmed Data Up",
    "unconfirmed data downlink": "Unconfirmed Data Down",
    "confirmed data uplink": "Confirmed Data Up",
    "confirmed data downlink": "Confirmed Data Down",
    "rejoin-request": "Rejoin Request",
}


def random_frame():
    """A well-formed frame with random content, also in the reserved bits."""
    kind = rng.choice((0, 2, 2, 3, 3, 4, 5, 6))
    mhdr = bytes([kind << 5 | rng.choice((0, 0, rng.randrange(8) << 2))])
    if kind == 0:
        return mhdr + oracle.random_bytes(22)
    if kind == 6:
        rejoin_type = rng.randrange(3)
        return mhdr + bytes([rejoin_type]) + oracle.random_bytes(22 if rejoin_type == 1 else 17)
    f_opts = oracle.random_bytes(rng.choice((0, 0, rng.randrange(16))))
    f_ctrl = bytes([rng.randrange(16) << 4 | len(f_opts)])
    payload = b""
    if rng.random() < 0.8:
        payload = (bytes([rng.randrange(1 if f_opts else 0, 256)]) +
                   oracle.random_bytes(rng.choice((0, 1, rng.randrange(243 - len(f_opts))))))
    return (mhdr + oracle.random_bytes(4) + f_ctrl + oracle.random_bytes(2) + f_opts + payload +
            oracle.random_bytes(4))


def parsed(row):
    """The columns of lorawan_frame in the form of lora-packet's answers."""
    answer = {name: value for name, value in row.items() if value is not None}
    answer["mtype"] = MTYPES[answer["mtype"]]
    answer.pop("class_b", None)
    if "confirmed" not in answer:
        del answer["uplink"]
    if answer.get("rejoin_type") == 1:
        del answer["rj_count"]
    return {name: value[2:] if isinstance(value, str) and value.startswith("\\x") else value
            for name, value in answer.items()}


def maybe(value):
    return value if rng.random() < 0.8 else None


def flag():
    return rng.random() < 0.5


with oracle.Database("frames") as db:
    frames = [random_frame() for _ in range(oracle.cases(5000))]
    rows = db.run("SELECT to_jsonb(f) FROM unnest(%s) WITH ORDINALITY AS p (phy_payload, n), "
                  "key_vault.lorawan_parse(p.phy_payload) AS f ORDER BY n", (frames,))
    oracle.same("parse frames", [f.hex() for f in frames], [parsed(row[0]) for row in rows],
                lora_packet.call("parse", [[f] for f in frames]))

    inputs = []
    for _ in range(oracle.cases(3000)):
        uplink = flag()
        f_opts = oracle.random_bytes(rng.choice((0, rng.randrange(16))))
        f_port = maybe(rng.randrange(1 if f_opts else 0, 256))
        payload = None if f_port is None else oracle.random_bytes(rng.randrange(100))
        inputs.append((uplink, flag(), oracle.random_bytes(4), rng.getrandbits(16), f_port, payload, f_opts,
                       flag(), flag(), uplink and flag(), not uplink and flag()))
    ours = [db.run("SELECT key_vault.lorawan_build_uplink(%s, %s, %s, %s, %s, %s, %s, %s, adr_ack_req => %s)"
                   if uplink else
                   "SELECT key_vault.lorawan_build_downlink(%s, %s, %s, %s, %s, %s, %s, %s, f_pending => %s)",
                   (dev_addr, f_cnt, f_port, payload, f_opts, confirmed, adr, ack,
                    adr_ack_req if uplink else f_pending))[0][0].hex()
            for uplink, confirmed, dev_addr, f_cnt, f_port, payload, f_opts, adr, ack, adr_ack_req, f_pending in inputs]
    theirs = lora_packet.call("data", [
        [f"{'Confirmed' if confirmed else 'Unconfirmed'} Data {'Up' if uplink else 'Down'}", *rest]
        for uplink, confirmed, *rest in inputs])
    oracle.same("build data frames", inputs, ours, theirs)

    inputs = [(oracle.random_bytes(8), oracle.random_bytes(8), rng.getrandbits(16))
              for _ in range(oracle.cases(500))]
    ours = [db.run("SELECT key_vault.lorawan_build_join_request(%s, %s, %s)", i)[0][0].hex() for i in inputs]
    oracle.same("build join-requests", inputs, ours, lora_packet.call("joinRequest", inputs))

    inputs = [(rng.getrandbits(24), oracle.random_bytes(3), oracle.random_bytes(4), rng.randrange(8),
               rng.randrange(16), rng.randrange(16), oracle.random_bytes(rng.choice((0, 16))), flag())
              for _ in range(oracle.cases(500))]
    ours = [db.run("SELECT key_vault.lorawan_build_join_accept(%s, %s, %s, %s, %s, %s, %s, %s)", i)[0][0].hex()
            for i in inputs]
    theirs = lora_packet.call("joinAccept", [
        (nonce.to_bytes(3, "big"), net_id, dev_addr, bytes([opt_neg << 7 | offset << 4 | rate]), bytes([delay]),
         cf_list, bytes(8))
        for nonce, net_id, dev_addr, offset, rate, delay, cf_list, opt_neg in inputs])
    oracle.same("build join-accepts", inputs, ours, theirs)
oracle.end()
