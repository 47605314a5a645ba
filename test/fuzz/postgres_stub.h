/*
 * postgres_stub.h
 *	  Enough of PostgreSQL for sources of the extension that include its headers: memory
 *	  that is freed after each input.  An error that is raised stops the fuzzer.
 */
#ifndef POSTGRES_STUB_H
#define POSTGRES_STUB_H

extern void stub_free_all(void);

/* In place of the server's functions that are not here, errstart() among them. */
extern void stub_missing(void);

#endif							/* POSTGRES_STUB_H */
