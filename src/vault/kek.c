/*
 * kek.c
 *	  The KEKs that this backend has open.
 *
 * A KEK's row is read once, and is taken as true until a message says that rows of the
 * table may have changed.  Then the rows of all open KEKs are read again.  If one of them
 * has changed or is gone, all KEKs of its label are withdrawn: the cache wipes the keys
 * under them (kek_before_closing), and they are closed.  KEKs of other labels stay open,
 * so that after a rotation a backend need not unwrap all its keys again.  KEKs that were
 * only sealed under another root key stay open, too; this session may not have that root
 * key yet.
 *
 * Invariants:
 * - kek_verified_generation is the value that kek_generation had before the rows were read.
 *   If a message is accepted while they are read, the two differ, and the next look-up
 *   reads the rows again.  So an old row is used for one look-up at most.
 * - Only kek_accept_changes() closes a KEK, so a pointer to a Kek is valid until its next
 *   call.
 * - After an error at any point, every KEK in the table is whole, and KEKs that were
 *   withdrawn are closed at the next look-up.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"

#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../common/lasting_memory.h"
#include "../crypto/secure_memory.h"
#include "../root_key/root_key.h"
#include "../token/kek_token.h"
#include "cache_stats.h"
#include "kek.h"

/*
 * The open KEKs, by kek_id; and their labels, so that what concerns one label does not take
 * longer the more labels there are.
 */
static HTAB *keks = NULL;
static HTAB *labels = NULL;

/*
 * The KEKs that were found last, by kek_id and as the active one of a label.  Most rows of a
 * query have the same, and to compare takes less time than to compute a hash.
 */
static Kek *last_found = NULL;
static Kek *last_active = NULL;

static void (*before_closing) (void) = NULL;

uint64		kek_verified_generation = 0;

static uint32
hash_label(const void *key, Size size)
{
	const char *label = *(const char *const *) key;

	return hash_bytes((const unsigned char *) label, strlen(label));
}

