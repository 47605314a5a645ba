/*
 * payload_arguments.h
 *	  Encrypting and decrypting payloads with the arguments of an SQL function.
 */
#ifndef PAYLOAD_ARGUMENTS_H
#define PAYLOAD_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"

#include "../lorawan/payload.h"
#include "../vault/vault.h"

/*
 * Encrypts or decrypts, which is the same operation.  The arguments from first on are
 * dev_addr, f_cnt and frm_payload.  If the key cannot be used, sets *failure and returns
 * NULL; if failure is NULL, that is an error.  That the current role lacks the privilege
 * decrypt is an error unless denial_is_failure.
 */
extern bytea *crypt_payload_arguments(const WrappedKey *wrapped_key, FunctionCallInfo fcinfo,
									  int first, LorawanDirection direction,
									  bool denial_is_failure, VaultFailure *failure);

#endif							/* PAYLOAD_ARGUMENTS_H */
