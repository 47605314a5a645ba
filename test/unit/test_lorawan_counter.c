/*
 * test_lorawan_counter.c
 *	  Tests of lorawan/counter.h.
 */
#include "check.h"
#include "lorawan/counter.h"

static void
full_f_cnt_values(void)
{
	static const struct
	{
		uint32_t	last;
		uint16_t	f_cnt16;
		uint16_t	max_gap;
		int64_t		expected;	/* -1: not accepted */
	}			cases[] = {
		{0, 0, 16384, 0},
		{0, 1, 16384, 1},
		{5, 5, 16384, 5},
		{5, 4, 16384, -1},
		{0, 16384, 16384, 16384},
		{0, 16385, 16384, -1},
		{65535, 0, 16384, 65536},
		{65535, 65535, 16384, 65535},
		{65536, 65535, 16384, -1},
		{65537, 0, 16384, -1},
		{65530, 16378, 16384, 65536 + 16378},
		{65530, 16379, 16384, -1},
		{65538, 2, 0, 65538},
		{65538, 3, 0, -1},
		{1, 0, 65535, 65536},
		{0x12345678, 0x5679, 1, 0x12345679},
		{0xffffffff, 0xffff, 65535, 0xffffffff},
		{0xffffffff, 0, 65535, -1},
		{0xfffffffe, 0xffff, 16384, 0xffffffff},
		{0xffff0000, 0xffff, 65535, 0xffffffff},
		{0xffff0001, 0, 65535, -1},
	};

	for (size_t i = 0; i < LENGTH(cases); i++)
	{
		uint32_t	f_cnt = 0;
		bool		accepted = lorawan_full_f_cnt(cases[i].last, cases[i].f_cnt16,
												  cases[i].max_gap, &f_cnt);
		char		what[100];

		sprintf(what, "last %u, f_cnt16 %u, max_gap %u: %u", cases[i].last,
				cases[i].f_cnt16, cases[i].max_gap, f_cnt);
		CHECK_FOR(what, accepted == (cases[i].expected >= 0));
		CHECK_FOR(what, f_cnt == (accepted ? cases[i].expected : 0));
	}
}

/* By searching: the first number from last on that ends with f_cnt16. */
static void
full_f_cnt_searched(void)
{
	for (int i = 0; i < 200; i++)
	{
		uint32_t	last = next_random() % 4 ? next_random() : UINT32_MAX - next_random() % 70000;
		uint16_t	f_cnt16 = (uint16_t) next_random();
		uint16_t	max_gap = (uint16_t) next_random();
		uint64_t	searched = last;
		uint32_t	f_cnt;

		while ((searched & 0xffff) != f_cnt16)
			searched++;
		if (searched - last > max_gap || searched > UINT32_MAX)
			CHECK(!lorawan_full_f_cnt(last, f_cnt16, max_gap, &f_cnt));
		else
			CHECK(lorawan_full_f_cnt(last, f_cnt16, max_gap, &f_cnt) && f_cnt == searched);
	}
}

void
test_lorawan_counter(void)
{
	RUN(full_f_cnt_values);
	RUN(full_f_cnt_searched);
}