static int
compare_labels(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void
create_tables(void)
{
	HASHCTL		by_id = {
		.keysize = sizeof(pg_uuid_t),
		.entrysize = sizeof(Kek),
		.hcxt = TopMemoryContext,
	};
	HASHCTL		by_label = {
		.keysize = sizeof(char *),
		.entrysize = sizeof(OpenLabel),
		.hash = hash_label,
		.match = compare_labels,
		.hcxt = TopMemoryContext,
	};

	if (labels == NULL)
		labels = hash_create("key_vault labels of open KEKs", 16, &by_label,
							 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	keks = hash_create("key_vault open KEKs", 16, &by_id,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Finds the entry of a label, or makes one without KEKs. */
static OpenLabel *
enter_label(const char *name)
{
	MemoryContext before = lasting_begin("key_vault label");
	char	   *copy = pstrdup(name);
	bool		found;
	OpenLabel  *label = hash_search(labels, &copy, HASH_ENTER, &found);

	/* From here on nothing fails. */
	if (found)
	{
		MemoryContextDelete(MemoryContextSwitchTo(before));
		return label;
	}
	label->context = lasting_keep(before);
	dlist_init(&label->keks);
	return label;
}

static void
drop_label(OpenLabel *label)
{
	MemoryContext context = label->context;

	hash_search(labels, &label->name, HASH_REMOVE, NULL);
	MemoryContextDelete(context);
}

static bool
same_material(const bytea *a, const bytea *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

static bool
same_sealing(const KekRow *a, const KekRow *b)
{
	return memcmp(a->root_key_id, b->root_key_id, KEY_CHECK_VALUE_SIZE) == 0 &&
		same_material(a->sealed_material, b->sealed_material);
}

/*
 * Whether two rows describe the same KEK in the same state.  The sealed material may
 * differ: the key check value says whether the material is the same.
 */
static bool
same_kek(const KekRow *a, const KekRow *b)
{
	if (strcmp(a->label, b->label) != 0 || a->version != b->version ||
		a->state != b->state || a->key_bits != b->key_bits ||
		memcmp(a->kcv, b->kcv, KEY_CHECK_VALUE_SIZE) != 0)
		return false;
	if (a->provider == NULL || b->provider == NULL)
		return a->provider == b->provider;
	return strcmp(a->provider, b->provider) == 0;
}

static bytea *
copy_material(const bytea *material)
{
	return material == NULL ? NULL : memcpy(palloc(VARSIZE(material)), material, VARSIZE(material));
}

/* Copies the row into a new memory context, which the caller must make last or delete. */
static KekRow
copy_row(const KekRow *row, MemoryContext *context)
{
	MemoryContext before = lasting_begin("key_vault open KEK");
	KekRow		copy = *row;

	copy.label = pstrdup(row->label);
	copy.provider = row->provider == NULL ? NULL : pstrdup(row->provider);
	copy.sealed_material = copy_material(row->sealed_material);
	*context = MemoryContextSwitchTo(before);
	return copy;
}

/* Replaces the row of an open KEK that was sealed anew. */
static void
replace_row(Kek *kek, const KekRow *row)
{
	MemoryContext context;
	KekRow		copy = copy_row(row, &context);

	/* From here on nothing fails. */
	MemoryContextDelete(kek->context);
	MemoryContextSetParent(context, TopMemoryContext);
	kek->context = context;
	kek->row = copy;
}

static void
close_kek(Kek *kek)
{
	last_found = NULL;
	last_active = NULL;
	secure_free(kek->material);
	aes_cipher_free(kek->wrap_cipher);
	aes_cipher_free(kek->unwrap_cipher);
	MemoryContextDelete(kek->context);
	dlist_delete(&kek->label_link);
	if (dlist_is_empty(&kek->label->keks))
		drop_label(kek->label);
	hash_search(keks, &kek->kek_id, HASH_REMOVE, NULL);
}

void
kek_before_closing(void (*callback) (void))
{
	before_closing = callback;
}

/* Withdraws all open KEKs of a label. */
static void
withdraw_label(OpenLabel *label)
{
	dlist_iter	iter;

	dlist_foreach(iter, &label->keks)
		dlist_container(Kek, label_link, iter.cur)->withdrawn = true;
}

/* Compares an open KEK with the row that was read for it; NULL if the row is gone. */
static void
compare_with_row(Kek *kek, const KekRow *row)
{
	if (row == NULL || !same_kek(row, &kek->row))
		withdraw_label(kek->label);
	else if (!same_sealing(row, &kek->row))
		replace_row(kek, row);
	else
		kek->row.place = row->place;
}

/* Finds the row of each open KEK by the index. */
static void
read_rows_by_id(void)
{
	HASH_SEQ_STATUS scan;
	Kek		   *kek;

	hash_seq_init(&scan, keks);
	while ((kek = hash_seq_search(&scan)) != NULL)
	{
		KekRow		row;

		if (!kek->withdrawn)
			compare_with_row(kek, kek_row_by_id(&kek->kek_id, &row) ? &row : NULL);
	}
}

/*
 * Reads the whole table.  A row that is where it was has not changed, so only the others are
 * compared.
 */
static void
read_table(void)
{
	static uint64 reading = 0;
	KekScan    *rows = kek_scan_begin();
	HASH_SEQ_STATUS scan;
	Kek		   *kek;

	reading++;
	while (kek_scan_next(rows))
	{
		pg_uuid_t	kek_id = kek_scan_id(rows);
		KekRowPlace place = kek_scan_place(rows);

		kek = hash_search(keks, &kek_id, HASH_FIND, NULL);
		if (kek == NULL)
			continue;
		kek->found_by_reading = reading;
		if (!kek->withdrawn && !kek_same_place(&place, &kek->row.place))
		{
			KekRow		row;

			kek_scan_row(rows, &row);
			compare_with_row(kek, &row);
		}
	}
	kek_scan_end(rows);

	hash_seq_init(&scan, keks);
	while ((kek = hash_seq_search(&scan)) != NULL)
		if (kek->found_by_reading != reading && !kek->withdrawn)
			compare_with_row(kek, NULL);
}

/* Withdraws all KEKs of a label if the row of one of them has changed. */
static void
withdraw_changed_labels(void)
{
	long		n = hash_get_num_entries(keks);

	/*
	 * To find a row by the index takes longer than to read a page of the
	 * table.
	 */
	if (n > 1 && n >= kek_table_pages())
		read_table();
	else if (n > 0)
		read_rows_by_id();
}

void
kek_verify_open(void)
{
	uint64		generation = kek_generation;
	HASH_SEQ_STATUS scan;
	Kek		   *kek;
	bool		is_first = true;

	if (keks == NULL)
	{
		create_tables();
		cache_stats_attach();
	}
	withdraw_changed_labels();

	hash_seq_init(&scan, keks);
	while ((kek = hash_seq_search(&scan)) != NULL)
	{
		if (!kek->withdrawn)
			continue;
		if (is_first)
			before_closing();
		is_first = false;
		close_kek(kek);
	}
	kek_verified_generation = generation;
}

Kek *
kek_find(const pg_uuid_t *kek_id)
{
	Kek		   *kek;
	KekRow		row;
	MemoryContext context;
	OpenLabel  *label;

	if (last_found != NULL && memcmp(&last_found->kek_id, kek_id, sizeof(*kek_id)) == 0)
		return last_found;
	kek = hash_search(keks, kek_id, HASH_FIND, NULL);
	if (kek != NULL)
	{
		last_found = kek;
		return kek;
	}
	if (!kek_row_by_id(kek_id, &row))
		return NULL;

	/*
	 * All that can fail comes before the KEK is put into the table.  If it
	 * fails, the label stays without KEKs, which does no harm.
	 */
	row = copy_row(&row, &context);
	label = enter_label(row.label);
	kek = hash_search(keks, kek_id, HASH_ENTER, NULL);
	memset((char *) kek + sizeof(pg_uuid_t), 0, sizeof(Kek) - sizeof(pg_uuid_t));
	MemoryContextSetParent(context, TopMemoryContext);
	kek->context = context;
	kek->row = row;
	kek->label = label;
	dlist_push_tail(&label->keks, &kek->label_link);
	return kek;
}

Kek *
kek_find_active(const char *name)
{
	OpenLabel  *label;
	ListCell   *cell;

	if (last_active != NULL && strcmp(last_active->row.label, name) == 0)
		return last_active;
	label = hash_search(labels, &name, HASH_FIND, NULL);
	if (label != NULL)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &label->keks)
		{
			Kek		   *kek = dlist_container(Kek, label_link, iter.cur);

			if (kek->row.state == KEK_ACTIVE)
			{
				last_active = kek;
				return kek;
			}
		}
	}

	foreach(cell, kek_rows_by_label(name))
	{
		KekRow	   *row = lfirst(cell);

		if (row->state == KEK_ACTIVE)
			return kek_find(&row->kek_id);
	}
	return NULL;
}

bool
kek_can_unwrap(const Kek *kek)
{
	return kek->row.state == KEK_ACTIVE || kek->row.state == KEK_DEACTIVATED ||
		kek->row.state == KEK_COMPROMISED;
}

static AesCipher *
keyed_cipher(Kek *kek, AesCipher **cipher, AesDirection direction)
{
	CryptoStatus status;

	if (*cipher != NULL)
		return *cipher;

	if (kek->material == NULL)
		kek->material = secure_alloc_or_raise(kek->row.key_bits / 8);
	if (!kek->is_open)
	{
		root_key_open(&kek->row, kek->material);
		kek->is_open = true;
	}

	*cipher = check_allocated(aes_cipher_new());
	status = aes_cipher_set_key(*cipher, kek->material, kek->row.key_bits / 8, direction);
	if (status != CRYPTO_OK)
	{
		aes_cipher_free(*cipher);
		*cipher = NULL;
		crypto_error(status, "key a cipher");
	}
	return *cipher;
}

static AesCipher *
wrap_cipher(Kek *kek)
{
	return keyed_cipher(kek, &kek->wrap_cipher, AES_ENCRYPT);
}

static AesCipher *
unwrap_cipher(Kek *kek)
{
	return keyed_cipher(kek, &kek->unwrap_cipher, AES_DECRYPT);
}

/* The KEK's key in the token, as the present value of key_vault.tokens says. */
static TokenKey *
token_key(Kek *kek)
{
	TokenKey	key;

	if (kek->tokens_generation != kek_token_generation)
	{
		kek_token_key(&kek->row, &key);
		kek->token_key = key;
		kek->tokens_generation = kek_token_generation;
	}
	return &kek->token_key;
}

static CryptoStatus
check_token(CryptoStatus status, const Kek *kek, const DeferredError *error)
{
	if (unlikely(status != CRYPTO_OK && status != CRYPTO_INTEGRITY))
		kek_token_report(error, &kek->row);
	return status;
}

CryptoStatus
kek_wrap(Kek *kek, const uint8 *key, size_t key_size, uint8 *wrapped)
{
	DeferredError error;

	if (kek->row.provider == NULL)
		return key_wrap(wrap_cipher(kek), key, key_size, wrapped);
	return check_token(token_key_wrap(token_key(kek), key, key_size, wrapped, &error), kek,
					   &error);
}

/* Wraps in a token, which takes one key at a time, and in one piece. */
static CryptoStatus
token_wrap_set(Kek *kek, const uint8 *prefix, size_t prefix_size, const uint8 *const *keys,
			   size_t n_keys, size_t key_size, uint8 *const *wrapped)
{
	size_t		plain_size = prefix_size + key_size;
	uint8		plain[KEY_WRAP_MAX_KEY];
	DeferredError error;
	CryptoStatus status = CRYPTO_OK;

	PG_TRY();
	{
		TokenKey   *key = token_key(kek);

		memcpy(plain, prefix, prefix_size);
		for (size_t i = 0; i < n_keys && status == CRYPTO_OK; i++)
		{
			memcpy(plain + prefix_size, keys[i], key_size);
			status = token_key_wrap(key, plain, plain_size, wrapped[i], &error);
		}
	}
	PG_FINALLY();
	{
		secure_wipe(plain, plain_size);
	}
	PG_END_TRY();
	return check_token(status, kek, &error);
}

CryptoStatus
kek_wrap_set(Kek *kek, const uint8 *prefix, size_t prefix_size, const uint8 *const *keys,
			 size_t n_keys, size_t key_size, uint8 *const *wrapped)
{
	if (kek->row.provider == NULL)
		return key_wrap_set(wrap_cipher(kek), prefix, prefix_size, keys, n_keys, key_size,
							wrapped);
	return token_wrap_set(kek, prefix, prefix_size, keys, n_keys, key_size, wrapped);
}

CryptoStatus
kek_unwrap(Kek *kek, const uint8 *wrapped, size_t wrapped_size, uint8 *key)
{
	DeferredError error;

	if (kek->row.provider == NULL)
		return key_unwrap(unwrap_cipher(kek), wrapped, wrapped_size, key);
	return check_token(token_key_unwrap(token_key(kek), wrapped, wrapped_size, key, &error),
					   kek, &error);
}

CryptoStatus
kek_wrap_pad(Kek *kek, const uint8 *key, size_t key_size, uint8 *wrapped)
{
	if (kek->row.provider == NULL)
		return key_wrap_pad(wrap_cipher(kek), key, key_size, wrapped);
	ereport(ERROR,
			(errcode(ERRCODE_KEY_LENGTH),
			 errmsg_plural("a key of %zu byte cannot be wrapped in a token",
						   "a key of %zu bytes cannot be wrapped in a token",
						   key_size, key_size),
			 errdetail("KEK label \"%s\" version %d is in a token, which wraps lengths of a multiple of 8 bytes, 16 at least.",
					   kek->row.label, kek->row.version)));
}

CryptoStatus
kek_unwrap_pad(Kek *kek, const uint8 *wrapped, size_t wrapped_size, uint8 *key,
			   size_t *key_size)
{
	if (kek->row.provider == NULL)
		return key_unwrap_pad(unwrap_cipher(kek), wrapped, wrapped_size, key, key_size);

	/* A KEK in a token never wraps with AES-KWP. */
	return CRYPTO_INTEGRITY;
}
