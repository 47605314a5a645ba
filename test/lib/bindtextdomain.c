/*
 * bindtextdomain.c
 *	  A bindtextdomain() that does nothing, for servers with libasan preloaded: with the C
 *	  library's they hang when the extension is loaded.
 */
extern char *bindtextdomain(const char *domain, const char *directory);

char *
bindtextdomain(const char *domain, const char *directory)
{
	(void) domain;
	(void) directory;
	return 0;
}
