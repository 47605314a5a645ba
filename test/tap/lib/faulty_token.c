/*
 * faulty_token.c
 *	  A PKCS#11 module for tests: SoftHSM, with the faults of a real token.
 *
 * The file that FAULTY_TOKEN names says which fault there is: its first word is
 *	  lost		the sessions are closed, once, before the next unwrapping or decryption
 *	  removed	the token is not there
 *	  broken	unwrapping, wrapping, decryption and encryption fail
 *	  last_try	one more wrong PIN would lock the token
 *	  locked	the PIN is locked
 * Each login is a line in the file of that name with ".logins" added, each session
 * opened in one with ".sessions".
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#ifndef SOFTHSM
#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"
#endif

static CK_FUNCTION_LIST_PTR softhsm;
static CK_FUNCTION_LIST faulty;

static int
has_fault(const char *wanted)
{
	char		fault[32] = "";
	const char *path = getenv("FAULTY_TOKEN");
	FILE	   *file = path != NULL ? fopen(path, "r") : NULL;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%31s", fault) != 1)
		fault[0] = '\0';
	fclose(file);
	return strcmp(fault, wanted) == 0;
}

static void
note(const char *suffix)
{
	char		path[4096];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s.%s", getenv("FAULTY_TOKEN"), suffix);
	file = fopen(path, "a");
	if (file == NULL)
		return;
	fprintf(file, "%ld\n", (long) getpid());
	fclose(file);
}

/* What the token is asked to do with a key; CKR_OK: to go on. */
static CK_RV
before_use(CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	if (has_fault("broken"))
		return CKR_GENERAL_ERROR;
	if (has_fault("removed"))
		return CKR_DEVICE_REMOVED;
	if (has_fault("lost") && softhsm->C_GetSessionInfo(session, &info) == CKR_OK)
	{
		unlink(getenv("FAULTY_TOKEN"));
		softhsm->C_CloseAllSessions(info.slotID);
	}
	return CKR_OK;
}

static CK_RV
get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR n)
{
	if (has_fault("removed"))
	{
		*n = 0;
		return CKR_OK;
	}
	return softhsm->C_GetSlotList(present, slots, n);
}

static CK_RV
get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	CK_RV		rv = softhsm->C_GetTokenInfo(slot, info);

	if (rv == CKR_OK && has_fault("last_try"))
		info->flags |= CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY;
	if (rv == CKR_OK && has_fault("locked"))
		info->flags |= CKF_USER_PIN_LOCKED;
	return rv;
}

static CK_RV
open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
			 CK_SESSION_HANDLE_PTR session)
{
	note("sessions");
	return softhsm->C_OpenSession(slot, flags, application, notify, session);
}

static CK_RV
login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG pin_size)
{
	note("logins");
	return softhsm->C_Login(session, user, pin, pin_size);
}

static CK_RV
unwrap_key(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key,
		   CK_BYTE_PTR wrapped, CK_ULONG size, CK_ATTRIBUTE_PTR attributes, CK_ULONG n,
		   CK_OBJECT_HANDLE_PTR object)
{
	CK_RV		rv = before_use(session);

	return rv != CKR_OK ? rv :
		softhsm->C_UnwrapKey(session, mechanism, key, wrapped, size, attributes, n, object);
}

static CK_RV
wrap_key(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key,
		 CK_OBJECT_HANDLE object, CK_BYTE_PTR wrapped, CK_ULONG_PTR size)
{
	CK_RV		rv = before_use(session);

	return rv != CKR_OK ? rv : softhsm->C_WrapKey(session, mechanism, key, object, wrapped, size);
}

static CK_RV
decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	CK_RV		rv = before_use(session);

	return rv != CKR_OK ? rv : softhsm->C_DecryptInit(session, mechanism, key);
}

static CK_RV
encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	CK_RV		rv = before_use(session);

	return rv != CKR_OK ? rv : softhsm->C_EncryptInit(session, mechanism, key);
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	void	   *library = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get_function_list;
	CK_RV		rv;

	if (library == NULL)
		return CKR_GENERAL_ERROR;
	get_function_list = (CK_C_GetFunctionList) dlsym(library, "C_GetFunctionList");
	rv = get_function_list(&softhsm);
	if (rv != CKR_OK)
		return rv;
	faulty = *softhsm;
	faulty.C_GetSlotList = get_slot_list;
	faulty.C_GetTokenInfo = get_token_info;
	faulty.C_OpenSession = open_session;
	faulty.C_Login = login;
	faulty.C_UnwrapKey = unwrap_key;
	faulty.C_WrapKey = wrap_key;
	faulty.C_DecryptInit = decrypt_init;
	faulty.C_EncryptInit = encrypt_init;
	*list = &faulty;
	return CKR_OK;
}
