"""Payloads against lora-packet: random keys, counters of 32 bits, all lengths."""

import oracle

lora_packet = oracle.lora_packet("payload")
inputs = [(oracle.random_bytes(16), oracle.rng.random() < 0.5, oracle.random_bytes(4),
           oracle.rng.getrandbits(oracle.rng.choice((16, 17, 32))), oracle.random_bytes(i % 243))
          for i in range(oracle.cases(2000))]
theirs = lora_packet.call("crypt", inputs)

with oracle.Database("payload") as db:
    db.run("SELECT key_vault.kek_create('oracle')")
    for name in ("encrypt", "decrypt"):
        ours = [db.run(f"SELECT key_vault.lorawan_{name}_{'uplink' if uplink else 'downlink'}"
                       "(key_vault.wrap(%s, 'oracle'), %s, %s, %s)",
                       (key, dev_addr, f_cnt, payload))[0][0].hex()
                for key, uplink, dev_addr, f_cnt, payload in inputs]
        oracle.same(f"{name} payloads", inputs, ours, theirs)
oracle.end()
